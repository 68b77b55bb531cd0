"""Scores of one detector on many generators."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from genimage_core.data.images import ImageSet
from genimage_core.detectors.detector import Detector
from genimage_core.metrics import Scores, score
from genimage_core.training import autocast, to_batch


def predict(detector: Detector, images: NDArray[np.uint8], batch_size: int = 128) -> NDArray[np.float32]:
    """Return the logits (N,) of uint8 images (N, H, W, 3), in evaluation mode."""
    device = next(detector.parameters()).device
    detector.eval()
    logits = []
    with torch.inference_mode(), autocast(device):
        for start in range(0, len(images), batch_size):
            logits.append(detector(to_batch(images[start : start + batch_size], device)).float())
    return torch.cat(logits).cpu().numpy()


def evaluate(detector: Detector, sets: Mapping[str, ImageSet], batch_size: int = 128) -> dict[str, Scores]:
    """Score a detector on every generator of `sets`.

    Raises:
        ValueError: If a logit is not finite or a set lacks a class; the message names the generator.
    """
    scores = {}
    for name, data in sets.items():
        try:
            scores[name] = score(predict(detector, data.images, batch_size), data.labels)
        except ValueError as error:
            raise ValueError(f"evaluation on {name}: {error}") from error
    return scores
