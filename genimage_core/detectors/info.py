"""What a checkpoint is, readable without torch."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from genimage_core.settings import ALIGNMENTS, CROPS

_NO_DESCRIPTION = (KeyError, TypeError, AttributeError, json.JSONDecodeError, RecursionError)


@dataclass(frozen=True)
class CheckpointInfo:
    """What the weights are.

    Attributes:
        detector: Name of the detector.
        image_size: Side of its input, in pixels.
        generators: Every generator that these weights know: their base or they were trained on it, or it
            decided when their training ended.
        format_alignment: How its images were aligned.
        simulated: Whether those generators were the simulated ones of `mini`.
        crop: How its images were cut, one of `settings.CROPS`.
        real_size: Shortest and longest side that its real images had, in pixels; None for any.
        temperature: What its logits are divided by before their sigmoid is a probability, see `calibration`;
            None: it is not calibrated.
        calibrated_on: Generators whose validation images the temperature was fitted on.
    """

    detector: str
    image_size: int
    generators: tuple[str, ...] = ()
    format_alignment: str = "none"
    simulated: bool = False
    crop: str = "centre"
    real_size: tuple[int, int] | None = None
    temperature: float | None = None
    calibrated_on: tuple[str, ...] = ()


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
    names = (info.detector, info.format_alignment, info.crop, *info.generators, *info.calibrated_on)
    if not all(isinstance(name, str) for name in names) or type(info.image_size) is not int:
        raise TypeError(f"its description does not make sense: {info}")
    sides = info.real_size
    if sides is not None and (len(sides) != 2 or not all(type(side) is int for side in sides)):
        raise TypeError(f"its bounds of size must be two whole numbers, got {sides!r}")
    if info.format_alignment not in ALIGNMENTS or info.crop not in CROPS:
        raise TypeError(f"its images are cut or aligned in an unknown way: {info}")
    warmth = info.temperature
    if warmth is not None and not (isinstance(warmth, float) and 0 < warmth < math.inf):
        raise TypeError(f"its temperature must be a number above 0, got {warmth!r}")


def _listed(fields: Mapping[str, Any]) -> dict[str, tuple[Any, ...] | None]:
    """Return the fields that JSON holds as lists."""
    found = {name: fields.get(name) for name in ("generators", "calibrated_on", "real_size")}
    if not all(value is None or isinstance(value, list) for value in found.values()):
        raise TypeError(f"its generators and bounds of size must be lists, got {found}")
    sides = found["real_size"]
    return {
        "generators": tuple(fields["generators"]),
        "calibrated_on": tuple(found["calibrated_on"] or ()),
        "real_size": tuple(sides) if sides else None,
    }


def read_info(path: Path) -> CheckpointInfo:
    """Read the description of a checkpoint without its weights.

    Raises:
        ValueError: If the file is missing, cut short or not a checkpoint of this project.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            fields = json.loads((file.metadata() or {})["info"])
        info = CheckpointInfo(**{**fields, **_listed(fields)})
        _check_types(info)
        return info
    except (OSError, SafetensorError, *_NO_DESCRIPTION) as error:
        raise ValueError(f"{path} is not a detector checkpoint of this project: {error}") from error
