from dataclasses import astuple

import numpy as np
import pytest

from genimage_core.spectral_distance import measure_distance, rms_difference

DRAWS = 400


def classes(seed, *, reals=30, fakes=30, shift=0.0, bins=40):
    """Spectra that differ from image to image as a whole and bin by bin; fakes less alike than reals."""
    rng = np.random.default_rng(seed)

    def draw(count, spread):
        return rng.normal(0, spread, (count, 1)) + rng.normal(0, 2, (count, bins))

    return draw(reals, 1.0), draw(fakes, 2.0) + shift


def measure(reals, fakes, *, seed=0, weights=None, draws=DRAWS):
    weights = np.ones(reals.shape[1]) if weights is None else weights
    return measure_distance(reals, fakes, weights, seed=seed, draws=draws)


def test_it_is_the_weighted_root_mean_square_of_the_difference():
    assert rms_difference(np.array([1.0, 2, 9]), np.array([4.0, -2, 0]), np.array([1, 1, 0])) == np.sqrt(12.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_value_is_that_of_the_means(seed):
    reals, fakes = classes(seed, reals=7, fakes=11, shift=1.0)
    weights = np.random.default_rng(seed).random(40)
    expected = np.sqrt((weights * (reals.mean(0) - fakes.mean(0)) ** 2).sum() / weights.sum())
    assert measure(reals, fakes, weights=weights).value == pytest.approx(expected)


def test_a_class_is_at_no_distance_from_itself_and_under_the_floor():
    reals, _ = classes(0)
    got = measure(reals, reals.copy())
    assert got.value == got.low == got.excess == 0
    assert got.floor > 0 and got.high > 0


def test_images_that_are_all_alike_leave_no_doubt():
    got = measure(np.zeros((4, 8)), np.full((5, 8), 3.0))
    assert astuple(got) == pytest.approx((3, 3, 3, 0, 3), abs=1e-6)


def test_a_level_of_c_is_at_distance_c():
    reals, _ = classes(1)
    got = measure(reals, reals + 2.5)
    assert got.value == pytest.approx(2.5) and got.low <= 2.5 <= got.high


@pytest.mark.parametrize("seed", range(5))
def test_real_and_fake_can_be_swapped_and_images_reordered(seed):
    reals, fakes = classes(seed, shift=3.0)
    order = np.random.default_rng(seed).permutation(len(reals))
    first, second = measure(reals, fakes, draws=4000), measure(fakes[order], reals[order], draws=4000)
    assert astuple(first) == pytest.approx(astuple(second), rel=0.08)


def test_the_seed_decides_the_draws():
    pair = classes(2)
    assert measure(*pair) == measure(*pair) != measure(*pair, seed=1)


def test_bins_without_weight_do_not_count():
    reals, fakes = classes(3)
    weights = np.r_[np.ones(30), np.zeros(10)]
    spoilt = fakes + np.r_[np.zeros(30), np.full(10, 1e6)]
    assert measure(reals, fakes, weights=weights).value == pytest.approx(
        measure(reals, spoilt, weights=weights).value
    )


def noise_of_means(reals=30, fakes=30):
    """Mean squared distance of two samples of one population: variances by definition of `classes`."""
    return (1.0 + 4) / reals + (4.0 + 4) / fakes


@pytest.mark.parametrize("counts", [(30, 30), (15, 41)])
def test_without_a_difference_the_interval_covers_and_the_floor_holds(counts):
    reals, fakes = counts
    expected, covered, above, excesses = np.sqrt(noise_of_means(*counts)), 0, 0, []
    for seed in range(200):
        got = measure(*classes(seed, reals=reals, fakes=fakes), draws=200)
        covered += got.low <= expected <= got.high
        above += got.value > got.floor
        excesses.append(got.excess)
    assert covered >= 180
    assert above <= 24  # 5 % of 200, and what 200 trials leave to chance
    assert np.mean(np.square(excesses)) < 0.5 * noise_of_means(*counts)


def test_with_a_difference_the_interval_covers_and_the_excess_is_the_difference():
    expected, covered, excesses = np.sqrt(1.5**2 + noise_of_means()), 0, []
    for seed in range(200):
        got = measure(*classes(seed, shift=1.5), draws=200)
        covered += got.low <= expected <= got.high
        excesses.append(got.excess**2)
    assert covered >= 180
    assert np.mean(excesses) == pytest.approx(1.5**2, rel=0.1)


def test_the_floor_is_as_wide_as_a_direct_simulation():
    values = [measure(*classes(seed), draws=1).value for seed in range(400)]
    floors = [measure(*classes(seed), draws=200).floor for seed in range(20)]
    assert np.mean(floors) == pytest.approx(np.quantile(values, 0.95), rel=0.12)


@pytest.mark.parametrize(
    ("reals", "fakes", "weights", "named"),
    [
        (np.zeros((1, 3)), np.zeros((2, 3)), np.ones(3), "reals must be at least 2"),
        (np.zeros((2, 3)), np.zeros((0, 3)), np.ones(3), "fakes must be at least 2"),
        (np.zeros((2, 3)), np.zeros((2, 4)), np.ones(3), "fakes must be (images, 3"),
        (np.zeros(3), np.zeros((2, 3)), np.ones(3), "reals must be (images, 3"),
        (np.zeros((2, 3)), np.full((2, 3), np.nan), np.ones(3), "fakes must be finite, got 6"),
        (np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(3), "weights"),
        (np.zeros((2, 3)), np.zeros((2, 3)), np.array([1, -1, 3]), "weights"),
    ],
)
def test_what_cannot_be_measured_is_refused(reals, fakes, weights, named):
    with pytest.raises(ValueError) as refused:
        measure_distance(reals, fakes, weights, seed=0)
    assert named in str(refused.value) and "\n" not in str(refused.value)
