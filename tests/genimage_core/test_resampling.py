import numpy as np
import pytest
from scipy.stats import t, ttest_1samp
from scored_images import even, images

from genimage_core.metrics import score
from genimage_core.protocol import Fold, summarise
from genimage_core.resampling import (
    Images,
    average_cells,
    mean_of_seeds,
    over_families,
    percentiles,
    resample_images,
    student_weights,
    sum_folds,
)


def interval(values, found, seed=0, *, resamples=4000):
    """Interval of the mean over all cells of differences (S, F, N)."""
    rng, weights = np.random.default_rng(seed), even(values.shape[1], len(found.generators))
    drawn = resample_images(values, found, weights, rng, span=np.full(len(values), 2.0), resamples=resamples)
    means = mean_of_seeds(drawn.drawn, student_weights(len(values), resamples, rng))
    return percentiles(drawn.by_seed.mean(), means[:, 0], -1.0)


def test_cells_are_averaged_as_the_search_s_objective_does():
    rng, found = np.random.default_rng(0), images(3, 20)
    folds = [Fold("a", ("a",), ("b", "c"), ("b", "c")), Fold("b", ("b",), ("c",), ("c",)),
             Fold("c", ("c",), (), ())]  # fmt: skip
    logits = rng.normal(size=(3, 120))
    inside = [found.sources == place for place in range(3)]
    matrix = {fold.name: {name: score(logits[i][inside[g]], found.labels[inside[g]])
                          for g, name in enumerate("abc")} for i, fold in enumerate(folds)}  # fmt: skip
    weights = average_cells([fold.off_family for fold in folds], "abc")
    right = (logits > 0) == (found.labels == 1)
    expected = summarise(folds, matrix)["off_family_accuracy"]
    assert sum_folds(right[None], found, weights).sum() == pytest.approx(expected)


def test_nothing_to_average_is_refused():
    with pytest.raises(ValueError, match="no fold counts any of the generators a, b"):
        average_cells([(), ()], ("a", "b"))


def test_where_images_add_nothing_the_interval_is_student_s_over_seeds():
    by_seed, found = np.array([0.02, 0.05, -0.01, 0.04, 0.03]), images(1, 20_000)
    values = np.broadcast_to(by_seed[:, None, None], (5, 1, 40_000))
    got = interval(values, found, resamples=400)  # the two extra images are 1 of 10,000 here
    weights = student_weights(5, 400_000, np.random.default_rng(1)) @ by_seed
    expected = ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert np.quantile(weights, [0.025, 0.975]) == pytest.approx([expected.low, expected.high], abs=4e-4)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high), abs=0.01)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_weights_of_few_make_their_mean_a_student_variable(count):
    values, rng = np.arange(count) ** 1.5, np.random.default_rng(2)
    weights = student_weights(count, 300_000, rng)
    assert weights.sum(1) == pytest.approx(np.ones(300_000))
    scale = values.std(ddof=1) / np.sqrt(count)
    for level in (0.1, 0.5, 0.9, 0.95):
        expected = values.mean() + scale * t.ppf(level, count - 1)
        assert np.quantile(weights @ values, level) == pytest.approx(expected, abs=0.05 * scale)


def test_one_thing_has_no_spread():
    assert (student_weights(1, 7, np.random.default_rng(0)) == 1).all()


def test_over_images_the_spread_is_that_of_bonett_and_price():
    """Of n images of each class, b differ for and c against: variance (b + c + 2 - (b - c)^2 / n) / n^2."""
    found, values = images(1, 200), np.zeros((1, 1, 400))
    values[0, 0, :30] = 1  # reals: 30 for, 10 against
    values[0, 0, 30:40] = -1
    values[0, 0, 200:212] = 1  # fakes: 12 for
    rng = np.random.default_rng(0)
    drawn = resample_images(values, found, even(1, 1), rng, span=np.full(1, 2.0), resamples=20_000)
    variance = [(30 + 10 + 2 - 20**2 / 200) / 200**2, (12 + 2 - 12**2 / 200) / 200**2]
    assert drawn.by_seed[0, 0] == pytest.approx((20 + 12) / 400)
    assert drawn.drawn.std() == pytest.approx(0.5 * np.sqrt(sum(variance)), rel=0.02)


def test_a_few_images_in_favour_are_no_evidence():
    def low(in_favour):
        values = np.zeros((1, 1, 600))
        values[:, :, 300 : 300 + in_favour] = 1
        return interval(values, images(1, 300)).low

    assert low(1) < 0 and low(5) < 0  # McNemar's exact test: p = 0.0625 of five
    assert low(12) > 0


def test_copies_of_an_image_are_no_evidence():
    rng = np.random.default_rng(4)
    once = rng.choice([-1.0, 0.0, 1.0], p=[0.2, 0.5, 0.3], size=(1, 1, 400))
    alone = images(1, 200)
    many = images(1, 1600, np.repeat(np.arange(400), 8))
    small, large = interval(once, alone), interval(np.repeat(once, 8, axis=2), many)
    assert large.value == pytest.approx(small.value)
    assert large.high - large.low == pytest.approx(small.high - small.low, rel=0.05)
    apart = interval(np.repeat(once, 8, axis=2), images(1, 1600))
    assert apart.high - apart.low < 0.45 * (large.high - large.low)


def test_clusters_of_any_size_and_make_up_vary_as_drawing_them_anew_shows():
    """The linearised bootstrap against the shares themselves, cluster by cluster."""
    rng = np.random.default_rng(10)
    labels, sources = rng.integers(0, 2, 900), rng.integers(0, 2, 900)
    clusters = rng.integers(0, 60, 900) * rng.integers(1, 3, 900) // 2
    found = Images(("a", "b"), sources, labels, clusters)
    values = np.where(labels == 1, 0.9, 0.1) > rng.random(900)  # classes differ: shares of sums, not means
    drawn = resample_images(values[None, None], found, even(1, 2), rng, span=np.ones(1), resamples=8000)
    names, plain = np.unique(clusters), []
    for _ in range(2000):
        times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)))[
            np.searchsorted(names, clusters)
        ]
        cells = [
            np.average(values[found.cells == cell], weights=times[found.cells == cell]) for cell in range(4)
        ]
        plain.append(np.mean(cells))
    assert drawn.by_seed[0, 0] == pytest.approx(np.mean([values[found.cells == c].mean() for c in range(4)]))
    assert drawn.drawn.std() == pytest.approx(np.std(plain), rel=0.06)


def test_of_few_clusters_the_interval_is_student_s():
    of_cluster = np.array([0.1, -0.2, 0.3, 0.25])
    found = images(1, 4000, np.tile(np.repeat(np.arange(4), 1000), 2))
    got = interval(
        np.repeat(of_cluster, 1000)[np.tile(np.arange(4000), 2)][None, None], found, resamples=40_000
    )
    expected = ttest_1samp(of_cluster, 0).confidence_interval(0.95)
    # Drawing 4 with replacement is coarse: the tails are those of 35 different samples.
    assert got.high - got.low == pytest.approx(expected.high - expected.low, rel=0.1)


def test_reals_and_fakes_of_a_scene_move_together():
    """What favours the candidate on the real and harms it on the fake of every scene adds up to nothing."""
    rng = np.random.default_rng(5)
    of_scene = rng.choice([-1.0, 1.0], size=200)
    values = np.concatenate([of_scene, -of_scene])[None, None]
    paired = interval(values, images(1, 200, np.tile(np.arange(200), 2)))
    apart = interval(values, images(1, 200))
    assert paired.high - paired.low < 0.25 * (apart.high - apart.low)


def test_seeds_do_not_average_out_what_they_owe_to_the_same_images():
    of_image = np.random.default_rng(6).choice([-1.0, 1.0], size=(1, 1, 400))
    one, five = (interval(np.repeat(of_image, seeds, axis=0), images(1, 200)) for seeds in (1, 5))
    assert five.high - five.low == pytest.approx(one.high - one.low, rel=0.05)


def test_the_order_of_images_does_not_matter_and_a_seed_gives_one_result():
    rng, found = np.random.default_rng(7), images(2, 30, np.tile(np.arange(30), 4))
    values = rng.choice([-1.0, 0.0, 1.0], size=(3, 2, 120))
    order = rng.permutation(120)
    mixed = Images(found.generators, found.sources[order], found.labels[order], found.clusters[order])
    first, again, other = (
        interval(values, found),
        interval(values, found),
        interval(values[:, :, order], mixed),
    )
    assert first == again
    assert (other.low, other.high) == pytest.approx((first.low, first.high), abs=1e-12)


def test_where_seeds_and_images_add_nothing_the_interval_is_student_s_over_families():
    of_families = np.array([0.1, 0.2, 0.4])
    drawn = over_families(np.tile(of_families, (300_000, 1)), np.full(3, 1 / 3), np.random.default_rng(8))
    expected = ttest_1samp(of_families, 0).confidence_interval(0.95)
    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([expected.low, expected.high], abs=0.02)


def test_families_that_agree_add_nothing():
    drawn = np.tile(np.random.default_rng(0).normal(size=(50, 1)), (1, 3))
    found = over_families(drawn, np.array([0.5, 0.3, 0.2]), np.random.default_rng(9))
    assert found == pytest.approx(drawn[:, 0])
    with pytest.raises(ValueError, match="one family"):
        over_families(drawn[:, :1], np.ones(1), np.random.default_rng(9))


@pytest.mark.parametrize(
    ("labels", "clusters", "said"),
    [
        ([0, 0, 1], [0, 1, 2], "a: intervals need at least 2 images of each class, got 2 real, 1 fake"),
        ([0, 0, 1, 1], [0, 1, 2], "alike"),
    ],
)
def test_images_that_tell_nothing_are_refused(labels, clusters, said):
    with pytest.raises(ValueError, match=said):
        Images(("a",), np.zeros(len(labels), int), np.array(labels), np.array(clusters))


def test_one_cluster_has_no_interval():
    found = images(1, 10, np.zeros(20, int))
    with pytest.raises(ValueError, match="one cluster"):
        interval(np.zeros((2, 1, 20)), found)
