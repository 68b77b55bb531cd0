import numpy as np
import pytest

from genimage_core.analysis.seeds import SeedMean, mean_of_seeds
from genimage_core.intervals import Estimate, difference

LABELS = {"a": np.repeat([0, 1], 40), "b": np.repeat([0, 1], 20)}


def hits(rng, name, accuracy):
    return name, rng.random(len(LABELS[name])) < accuracy


def test_the_mean_is_over_the_sets_of_a_seed_then_over_seeds():
    rng = np.random.default_rng(0)
    cells = [[hits(rng, "a", p), hits(rng, "b", p)] for p in (0.6, 0.8, 0.9)]
    found = mean_of_seeds(cells, LABELS)
    balanced = [
        np.mean([right[LABELS[name] == label].mean() for name, right in one for label in (0, 1)])
        for one in cells
    ]
    assert found.by_seed == pytest.approx(balanced) and found.estimate.value == pytest.approx(
        np.mean(balanced)
    )
    assert found.sd == pytest.approx(np.std(balanced, ddof=1))
    assert found.estimate.low < found.images.low and found.estimate.high > found.images.high


def test_of_one_seed_there_is_no_spread_and_the_interval_is_over_images():
    found = mean_of_seeds([[hits(np.random.default_rng(1), "a", 0.7)]], LABELS)
    assert found.sd is None and found.estimate == found.images and found.numbers()["sd"] is None


def test_a_difference_is_taken_seed_by_seed():
    one = SeedMean((0.9, 0.8), Estimate(0.85, 0.8, 0.9))
    other = SeedMean((0.7, 0.6), Estimate(0.65, 0.6, 0.7))
    found = one - other
    assert found.by_seed == pytest.approx((0.2, 0.2)) and found.sd == pytest.approx(0)
    images = difference(one.images, other.images)
    assert (found.estimate.low, found.estimate.high) == pytest.approx((images.low, images.high))
    assert (other - one).estimate.low < 0
