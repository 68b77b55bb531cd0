"""The detector: a fixed front, a network in parts of which the first can be frozen, one logit."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from genimage_core.detectors.backbones import (
    Parts,
    build_deit,
    build_resnet,
    build_swin,
    pooled_head,
)
from genimage_core.detectors.catalogue import check_base, check_detector, check_drop_path
from genimage_core.detectors.checkpoint import load_weights
from genimage_core.detectors.f3net import build_f3net
from genimage_core.detectors.gramnet import build_gramnet
from genimage_core.detectors.info import read_info, require_fit
from genimage_core.detectors.spec import build_spec
from genimage_core.settings import require

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SYMMETRIC = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

Features = Tensor | tuple[Tensor, ...]  # some parts hand on the maps of earlier ones too


class Normalise(nn.Module):
    """Subtracts a mean and divides by a standard deviation, channel by channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Detector(nn.Module):
    """Maps images in [0, 1], shape (B, 3, H, W), to logits (B,); above 0 means fake.

    The first `freeze_depth` parts stay as they are: no gradient, evaluation mode (no dropout, no drop path),
    and no activation kept for a backward pass that would not use it. The front, which prepares the images,
    learns nothing.
    """

    def __init__(
        self,
        front: nn.Module,
        parts: Sequence[nn.Module],
        head: nn.Module,
        freeze_depth: int = 0,
        name: str = "detector",
    ) -> None:
        super().__init__()
        require(0 <= freeze_depth <= len(parts), "freeze_depth", freeze_depth, f"within 0 to {len(parts)}")
        self.front, self.parts, self.head = front, nn.ModuleList(parts), head
        self.freeze_depth, self.name = freeze_depth, name
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
        return self.classify(self.frozen_features(images))

    def frozen_features(self, images: Tensor) -> Features:
        """Return what the front and the frozen parts make of images."""
        features: Features = self.front(images)
        with torch.no_grad():
            for part in self.parts[: self.freeze_depth]:
                features = part(features)
        return features

    def classify(self, features: Features) -> Tensor:
        """Return one logit per image from what `frozen_features` made of it."""
        for part in self.parts[self.freeze_depth :]:
            features = part(features)
        logits: Tensor = self.head(features)
        return logits.squeeze(1)


def build_detector(
    name: str,
    *,
    image_size: int,
    base: str = "scratch",
    freeze_depth: int = 0,
    seed: int = 0,
    dropout: float = 0.0,
    drop_path: float = 0.0,
) -> Detector:
    """Build a detector.

    Args:
        name: A key of `catalogue.DETECTORS`.
        image_size: Side of the input, in pixels.
        base: `scratch`; `imagenet`, timm's weights wherever the detector has none of its own; or
            `checkpoint:PATH`, of the same detector and size.
        freeze_depth: Parts not to be trained, 0 to 5; the catalogue names them.
        seed: Seed of the random weights; the global random state is left as it was.
        dropout: Rate before the last layer, where a detector has one there.
        drop_path: Rate of stochastic depth; must be 0 for F3Net, whose Xceptions have none.

    Raises:
        ValueError: If the name is unknown, the size impossible, or the weights cannot be had.
    """
    check_detector(name, image_size, freeze_depth)
    check_base(name, base)
    check_drop_path(name, drop_path)
    kind, _, path = base.partition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        front, parts, head = _build(name, image_size, base == "imagenet", dropout, drop_path)
    detector = Detector(front, parts, head, freeze_depth, name)
    if kind == "checkpoint":
        require_fit(Path(path), name, image_size)
        load_weights(Path(path), detector)
    return detector


def _build(
    name: str, image_size: int, pretrained: bool, dropout: float, drop_path: float
) -> tuple[nn.Module, Parts, nn.Module]:
    rates = {"dropout": dropout, "drop_path": drop_path}
    match name:
        case "deit_s":
            return Normalise(*IMAGENET), *build_deit(image_size, pretrained=pretrained, **rates)
        case "resnet50" | "cnnspot":
            parts, channels = build_resnet(50, pretrained=pretrained, drop_path=drop_path)
            return Normalise(*IMAGENET), parts, pooled_head(channels, dropout)
        case "spec":
            return build_spec(pretrained=pretrained, **rates)
        case "f3net" | "f3net_mix":
            parts, head = build_f3net(
                image_size,
                mix=name == "f3net_mix",
                pretrained=pretrained,
                dropout=dropout,
            )
            return Normalise(*SYMMETRIC), parts, head
        case "gramnet":
            front, parts, head = build_gramnet(pretrained=pretrained, **rates)
            return nn.Sequential(front, Normalise(*IMAGENET)), parts, head
        case _:
            return Normalise(*IMAGENET), *build_swin(name, image_size, pretrained=pretrained, **rates)


def load_detector(path: Path, *, freeze_depth: int = 0) -> Detector:
    """Build the detector that a checkpoint describes and load its weights.

    Raises:
        ValueError: If the file is no checkpoint or its weights do not fit.
    """
    info = read_info(path)
    return build_detector(
        info.detector, image_size=info.image_size, base=f"checkpoint:{path}", freeze_depth=freeze_depth
    )
