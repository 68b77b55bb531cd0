"""PURE: 95 % intervals of accuracies and rankings over the choice of test images.

The detectors are taken as they are: what another seed of their training would give is in `over_seeds` alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.stats import binomtest, t

LEVEL = 0.95
RESAMPLES = 400


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, all within [0, 1]; of a difference, within [-1, 1].

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def share(hits: int, total: int) -> Estimate:
    """Share of `total` with Wilson's interval."""
    interval = binomtest(hits, total).proportion_ci(LEVEL, method="wilson")
    return Estimate(hits / total, float(interval.low), float(interval.high))


def balanced(real: Estimate, fake: Estimate) -> Estimate:
    """Mean of two independent shares, see `mean_of`."""
    return mean_of((real, fake))


def mean_of(parts: Sequence[Estimate]) -> Estimate:
    """Mean of independent estimates; the interval adds the squares of their distances (MOVER).

    Source: Newcombe, "Interval estimation for the difference between independent proportions", 1998.
    """
    return _mover(parts, np.eye(len(parts)))


def difference(one: Estimate, other: Estimate) -> Estimate:
    """`one` less `other`, measured on independent images (MOVER).

    Source: Newcombe, 1998, method 10; for other numbers than shares Zou and Donner, "Construction of
    confidence limits about effect measures", 2008.
    """
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(value, max(-1.0, value - below), min(1.0, value + above))


def over_seeds(by_seed: Sequence[float], images: Estimate, lowest: float = 0.0) -> Estimate:
    """Mean over seeds of training with an interval over the choice of both seeds and test images.

    Student's t over the seeds and the interval over the images are independent: their distances add up in
    squares. What is due to both together is counted twice, so the interval is rather too wide.

    Args:
        by_seed: The number, by seed; of one seed nothing is known of another.
        images: The mean of the same numbers, with its interval over test images.
        lowest: Least value that there is.
    """
    count, value = len(by_seed), float(np.mean(by_seed))
    if count == 1:
        return images
    half = float(t.ppf((1 + LEVEL) / 2, count - 1) * np.std(by_seed, ddof=1)) / math.sqrt(count)
    below, above = (math.hypot(half, d) for d in (images.value - images.low, images.high - images.value))
    return Estimate(value, max(lowest, value - below), min(1.0, value + above))


def mean_accuracy(
    cells: Sequence[tuple[str, NDArray[np.bool_]]], labels: Mapping[str, NDArray[np.integer]]
) -> Estimate:
    """Mean of balanced accuracies of several detectors on several generators, MOVER over Wilson's intervals.

    Detectors that are tested on one generator share its images, so their shares go together as their hits
    are correlated; images of different classes and generators are independent. Where a detector tells all
    images alike, no correlation can be seen and the widest is taken: 1.

    Args:
        cells: Test generator, and whether each of its images was told right, shape (N,); a generator comes
            once for every detector.
        labels: Of the images of each generator, shape (N,).

    Raises:
        ValueError: If a class has fewer than 2 images.

    Source: Newcombe, "Improved confidence intervals for the difference between binomial proportions based on
    paired data", 1998, for a sum.
    """
    parts: list[Estimate] = []
    blocks: list[NDArray[np.float64]] = []
    for name in dict.fromkeys(name for name, _ in cells):
        require_two(labels[name], name)
        hits = np.stack([right for generator, right in cells if generator == name])
        for label in (0, 1):
            of_class = hits[:, labels[name] == label]
            parts += [share(int(row.sum()), len(row)) for row in of_class]
            blocks.append(_correlation(of_class))
    return _mover(parts, block_diag(*blocks))


def require_two(labels: NDArray[np.integer], what: str) -> None:
    """Refuse images of which no interval can be told.

    Raises:
        ValueError: If a class has fewer than 2; the message begins with `what`.
    """
    counts = [int((labels == label).sum()) for label in (0, 1)]
    if min(counts) < 2:
        raise ValueError(
            f"{what}: intervals need at least 2 images of each class, got {counts[0]} real, {counts[1]} fake"
        )


def _correlation(hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Correlations (M, M) between the rows of (M, N); 1 where a row is constant."""
    centred = hits - hits.mean(1, keepdims=True)
    spread = np.sqrt((centred**2).sum(1))
    scale = np.outer(spread, spread)
    correlation: NDArray[np.float64] = np.ones_like(scale)
    np.divide(centred @ centred.T, scale, out=correlation, where=scale > 0)
    return correlation


def _mover(parts: Sequence[Estimate], correlation: NDArray[np.float64]) -> Estimate:
    value = math.fsum(part.value for part in parts) / len(parts)
    below = np.array([part.value - part.low for part in parts]) / len(parts)
    above = np.array([part.high - part.value for part in parts]) / len(parts)
    down, up = (math.sqrt(max(0.0, float(side @ correlation @ side))) for side in (below, above))
    return Estimate(value, max(0.0, value - down), min(1.0, value + up))


def ranking(logits: NDArray[np.floating], labels: NDArray[np.integer], seed: int) -> dict[str, Estimate]:
    """Average precision and AUROC with percentile bootstrap intervals, real and fake resampled apart.

    Args:
        logits: Shape (N,), finite.
        labels: Shape (N,), 0 = real, 1 = fake; both occur.
        seed: Of the resampling.

    Raises:
        ValueError: If a class has fewer than 2 images.
    """
    require_two(labels, "average precision and AUROC")
    rng = np.random.default_rng(seed)
    real, fake = (np.asarray(logits, dtype=np.float64)[labels == label] for label in (0, 1))
    # How often each image is drawn; the first row draws every image once: the estimate itself.
    times = [np.vstack([np.ones(len(c)), _draws(rng, len(c))]) for c in (real, fake)]
    found = {
        "average_precision": _average_precision(real, fake, *times),
        "auroc": _auroc(real, fake, *times),
    }
    ends = {
        name: np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) for name, values in found.items()
    }
    return {name: Estimate(float(v[0]), *map(float, ends[name])) for name, v in found.items()}


def _draws(rng: np.random.Generator, count: int) -> NDArray[np.integer]:
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)


Array = NDArray[np.float64]


def _auroc(real: Array, fake: Array, real_times: Array, fake_times: Array) -> Array:
    """Share of pairs in which the fake scores higher, ties counted half, for every row of times."""
    above = (fake[:, None] > real) + 0.5 * (fake[:, None] == real)
    wins: Array = ((fake_times @ above) * real_times).sum(1)
    return wins / (len(real) * len(fake))


def _average_precision(real: Array, fake: Array, real_times: Array, fake_times: Array) -> Array:
    """Mean over the fakes of the precision at their score, for every row of times."""
    scores = np.concatenate([real, fake])
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)

    def called(real_weight: Array, fake_weight: Array) -> Array:
        summed: Array = np.concatenate([real_weight, fake_weight], 1)[:, order].cumsum(1)
        return summed[:, last_of_ties]

    hits = called(np.zeros_like(real_times), fake_times)
    precision = hits / np.maximum(called(real_times, fake_times), 1)
    gained: Array = np.diff(hits, axis=1, prepend=0)
    mean: Array = (gained * precision).sum(1) / len(fake)
    return mean
