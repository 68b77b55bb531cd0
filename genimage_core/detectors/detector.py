"""The detector: normalisation, a network in parts of which the first can be frozen, one logit."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from genimage_core.detectors.sizes import SWINS
from genimage_core.detectors.swin import build_swin
from genimage_core.settings import MAX_FREEZE_DEPTH, require

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
DETECTORS = tuple(SWINS)


class Detector(nn.Module):
    """Maps images in [0, 1], shape (B, 3, H, W), to logits (B,); above 0 means fake.

    The first `freeze_depth` parts stay as they are: no gradient, evaluation mode (no dropout, no drop path),
    and no activation kept for a backward pass that would not use it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, parts: Sequence[nn.Module], head: nn.Module, freeze_depth: int = 0) -> None:
        super().__init__()
        require(0 <= freeze_depth <= len(parts), "freeze_depth", freeze_depth, f"within 0 to {len(parts)}")
        self.parts, self.head, self.freeze_depth = nn.ModuleList(parts), head, freeze_depth
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        for part in self.parts[:freeze_depth]:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> "Detector":
        """Switch to training mode, except for the frozen parts."""
        super().train(mode)
        for part in self.parts[: self.freeze_depth]:
            part.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit per image."""
        features = (images - self.mean) / self.std
        with torch.no_grad():
            for part in self.parts[: self.freeze_depth]:
                features = part(features)
        for part in self.parts[self.freeze_depth :]:
            features = part(features)
        logits: Tensor = self.head(features)
        return logits.squeeze(1)


def build_detector(
    name: str, *, image_size: int, freeze_depth: int = 0, seed: int = 0, pretrained: bool = False
) -> Detector:
    """Build a detector with weights drawn by `seed`, or timm's ImageNet weights under a new head.

    Args:
        name: One of `DETECTORS`.
        image_size: Side of the input, in pixels.
        freeze_depth: Parts not to be trained, 0 to 5.
        seed: Seed of the random weights; the global random state is left as it was.
        pretrained: Start from ImageNet weights.

    Raises:
        ValueError: If the name is unknown, the size impossible, or the weights cannot be had.
    """
    require(name in DETECTORS, "detector name", name, f"one of {', '.join(DETECTORS)}")
    require(0 <= freeze_depth <= MAX_FREEZE_DEPTH, "freeze_depth", freeze_depth, "within 0 to 5")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts, head = build_swin(name, image_size, pretrained)
    return Detector(parts, head, freeze_depth)
