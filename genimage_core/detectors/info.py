"""What a checkpoint is, readable without torch."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open


@dataclass(frozen=True)
class CheckpointInfo:
    """What the weights are.

    Attributes:
        detector: Name of the detector.
        image_size: Side of its input, in pixels.
        generators: Every generator that these weights have been trained on, their base included.
        format_alignment: How its images were aligned.
        simulated: Whether those generators were the simulated ones of `mini`.
        crop: How its images were cut, one of `settings.CROPS`.
        real_size: Shortest and longest side that its real images had, in pixels; None for any.
    """

    detector: str
    image_size: int
    generators: tuple[str, ...] = ()
    format_alignment: str = "none"
    simulated: bool = False
    crop: str = "centre"
    real_size: tuple[int, int] | None = None


def require_fit(path: Path, detector: str, image_size: int) -> CheckpointInfo:
    """Read the description of a checkpoint that is to serve as `detector` at `image_size` px.

    Raises:
        ValueError: If it is no checkpoint, or one of another detector or size.
    """
    info = read_info(path)
    if (info.detector, info.image_size) != (detector, image_size):
        raise ValueError(
            f"{path} holds {info.detector} at {info.image_size} px, not {detector} at {image_size} px"
        )
    return info


def _check_types(info: CheckpointInfo) -> None:
    names = (info.detector, info.format_alignment, info.crop, *info.generators)
    if not all(isinstance(name, str) for name in names) or type(info.image_size) is not int:
        raise TypeError(f"its description does not make sense: {info}")


def read_info(path: Path) -> CheckpointInfo:
    """Read the description of a checkpoint without its weights.

    Raises:
        ValueError: If the file is missing, cut short or not a checkpoint of this project.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            fields = json.loads((file.metadata() or {})["info"])
        sides = fields.get("real_size")
        tuples = {"generators": tuple(fields["generators"]), "real_size": tuple(sides) if sides else None}
        info = CheckpointInfo(**{**fields, **tuples})
        _check_types(info)
        return info
    except (OSError, SafetensorError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a detector checkpoint of this project: {error}") from error
