"""PURE: temperature scaling, which turns logits into probabilities that say how often they are right.

And how far they do: reliability and expected calibration error.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from genimage_core.metrics import require_both_classes

LOWEST, HIGHEST = 0.01, 100.0
BINS = 15


@dataclass(frozen=True)
class Bin:
    """Images to which a detector gives about the same probability of being fake.

    Attributes:
        low: Least probability; it belongs to the bin.
        high: Greatest; it belongs to the next bin, except 1.
        count: How many.
        predicted: Mean probability.
        observed: Share of fakes.
    """

    low: float
    high: float
    count: int
    predicted: float
    observed: float


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Find the temperature T for which `sigmoid(logit / T)` is the best probability that an image is fake.

    One parameter, found by minimising the mean negative log-likelihood of the labels (Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017, section 4.2). No verdict and no ranking changes.
    Instead of 1 and 0, the labels are (n + 1) / (n + 2) and 1 / (n + 2), n images of the class (Platt,
    "Probabilistic Outputs for Support Vector Machines", 1999, section 2.2). Otherwise logits that separate
    the classes without an error, as those of a detector's own generator often do, had no best temperature.
    With many images the two are the same.

    Args:
        logits: Shape (N,), finite.
        labels: Shape (N,), 0 = real, 1 = fake; both must occur.

    Returns:
        Within [`LOWEST`, `HIGHEST`]; `HIGHEST` where the logits tell nothing of the labels, or lie.

    Raises:
        ValueError: If shapes differ, a logit is not finite, or a class is missing.
    """
    scores, labels = require_both_classes(logits, labels)
    targets = _soften(labels)
    # The loss is convex in 1 / T, so it has one valley in log T, where the search takes even steps.
    bounds = (math.log(LOWEST), math.log(HIGHEST))
    found = minimize_scalar(
        lambda log_t: negative_log_likelihood(scores * math.exp(-log_t), targets),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.clip(math.exp(found.x), LOWEST, HIGHEST))


def negative_log_likelihood(logits: NDArray[np.floating], targets: NDArray[np.float64]) -> float:
    """Mean of the binary cross-entropy in nats; targets are within [0, 1], 1 = fake."""
    return float(np.mean(np.logaddexp(0.0, logits) - targets * logits))


def _soften(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    fakes = int((labels == 1).sum())
    reals = labels.size - fakes
    return np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


def reliability(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS
) -> tuple[Bin, ...]:
    """Compare probabilities with how often they are right, in bins of equal width; empty ones are left out.

    Args:
        probabilities: That an image is fake, shape (N,), within [0, 1].
        labels: Shape (N,), 0 = real, 1 = fake.
        bins: How many; Guo et al. take 15.

    Raises:
        ValueError: If shapes differ, there are no images, or a probability is none.
    """
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if probabilities.shape != labels.shape or probabilities.ndim != 1 or not probabilities.size:
        raise ValueError(
            f"probabilities and labels must be (N,) alike, got {probabilities.shape} and {labels.shape}"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("probabilities must be within [0, 1]")
    places = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    counts = np.bincount(places, minlength=bins)
    predicted, observed = (np.bincount(places, values, bins) for values in (probabilities, labels))
    return tuple(
        Bin(i / bins, (i + 1) / bins, int(n), float(predicted[i] / n), float(observed[i] / n))
        for i, n in enumerate(counts)
        if n
    )


def expected_calibration_error(found: tuple[Bin, ...]) -> float:
    """Mean distance of predicted from observed, bins weighed by their images (Guo et al., 2017, equation 3).

    Of the probability of being fake, where they take that of the class called; with two classes that tells
    too many calls of either class apart. It is biased upwards where bins have few images.
    """
    total = sum(part.count for part in found)
    return math.fsum(part.count * abs(part.predicted - part.observed) for part in found) / total
