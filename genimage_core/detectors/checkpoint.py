"""Weights on disk: safetensors with everything needed to use them in the header; nothing is unpickled."""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from genimage_core.detectors.info import CheckpointInfo


def save_checkpoint(path: Path, detector: nn.Module, info: CheckpointInfo) -> None:
    """Write weights and their description, atomically: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous().cpu() for name, tensor in detector.state_dict().items()}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder) / path.name
        save_file(state, partial, metadata={"info": json.dumps(asdict(info))})
        partial.rename(path)


def load_weights(path: Path, detector: nn.Module) -> None:
    """Load the weights of a checkpoint into a detector of the same kind and size.

    Raises:
        ValueError: If they do not fit.
    """
    try:
        detector.load_state_dict(load_file(path))
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(f"the weights in {path} do not fit what it says it holds: {error}") from error
