"""PURE: temperature scaling, which turns logits into probabilities that say how often they are right."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from genimage_core.metrics import require_both_classes

LOWEST, HIGHEST = 0.01, 100.0


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
