"""Weights on disk: safetensors with everything needed to use them in the header; nothing is unpickled."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from genimage_core.detectors.detector import Detector, build_detector
from genimage_core.detectors.info import CheckpointInfo, read_info


def save_checkpoint(path: Path, detector: Detector, info: CheckpointInfo) -> None:
    """Write weights and their description, atomically: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous().cpu() for name, tensor in detector.state_dict().items()}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder) / path.name
        save_file(state, partial, metadata={"info": json.dumps(asdict(info))})
        partial.rename(path)


def load_detector(path: Path, *, freeze_depth: int = 0) -> Detector:
    """Build the detector that a checkpoint describes and load its weights.

    Raises:
        ValueError: If the file is no checkpoint or its weights do not fit.
    """
    info = read_info(path)
    detector = build_detector(info.detector, image_size=info.image_size, freeze_depth=freeze_depth)
    try:
        detector.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"{path} does not fit {info.detector} at {info.image_size} px: {error}") from error
    return detector
