"""Does an ONNX file say what its detector says? Both are asked about the same images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genimage_core.detectors.onnx_graph import IMAGES, LOGIT, PROBABILITY

QUIET = 3  # onnxruntime's levels: from here on errors alone are told


@dataclass(frozen=True)
class Agreement:
    """How far an ONNX file is from its detector.

    Attributes:
        images: How many were compared, each alone in its batch and together with all others.
        logit: Largest difference of a logit; not a number if one of the file's is none.
        probability: Largest difference of a probability, likewise.
    """

    images: int
    logit: float
    probability: float

    def within(self, tolerance: float) -> bool:
        """Whether neither difference is larger."""
        return self.logit <= tolerance and self.probability <= tolerance


def compare(path: Path, detector: nn.Module, images: Tensor) -> Agreement:
    """Run a file with onnxruntime and its detector with PyTorch, both on the CPU.

    Args:
        path: Of the ONNX file.
        detector: What it was made from, on the CPU; left in evaluation mode.
        images: float32 (B, 3, S, S) in [0, 1].

    Raises:
        ValueError: If a logit of the detector itself is not finite.
    """
    with torch.inference_mode():
        logits = detector.eval()(images)
    if not logits.isfinite().all():
        raise ValueError("a logit of the detector itself is not finite: there is nothing to compare with")
    expected = np.stack([logits.numpy(), torch.sigmoid(logits).numpy()])
    session = open_session(path)
    together = run_session(session, images.numpy())
    alone = np.concatenate([run_session(session, image[None].numpy()) for image in images], 1)
    logit, probability = np.abs(np.stack([together, alone]) - expected).max((0, 2))
    return Agreement(len(images), float(logit), float(probability))


def open_session(path: Path) -> Any:
    """Open an ONNX file with onnxruntime, as an `InferenceSession` on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_session(session: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits and probabilities of images (B, 3, S, S), float32 (2, B)."""
    return np.stack(session.run([LOGIT, PROBABILITY], {IMAGES: images}))
