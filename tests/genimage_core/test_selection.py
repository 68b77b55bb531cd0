from itertools import combinations

import numpy as np
import pytest
from scored_images import even, images

from genimage_core.metrics import score
from genimage_core.resampling import Images
from genimage_core.selection import correct_selection, expected_best


def test_expected_best_is_the_mean_over_all_subsets():
    values = [0.61, 0.7, 0.55, 0.7, 0.52, 0.66]
    expected = [np.mean([max(subset) for subset in combinations(values, n)]) for n in range(1, 7)]
    assert expected_best(values) == pytest.approx(expected)
    assert expected_best(values[::-1]) == pytest.approx(expected)


def test_expected_best_of_a_few_by_hand():
    assert expected_best([0.5]) == (0.5,)
    assert expected_best([1, 2, 3]) == pytest.approx((2, 8 / 3, 3))


def test_expected_best_is_unbiased_where_drawing_with_replacement_is_not():
    """Of 4 uniform numbers the highest of 3 is 3/4 on average; Dodge et al., 2019, get less."""
    draws = np.random.default_rng(0).random((20_000, 4))
    found = np.mean([expected_best(row)[2] for row in draws])
    with_replacement = (np.sort(draws) @ (np.diff((np.arange(5) / 4) ** 3))).mean()
    assert found == pytest.approx(0.75, abs=0.004)
    assert with_replacement < 0.72


def test_expected_best_of_many_trials_does_not_overflow():
    values = np.random.default_rng(1).random(1000)
    found = np.array(expected_best(values))
    assert np.isfinite(found).all() and (np.diff(found) > -1e-12).all()
    assert found[0] == pytest.approx(values.mean()) and found[-1] == pytest.approx(values.max())


@pytest.mark.parametrize("values", [[], [0.5, float("nan")]])
def test_expected_best_of_nothing_is_refused(values):
    with pytest.raises(ValueError, match="finite"):
        expected_best(values)


def accuracy(right, labels, drawn):
    """Balanced accuracy as the metrics have it, of the images that are drawn."""
    logits = np.where(right == (labels == 1), 1.0, -1.0)
    return score(logits[drawn], labels[drawn]).accuracy


def test_the_choice_is_bootstrapped_as_published():
    """Row by row: choose on what is drawn, score on what is not."""
    rng, found = np.random.default_rng(2), images(1, 25, np.tile(np.arange(25), 2))
    right = rng.random((6, 1, 50)) < 0.6
    got = correct_selection(right, right[0] ^ True, found, even(1, 1)[0], np.random.default_rng(3), 80)
    draws, scores = np.random.default_rng(3).multinomial(25, np.full(25, 1 / 25), size=80), []
    for times in draws:
        inside, outside = np.repeat(np.arange(25), times), np.flatnonzero(times == 0)
        inside, outside = (np.concatenate([drawn, drawn + 25]) for drawn in (inside, outside))
        best = max(range(6), key=lambda c: round(accuracy(right[c, 0], found.labels, inside), 9))
        scores.append(accuracy(right[best, 0], found.labels, outside))
    assert got.corrected.value == pytest.approx(np.mean(scores))
    assert (got.corrected.low, got.corrected.high) == pytest.approx(np.quantile(scores, [0.025, 0.975]))
    assert got.raw == pytest.approx(max(right.mean((1, 2)))) and got.configurations == 6


def test_the_best_of_many_that_are_alike_is_brought_down_to_what_they_are():
    """30 configurations of accuracy 0.6: the best looks like 0.67, and is not."""
    rng, found = np.random.default_rng(4), images(2, 100)
    raw, corrected, gain = [], [], []
    for _ in range(60):
        right = rng.random((30, 2, 400)) < 0.6
        got = correct_selection(right, rng.random((2, 400)) < 0.6, found, even(2, 2)[0], rng, 100)
        raw.append(got.raw)
        corrected.append(got.corrected.value)
        gain.append(got.gain.value)
    assert np.mean(raw) > 0.625
    assert np.mean(corrected) == pytest.approx(0.6, abs=0.006)
    assert np.mean(gain) == pytest.approx(0, abs=0.008)


def test_where_there_is_no_choice_there_is_nothing_to_correct():
    rng, found = np.random.default_rng(5), images(1, 100)
    right = rng.random((1, 1, 200)) < 0.8
    got = correct_selection(right, right[0], found, even(1, 1)[0], rng)
    assert got.corrected.value == pytest.approx(got.raw, abs=0.005)
    assert got.chosen == 1 and got.gain.value == got.gain.low == got.gain.high == 0


def test_a_clear_winner_is_chosen_every_time():
    rng, found = np.random.default_rng(6), images(1, 100)
    right = rng.random((5, 1, 200)) < np.array([0.5, 0.5, 0.95, 0.5, 0.5])[:, None, None]
    got = correct_selection(right, right[0], found, even(1, 1)[0], rng)
    assert got.chosen == 1 and got.gain.low > 0.3


def test_generators_that_the_objective_leaves_out_may_have_few_images():
    labels, sources = np.array([0, 0, 1, 1] + [0] * 30 + [1] * 30), np.repeat([0, 1], [4, 60])
    found = Images(("few", "many"), sources, labels, np.arange(64))
    right, rng = np.random.default_rng(7).random((3, 1, 64)) < 0.7, np.random.default_rng(8)
    assert correct_selection(right, right[0], found, np.array([[0.0, 1.0]]), rng).corrected.low > 0.4
    with pytest.raises(ValueError, match="too few validation images"):
        correct_selection(right, right[0], found, np.array([[1.0, 0.0]]), rng)


def test_what_does_not_fit_is_refused():
    right = np.ones((3, 1, 20), bool)
    with pytest.raises(ValueError, match=r"\(3, 1, 20\)"):
        correct_selection(right, right[0, :, :5], images(1, 10), even(1, 1)[0], np.random.default_rng(0))
