"""A detector as one ONNX graph, from images to logit and probability, with what it is in its metadata.

Its libraries are the extra `onnx`: most do without, so they are imported where they are used.
"""

import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genimage_core.detectors.info import CheckpointInfo
from genimage_core.settings import require

LIBRARIES = ("onnx", "onnxruntime", "onnxscript")
IMAGES, LOGIT, PROBABILITY = "images", "logit", "probability"
OPSET = 18  # of 2022: runtimes know it, and it has the Fourier transform
LARGEST = 2**31 - 1  # bytes: what a file of this format holds
ABOUT = (
    "Is an image generated? images: RGB in [0, 1], float32 (batch, 3, size, size), cut and aligned as the "
    "metadata say; they are normalised or transformed here. logit: (batch), calibrated if the metadata have "
    "a temperature, above 0 means generated. probability: its sigmoid."
)


class _Scorer(nn.Module):
    """Maps images (B, 3, S, S) to their logits and probabilities, (B,) each."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.detector(images)
        return logits, torch.sigmoid(logits)


def require_libraries() -> None:
    """Refuse to begin without the libraries of the extra.

    Raises:
        ValueError: Naming what is missing and the command that brings it.
    """
    try:
        for name in LIBRARIES:
            importlib.import_module(name)
    except ImportError as error:
        raise ValueError(
            f"export needs {', '.join(LIBRARIES)} ({error}); the extra `onnx` brings them: "
            "`uv run --extra onnx python -m genimage_core export …`"
        ) from error


def write_onnx(
    path: Path, detector: nn.Module, info: CheckpointInfo, temperatures: Sequence[float] | None
) -> None:
    """Write a detector, or an `Ensemble`, for evaluation.

    Input `images`, float32 (batch, 3, S, S) in [0, 1], any batch; outputs `logit` and `probability`,
    float32 (batch,).

    Args:
        path: File to write.
        detector: On the CPU; it is left in evaluation mode.
        info: What it is; its fields are the metadata, see `metadata`.
        temperatures: Of every member of the ensemble, None if it is not calibrated.

    Raises:
        ValueError: If ONNX lacks an operation of the detector, or its weights are larger than a file may be.
    """
    from onnx import helper, save_model

    size = sum(tensor.nbytes for tensor in detector.state_dict().values())
    require(size < LARGEST, "weights, in bytes,", size, f"below {LARGEST}; export fewer detectors at once")
    model = _trace(_Scorer(detector).eval(), info)
    _forget_origin(model)
    model.doc_string = ABOUT
    helper.set_model_props(model, metadata(info, temperatures))
    save_model(model, str(path))


def metadata(info: CheckpointInfo, temperatures: Sequence[float] | None) -> dict[str, str]:
    """Return the fields of a description: names as they are, all else as JSON.

    `temperature` is a list, of one for each member; null if the logits are not calibrated.
    """
    fields = asdict(info) | {"temperature": temperatures}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()}


def _trace(scorer: nn.Module, info: CheckpointInfo) -> Any:
    """Return the graph as an `onnx.ModelProto`."""
    example = torch.zeros(2, 3, info.image_size, info.image_size)  # a batch of one would be taken for fixed
    try:
        program = torch.onnx.export(
            scorer,
            (example,),
            input_names=[IMAGES],
            output_names=[LOGIT, PROBABILITY],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        raise ValueError(f"{info.detector} cannot be exported to ONNX: {_reason(error)}") from error
    assert program is not None  # what dynamo=True returns
    return program.model_proto


def _reason(error: BaseException) -> str:
    """Return the first line of what lies at the bottom of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _forget_origin(model: Any) -> None:
    """Drop what the exporter notes at every node: lines of source files, under their paths here."""
    for graph in (model.graph, *model.functions):
        for part in (*graph.node, *graph.value_info, graph):
            part.ClearField("metadata_props")
