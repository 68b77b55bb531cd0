"""Several detectors as one: the mean of their logits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from genimage_core.detectors.detector import load_detector
from genimage_core.detectors.info import CheckpointInfo, read_info


class Ensemble(nn.Module):
    """Maps images in [0, 1], shape (B, 3, H, W), to the mean of the logits of all members, (B,)."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([member(images) for member in self.members]).mean(0)


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
        simulated=any(info.simulated for info in infos),
    )


def load_ensemble(paths: Sequence[Path]) -> nn.Module:
    """Load one detector, or several as one.

    Raises:
        ValueError: If a file is no checkpoint or they do not go together.
    """
    describe_ensemble(paths)
    members = [load_detector(path) for path in paths]
    return members[0] if len(members) == 1 else Ensemble(members)
