"""PURE: 95 % intervals of accuracies and rankings over the choice of test images.

The detectors are taken as they are: what another seed of their training would give is in `over_seeds` alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, t

LEVEL = 0.95
Z = 1.959964  # its normal quantile
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
    """Mean of two independent shares; the interval adds the squares of their distances (MOVER).

    Source: Newcombe, "Interval estimation for the difference between independent proportions", 1998.
    """
    value = (real.value + fake.value) / 2
    below = math.hypot(real.value - real.low, fake.value - fake.low) / 2
    above = math.hypot(real.high - real.value, fake.high - fake.value) / 2
    return Estimate(value, max(0.0, value - below), min(1.0, value + above))


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
    cells: Sequence[tuple[str, NDArray[np.bool_]]], labels: dict[str, NDArray[np.integer]]
) -> Estimate:
    """Mean of balanced accuracies of several detectors on several generators.

    Detectors that are tested on one generator share its images, so hits of one image are added up before
    their variance is taken; images of different generators are independent.

    Args:
        cells: Test generator, and whether each of its images was told right, shape (N,); a generator comes
            once for every detector.
        labels: Of the images of each generator, shape (N,).
    """
    weight = 1 / len(cells)
    hits: dict[str, NDArray[np.float64]] = {}
    for name, right in cells:
        hits[name] = hits.get(name, np.zeros(len(right))) + right * weight
    value = variance = 0.0
    for name, summed in hits.items():
        for label in (0, 1):
            of_class = summed[labels[name] == label]
            value += of_class.mean() / 2
            variance += of_class.var(ddof=1) / len(of_class) / 4
    half = Z * math.sqrt(variance)
    return Estimate(float(value), float(max(0.0, value - half)), float(min(1.0, value + half)))


def ranking(logits: NDArray[np.floating], labels: NDArray[np.integer], seed: int) -> dict[str, Estimate]:
    """Average precision and AUROC with percentile bootstrap intervals, real and fake resampled apart.

    Args:
        logits: Shape (N,), finite.
        labels: Shape (N,), 0 = real, 1 = fake; both occur.
        seed: Of the resampling.
    """
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
