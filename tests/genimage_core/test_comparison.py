from time import process_time

import numpy as np
import pytest
from scored_images import even, images, latent

from genimage_core.comparison import compare, compare_families, judge
from genimage_core.intervals import Estimate


def decisions(rng, found, seeds=4, folds=2, skill=0.4):
    return latent(rng, found, seeds, folds, seed_sd=0.05, skill=skill)


def test_the_difference_is_that_of_the_accuracies_by_seed():
    rng, found = np.random.default_rng(0), images(2, 60)
    one, other = decisions(rng, found), decisions(rng, found, skill=0.0)
    [got] = compare(one, other, found, even(2, 2), rng, resamples=500)
    assert got.difference.value == pytest.approx(got.candidate.value - got.baseline.value)
    assert got.difference.value == pytest.approx(one.mean() - other.mean())  # as many of each class
    assert got.by_seed == pytest.approx(one.mean((1, 2)) - other.mean((1, 2)))
    for part in (got.candidate, got.baseline, got.difference):
        assert part.low < part.value < part.high
    assert judge(got.difference, 4) == "improves"


def test_exchanged_configurations_change_the_sign():
    rng, found = np.random.default_rng(1), images(2, 60)
    one, other = decisions(rng, found), decisions(rng, found)
    [there] = compare(one, other, found, even(2, 2), np.random.default_rng(2), resamples=20_000)
    [back] = compare(other, one, found, even(2, 2), np.random.default_rng(2), resamples=20_000)
    assert back.by_seed == pytest.approx([-d for d in there.by_seed])
    assert (back.candidate.value, back.baseline.value) == (there.baseline.value, there.candidate.value)
    expected = (-there.difference.high, -there.difference.low)
    assert (back.difference.low, back.difference.high) == pytest.approx(
        expected, abs=0.005
    )  # of a width of 0.19


def test_pairing_by_image_is_worth_it():
    rng, found = np.random.default_rng(3), images(1, 200)
    same = np.repeat(rng.random((1, 1, 400)) < 0.7, 4, axis=0)
    [got] = compare(same, same, found, even(1, 1), rng, resamples=500)
    assert got.difference.value == 0 and got.difference.high < 0.02 < got.candidate.high - got.candidate.value


@pytest.mark.parametrize(("seeds", "seed_sd", "per_class"), [(5, 0.1, 60), (3, 0.1, 60), (5, 0.0, 30)])
def test_configurations_that_are_alike_are_seldom_told_apart(seeds, seed_sd, per_class):
    """At most 2.5 % a side, within the error of 400 runs; drawing 5 seeds with replacement gives 6 to 8 %."""
    rng, found, said = np.random.default_rng(4), images(2, per_class), []
    for _ in range(400):
        one, other = (latent(rng, found, seeds, 2, seed_sd=seed_sd) for _ in range(2))
        [got] = compare(one, other, found, even(2, 2), rng, resamples=400)
        said.append(judge(got.difference, seeds))
    assert said.count("improves") <= 18 and said.count("worse") <= 18  # 10 expected at most, 18 in 99 %


def test_an_improvement_that_is_there_is_found():
    rng, found, said = np.random.default_rng(5), images(2, 100), []
    for _ in range(40):
        one, other = decisions(rng, found, 5, skill=0.8), decisions(rng, found, 5)
        [got] = compare(one, other, found, even(2, 2), rng, resamples=400)
        said.append(judge(got.difference, 5))
    assert said.count("improves") >= 36


def test_with_families_in_question_the_interval_is_wider():
    rng, found = np.random.default_rng(6), images(4, 60)
    one, other = (latent(rng, found, 4, 2, seed_sd=0.01, skill=0.2) for _ in range(2))
    one[:, :, found.sources == 0] = True  # what helps on one generator alone
    weights = even(2, 4)
    [fixed] = compare(one, other, found, weights, rng, resamples=2000)
    drawn = compare_families(one, other, found, weights[0], ["x", "y", "y", "z"], rng, resamples=2000)
    assert drawn.count == 3
    assert drawn.difference.value == pytest.approx(fixed.difference.value)
    assert drawn.difference.low < 0 < fixed.difference.low
    assert compare_families(one, other, found, weights[0], ["x"] * 4, rng) is None


def test_a_run_of_five_seeds_and_six_generators_takes_seconds():
    rng, found = np.random.default_rng(7), images(6, 500)
    one, other = (decisions(rng, found, 5, 4) for _ in range(2))
    start = process_time()
    compare(one, other, found, np.repeat(even(4, 6), 7, axis=0), rng, resamples=10_000)
    assert process_time() - start < 30


@pytest.mark.parametrize(
    ("difference", "seeds", "said"),
    [
        (Estimate(0.1, 0.01, 0.2), 5, "improves"),
        (Estimate(0.1, 0.0, 0.2), 5, "no evidence"),
        (Estimate(-0.1, -0.2, -0.01), 2, "worse"),
        (Estimate(0.1, 0.01, 0.2), 1, "no evidence"),
    ],
)
def test_the_verdict_follows_from_the_interval(difference, seeds, said):
    assert judge(difference, seeds) == said


def test_what_does_not_fit_is_refused():
    rng, found = np.random.default_rng(9), images(2, 10)
    right = decisions(rng, found)
    with pytest.raises(ValueError, match=r"alike with a seed or more, got \(4, 2, 40\) and \(3, 2, 40\)"):
        compare(right, right[:3], found, even(2, 2), rng)
    with pytest.raises(ValueError, match="do not fit 40 images of 2 generators"):
        compare(right, right, found, even(2, 3), rng)
