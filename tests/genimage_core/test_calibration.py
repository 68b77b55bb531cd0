import math

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from genimage_core.calibration import (
    HIGHEST,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)

RNG = np.random.default_rng(3)


def drawn(count, temperature, scale=2.0):
    """Logits whose true temperature is known, and labels drawn from their probabilities."""
    logits = RNG.normal(0, scale, count)
    return logits * temperature, (RNG.random(count) < expit(logits)).astype(np.uint8)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0])
def test_the_temperature_that_made_the_logits_is_found(temperature):
    logits, labels = drawn(200_000, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.02)


@pytest.mark.parametrize("wrong", [0, 3, 40])
def test_two_values_have_a_closed_form(wrong):
    """Logits of +a and -a: the best probability of being right is the mean softened target."""
    n, a = 100, 3.0
    labels = np.repeat([0, 1], n)
    logits = np.where(labels == 1, a, -a)
    logits[:wrong] *= -1
    logits[n : n + wrong] *= -1
    right = (n + 1) / (n + 2)
    share = ((n - wrong) * right + wrong * (1 - right)) / n
    assert fit_temperature(logits, labels) == pytest.approx(a / math.log(share / (1 - share)), rel=1e-4)


def test_it_is_what_trying_every_temperature_finds():
    logits, labels = drawn(60, 3.0)
    fakes, reals = labels.sum(), (1 - labels).sum()
    targets = np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    grid = np.geomspace(0.5, 20, 40_001)
    losses = [-np.mean(targets * np.log(expit(logits / t)) + (1 - targets) * np.log(expit(-logits / t)))
              for t in grid]  # fmt: skip
    assert fit_temperature(logits, labels) == pytest.approx(grid[np.argmin(losses)], rel=1e-3)


def test_with_many_images_it_is_a_logistic_regression_on_the_logit():
    logits, labels = drawn(100_000, 2.5)
    slope = LogisticRegression(C=1e9, fit_intercept=False).fit(logits[:, None], labels).coef_[0, 0]
    assert fit_temperature(logits, labels) == pytest.approx(1 / slope, rel=2e-3)


def test_the_scale_of_the_logits_does_not_matter():
    logits, labels = drawn(300, 1.0)
    assert fit_temperature(5 * logits, labels) == pytest.approx(5 * fit_temperature(logits, labels), rel=1e-4)


def test_logits_that_lie_or_say_nothing_are_made_flat():
    labels = np.tile([0, 1], 50)
    assert fit_temperature(np.where(labels == 1, -2.0, 2.0), labels) == pytest.approx(HIGHEST, rel=1e-4)


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        ([1.0, 2.0], [0, 1, 1], "alike"),
        ([1.0, np.nan], [0, 1], "1 of 2 logits are not finite"),
        ([1.0, 2.0], [1, 1], "both"),
        ([], [], "both"),
    ],
)
def test_what_has_no_temperature_is_refused(logits, labels, said):
    with pytest.raises(ValueError, match=said):
        fit_temperature(np.array(logits), np.array(labels))


def test_the_loss_does_not_overflow():
    assert negative_log_likelihood(np.array([1e4, -1e4]), np.array([0.0, 1.0])) == pytest.approx(1e4)


def test_calibration_error_by_hand():
    """Bins of a half: {0.1, 0.3} with one fake, {0.5, 0.9, 1.0} with two."""
    probabilities, labels = np.array([0.9, 0.1, 1.0, 0.3, 0.5]), np.array([1, 1, 1, 0, 0])
    low, high = reliability(probabilities, labels, bins=2)
    assert (low.count, low.predicted, low.observed) == pytest.approx((2, 0.2, 0.5))
    assert (high.count, high.predicted, high.observed) == pytest.approx((3, 0.8, 2 / 3))
    expected = (2 * 0.3 + 3 * (0.8 - 2 / 3)) / 5
    assert expected_calibration_error((low, high)) == pytest.approx(expected)


def test_reliability_is_scikit_learn_s_calibration_curve():
    rng = np.random.default_rng(1)
    probabilities, labels = rng.random(300), rng.integers(0, 2, 300)
    found = reliability(probabilities, labels, bins=10)
    observed, predicted = calibration_curve(labels, probabilities, n_bins=10)
    assert [b.observed for b in found] == pytest.approx(observed)
    assert [b.predicted for b in found] == pytest.approx(predicted)
    assert sum(b.count for b in found) == 300


def test_true_probabilities_have_hardly_an_error_and_sure_ones_that_lie_all_of_it():
    logits, labels = drawn(200_000, 1.0)
    assert expected_calibration_error(reliability(expit(logits), labels)) < 0.01
    assert expected_calibration_error(reliability(expit(4 * logits), labels)) > 0.05
    assert expected_calibration_error(reliability(1.0 - labels, labels)) == 1


@pytest.mark.parametrize(
    ("probabilities", "labels", "said"),
    [([0.5], [0, 1], "alike"), ([], [], "alike"), ([1.1, 0.2], [0, 1], "within"), ([np.nan], [0], "within")],
)
def test_what_is_no_probability_is_refused(probabilities, labels, said):
    with pytest.raises(ValueError, match=said):
        reliability(np.array(probabilities), np.array(labels))
