import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

from genimage_core.intervals import (
    Estimate,
    _auroc,
    _average_precision,
    balanced,
    difference,
    mean_accuracy,
    mean_of,
    over_seeds,
    ranking,
    share,
)
from genimage_core.metrics import score

Z = norm.ppf(0.975)


def test_a_share_has_wilson_s_interval():
    found = share(8, 10)
    centre, half = (0.8 + Z**2 / 20) / (1 + Z**2 / 10), Z / (1 + Z**2 / 10) * np.sqrt(0.016 + Z**2 / 400)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert share(10, 10).high == 1 and share(10, 10).low < 0.8


def test_a_balanced_accuracy_is_narrower_than_its_halves_and_within_them():
    real, fake = share(90, 100), share(70, 100)
    found = balanced(real, fake)
    assert found.value == pytest.approx(0.8)
    assert (
        found.value - found.low == pytest.approx(np.hypot(0.9 - real.low, 0.7 - fake.low) / 2)
        and found.high < real.high
    )
    assert balanced(share(5, 5), share(5, 5)).high == 1


def draw(rng, accuracies, images=60):
    """Hits of several detectors on two generators; detectors agree on the images more than by chance."""
    labels = {name: np.repeat([0, 1], images) for name in ("a", "b")}
    cells = []
    for name in labels:
        hardness = rng.random(2 * images)
        for accuracy in accuracies:
            own = rng.random(2 * images)
            cells.append((name, np.where(rng.random(2 * images) < 0.7, hardness, own) < accuracy))
    return cells, labels


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(1000):
        found = mean_accuracy(*draw(rng, (0.6, 0.8, 0.9)))
        covered.append(found.low <= (0.6 + 0.8 + 0.9) / 3 <= found.high)
    assert 0.925 < np.mean(covered) < 0.97


def told(*rights):
    """Hits among 20 reals that come first, all of 20 fakes told right, for every detector."""
    return [("a", np.concatenate([right, np.ones(20, bool)])) for right in rights]


LABELS = {"a": np.repeat([0, 1], 20), "b": np.repeat([0, 1], 20)}
SOME = np.arange(20) < 15


@pytest.mark.parametrize("hits", [0, 15, 20])
def test_of_one_cell_the_mean_is_its_balanced_accuracy(hits):
    found, expected = (
        mean_accuracy(told(np.arange(20) < hits), LABELS),
        balanced(share(hits, 20), share(20, 20)),
    )
    for end in ("value", "low", "high"):
        assert getattr(found, end) == pytest.approx(getattr(expected, end))


def test_when_all_are_right_the_interval_still_has_a_width():
    right = np.ones(20, bool)
    one = mean_accuracy(told(right), LABELS)
    assert one.value == one.high == 1 and one.low == pytest.approx(1 - (1 - share(20, 20).low) / np.sqrt(2))
    assert mean_accuracy(told(right, right, right), LABELS).low == pytest.approx(one.low)  # the same images
    both = mean_accuracy([*told(right), ("b", np.ones(40, bool))], LABELS)
    assert 1 - both.low == pytest.approx((1 - one.low) / np.sqrt(2))


def test_detectors_that_agree_tell_no_more_than_one_of_them():
    one, twice = mean_accuracy(told(SOME), LABELS), mean_accuracy(told(SOME, SOME), LABELS)
    assert (twice.low, twice.high) == pytest.approx((one.low, one.high))
    apart = mean_accuracy(told(SOME, np.roll(SOME, 10)), LABELS)  # their errors fall on different images
    assert apart.value == pytest.approx(one.value) and apart.low > one.low


def test_means_of_independent_estimates_add_the_squares_of_their_distances():
    parts = [Estimate(0.5, 0.4, 0.7), Estimate(0.8, 0.5, 0.9), Estimate(0.2, 0.2, 0.6)]
    found = mean_of(parts)
    assert found.value == pytest.approx(0.5)
    assert found.value - found.low == pytest.approx(np.sqrt(0.01 + 0.09) / 3)
    assert found.high - found.value == pytest.approx(np.sqrt(0.04 + 0.01 + 0.16) / 3)


def test_one_image_of_a_class_is_refused(recwarn):
    labels = np.array([0, 1, 1])
    for call in (
        lambda: mean_accuracy([("adm", labels == 1)], {"adm": labels}),
        lambda: ranking(labels - 0.5, labels, 0),
    ):
        with pytest.raises(ValueError, match="at least 2 images of each class, got 1 real, 2 fake"):
            call()
    assert not recwarn.list


def test_rankings_are_those_of_the_scores_with_intervals_around_them():
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 80)
    logits = rng.normal(labels * 1.0)
    found, scores = ranking(logits, labels, seed=3), score(logits, labels)
    for name in ("average_precision", "auroc"):
        assert found[name].value == pytest.approx(getattr(scores, name))
        assert found[name].low < found[name].value < found[name].high
    assert ranking(logits, labels, seed=3) == found
    # Hanley and McNeil's standard error, 1982, gives about the same width.
    area = scores.auroc
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = np.sqrt((area * (1 - area) + 79 * (q1 + q2 - 2 * area**2)) / 80**2)
    assert found["auroc"].high - found["auroc"].low == pytest.approx(2 * Z * error, rel=0.25)


def test_resampled_rankings_are_scikit_learn_s_of_the_resampled_images():
    rng = np.random.default_rng(2)
    real, fake = rng.integers(0, 6, 15).astype(float), rng.integers(2, 8, 11).astype(float)  # many ties
    times = [
        rng.multinomial(len(c), np.full(len(c), 1 / len(c)), size=30).astype(float) for c in (real, fake)
    ]
    precision, area = _average_precision(real, fake, *times), _auroc(real, fake, *times)
    for row in range(30):
        drawn = [np.repeat(c, t[row].astype(int)) for c, t in zip((real, fake), times, strict=True)]
        expected = score(np.concatenate(drawn), np.repeat([0, 1], [15, 11]))
        assert precision[row] == pytest.approx(expected.average_precision)
        assert area[row] == pytest.approx(expected.auroc)


def test_a_perfect_ranking_has_an_interval_of_one_point():
    found = ranking(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]), seed=0)
    assert found["auroc"] == Estimate(1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1),
    ],
)
def test_a_difference_of_shares_has_newcombe_s_interval(one, other, low, high):
    found = difference(share(*one), share(*other))  # his table II, method 10
    assert found.value == pytest.approx(one[0] / one[1] - other[0] / other[1])
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    turned = difference(share(*other), share(*one))
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


def test_the_interval_over_seeds_is_student_s_where_the_images_add_nothing():
    values = [0.6, 0.7, 0.65, 0.71]
    exact = Estimate(np.mean(values), np.mean(values), np.mean(values))
    found = over_seeds(values, exact)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_of_equal_seeds_and_of_one_the_interval_is_that_of_the_images():
    images = Estimate(0.6, 0.5, 0.65)
    assert over_seeds([0.6], images) == images
    found = over_seeds([0.6, 0.6], images)
    assert (found.low, found.high) == pytest.approx((0.5, 0.65))


def test_a_mean_over_seeds_stays_within_its_bounds():
    wild = [0.0, 1.0]
    assert over_seeds(wild, Estimate(0.5, 0.4, 0.6)) == Estimate(0.5, 0.0, 1.0)
    assert over_seeds([-1.0, 1.0], Estimate(0.0, -0.1, 0.1), lowest=-1.0) == Estimate(0.0, -1.0, 1.0)


def test_the_interval_over_seeds_covers_the_mean_at_least_as_often_as_it_says():
    rng = np.random.default_rng(3)
    labels, covered = {"a": np.repeat([0, 1], 100)}, []
    for _ in range(600):
        easy = rng.random(200) < 0.3  # right whatever the seed
        accuracies = rng.normal(0.7, 0.05, 4)  # another seed gives another detector
        cells = [("a", easy | (rng.random(200) < (a - 0.3) / 0.7)) for a in accuracies]
        found = over_seeds([mean_accuracy([c], labels).value for c in cells], mean_accuracy(cells, labels))
        covered.append(found.low <= 0.7 <= found.high)
    assert 0.94 < np.mean(covered) <= 0.995
