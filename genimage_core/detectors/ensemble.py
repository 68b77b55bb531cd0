"""Several detectors as one: the mean of their logits, calibrated where all of them are."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from genimage_core.detectors.detector import load_detector
from genimage_core.detectors.info import CheckpointInfo, read_info


class Ensemble(nn.Module):
    """Maps images in [0, 1], shape (B, 3, H, W), to the mean of all members' logits, (B,).

    Attributes:
        members: The detectors.
        temperatures: What the logits of each are divided by first.
    """

    def __init__(self, members: Sequence[nn.Module], temperatures: Sequence[float]) -> None:
        super().__init__()
        self.members, self.temperatures = nn.ModuleList(members), tuple(temperatures)

    def forward(self, images: Tensor) -> Tensor:
        # In full precision: bfloat16 would round a quotient a second time.
        members = zip(self.members, self.temperatures, strict=True)
        return torch.stack([member(images).float() / warmth for member, warmth in members]).mean(0)


def describe_ensemble(paths: Sequence[Path]) -> CheckpointInfo:
    """Return what checkpoints have in common, the generators of all of them added up.

    Raises:
        ValueError: If they take images of different sizes, crops, alignments or bounds of size.
    """
    infos = [read_info(path) for path in paths]
    first = infos[0]
    for path, info in zip(paths, infos, strict=True):
        for field in ("image_size", "crop", "format_alignment", "real_size"):
            ours, theirs = getattr(first, field), getattr(info, field)
            if ours != theirs:
                raise ValueError(
                    f"an ensemble sees one image: {path} has {field} {theirs}, {paths[0]} has {ours}"
                )
    return replace(
        first,
        detector=", ".join(dict.fromkeys(info.detector for info in infos)),
        generators=tuple(dict.fromkeys(name for info in infos for name in info.generators)),
        calibrated_on=tuple(dict.fromkeys(name for info in infos for name in info.calibrated_on)),
        simulated=any(info.simulated for info in infos),
    )


def read_temperatures(paths: Sequence[Path]) -> tuple[float, ...] | None:
    """Return the temperature of every checkpoint; None if one has none.

    Calibrated logits and raw ones are on different scales: their mean would weigh the members by chance.
    """
    found = [read_info(path).temperature for path in paths]
    known = tuple(temperature for temperature in found if temperature is not None)
    return known if len(known) == len(found) else None


def load_ensemble(paths: Sequence[Path]) -> Ensemble:
    """Load one detector, or several as one.

    The logits are calibrated if every checkpoint has a temperature, else all are raw. Of an ensemble each
    member is calibrated: the temperature of their mean is not known.

    Raises:
        ValueError: If a file is no checkpoint or they do not go together.
    """
    describe_ensemble(paths)
    members = [load_detector(path) for path in paths]
    return Ensemble(members, read_temperatures(paths) or [1.0] * len(members))
