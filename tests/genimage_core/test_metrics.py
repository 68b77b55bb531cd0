from dataclasses import astuple

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from genimage_core.metrics import score


def auroc_of_pairs(logits, labels):
    wins = [
        1.0 if fake > real else 0.5 if fake == real else 0.0
        for fake in logits[labels == 1]
        for real in logits[labels == 0]
    ]
    return sum(wins) / len(wins)


def precision_by_definition(logits, labels):
    """Sum over thresholds of precision times the recall that the threshold adds."""
    fakes, area, found = int(labels.sum()), 0.0, 0
    for threshold in sorted(set(logits.tolist()), reverse=True):
        called = logits >= threshold
        hits = int((called & (labels == 1)).sum())
        area += hits / int(called.sum()) * (hits - found) / fakes
        found = hits
    return area


def random_case(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 40))
    labels = rng.permutation(np.r_[0, 1, rng.integers(0, 2, n - 2)]).astype(np.uint8)
    # Few distinct values, zero among them: many ties, many at the threshold.
    return rng.integers(-3, 4, n).astype(np.float32) / 2 + 0.5 * labels * (seed % 2), labels


@pytest.mark.parametrize("seed", range(30))
def test_against_brute_force(seed):
    logits, labels = random_case(seed)
    got = score(logits, labels)
    real = sum(1 for x, y in zip(logits, labels, strict=True) if y == 0 and x <= 0) / int((labels == 0).sum())
    fake = sum(1 for x, y in zip(logits, labels, strict=True) if y == 1 and x > 0) / int((labels == 1).sum())
    assert got.real_accuracy == pytest.approx(real)
    assert got.fake_accuracy == pytest.approx(fake)
    assert got.accuracy == pytest.approx((real + fake) / 2)
    assert got.auroc == pytest.approx(auroc_of_pairs(logits, labels))
    assert got.average_precision == pytest.approx(precision_by_definition(logits, labels))
    assert got.images == len(labels)


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn(seed):
    logits, labels = random_case(seed)
    got = score(logits, labels)
    assert got.auroc == pytest.approx(roc_auc_score(labels, logits))
    assert got.average_precision == pytest.approx(average_precision_score(labels, logits))


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_images_does_not_matter(seed):
    logits, labels = random_case(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert astuple(score(logits[order], labels[order])) == pytest.approx(astuple(score(logits, labels)))


def test_zero_is_called_real():
    got = score(np.zeros(4), np.array([0, 0, 1, 1]))
    assert (got.real_accuracy, got.fake_accuracy, got.accuracy, got.auroc) == (1.0, 0.0, 0.5, 0.5)
    smallest = np.nextafter(0, 1)
    assert score(np.array([0.0, smallest]), np.array([0, 1])).accuracy == 1.0


def test_classes_weigh_the_same_however_many_images_they_have():
    logits = np.array([-1.0] * 9 + [1.0] + [1.0])
    assert score(logits, np.array([0] * 10 + [1])).accuracy == pytest.approx((0.9 + 1.0) / 2)


def test_the_best_and_the_worst_detector():
    labels = np.array([0, 0, 1, 1])
    assert astuple(score(np.array([-2.0, -1.0, 1.0, 2.0]), labels)) == (1, 1, 1, 1, 1, 4)
    worst = score(np.array([2.0, 1.0, -1.0, -2.0]), labels)
    assert (worst.accuracy, worst.auroc) == (0, 0)


@pytest.mark.parametrize(
    ("logits", "labels", "named"),
    [
        ([1.0, 2.0], [1, 1], "labels"),
        ([1.0, 2.0], [0, 0], "labels"),
        ([], [], "labels"),
        ([1.0, 2.0, 3.0], [0, 1, 2], "labels"),
        ([1.0, np.nan], [0, 1], "1 of 2"),
        ([np.inf, -np.inf], [0, 1], "2 of 2"),
        ([1.0, 2.0, 3.0], [0, 1], "(3,)"),
        ([[1.0], [2.0]], [[0], [1]], "(2, 1)"),
    ],
)
def test_what_cannot_be_scored_is_refused(logits, labels, named):
    with pytest.raises(ValueError) as refused:
        score(np.array(logits), np.array(labels, dtype=int))
    assert named in str(refused.value) and "\n" not in str(refused.value)
