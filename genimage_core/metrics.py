"""PURE: from logits and labels to the numbers of a report. Label 1 = fake, logit > 0 = called fake."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Logits: TypeAlias = dict[str, NDArray[np.float32]]  # by generator, each (N,)


@dataclass(frozen=True)
class Scores:
    """How one detector does on one generator, all shares within [0, 1].

    Attributes:
        accuracy: Balanced accuracy, the mean of the next two.
        real_accuracy: Share of real images called real.
        fake_accuracy: Share of generated images called fake.
        average_precision: Area under the precision-recall curve, fakes positive.
        auroc: Probability that a fake scores above a real one, ties counted half.
        images: Number of images.
    """

    accuracy: float
    real_accuracy: float
    fake_accuracy: float
    average_precision: float
    auroc: float
    images: int


def require_both_classes(
    logits: NDArray[np.floating], labels: NDArray[np.integer]
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return logits, as float64, and labels, both (N,), if the logits are finite and both classes occur.

    Raises:
        ValueError: If not; the message says what is wrong.
    """
    logits, labels = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if logits.shape != labels.shape or logits.ndim != 1:
        raise ValueError(f"logits and labels must be (N,) alike, got {logits.shape} and {labels.shape}")
    if not np.isfinite(logits).all():
        raise ValueError(f"{int((~np.isfinite(logits)).sum())} of {logits.size} logits are not finite")
    if np.unique(labels).tolist() != [0, 1]:
        raise ValueError(f"labels must hold both 0 (real) and 1 (fake), got {np.unique(labels).tolist()}")
    return logits, labels


def score(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> Scores:
    """Compare logits with labels.

    Args:
        logits: Shape (N,), finite.
        labels: Shape (N,), 0 = real, 1 = fake; both must occur.

    Raises:
        ValueError: If shapes differ, a logit is not finite, or a class is missing.
    """
    # Imported here: it costs seconds, and most processes that know `Scores` never score.
    from sklearn.metrics import average_precision_score, roc_auc_score

    logits, labels = require_both_classes(logits, labels)
    real, fake = float((logits[labels == 0] <= 0).mean()), float((logits[labels == 1] > 0).mean())
    return Scores(
        accuracy=(real + fake) / 2,
        real_accuracy=real,
        fake_accuracy=fake,
        average_precision=float(average_precision_score(labels, logits)),
        auroc=float(roc_auc_score(labels, logits)),
        images=int(labels.size),
    )
