"""GramNet: a ResNet-18 beside which Gram matrices of six of its maps describe the texture.

Source: Liu et al., "Global Texture Enhancement for Fake Face Detection in the Wild", CVPR 2020, with the
constants of the authors' code. Theirs takes channels in the order BGR from 0 to 255 and starts from weights
of its own; here the images are normalised as the ImageNet weights expect, as later benchmarks do.
"""

import math

import torch
from torch import Tensor, nn

from genimage_core.degrade import low_resolution
from genimage_core.detectors.backbones import Parts, build_resnet

WIDTH = 32  # channels of every branch
HIDDEN = 512
SMALLEST_SHARE = 1 / 4  # the authors draw sides from 64 to 256 pixels

Maps = tuple[Tensor, ...]


class RandomResolution(nn.Module):
    """In training, reduces half of the images to between a quarter of their side and all of it, and back.

    Images in [0, 1], (B, 3, S, S). Chance and side come from torch's global generator, like dropout. The
    authors reduce all of their images, of 1,024 pixels; here a crop at native scale would lose every trace.
    """

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return images
        side = images.shape[-1]
        sizes = torch.randint(math.ceil(side * SMALLEST_SHARE), side + 1, (len(images),))
        sizes[torch.rand(len(images)) < 0.5] = side
        reduced = [
            one if size == side else low_resolution(one[None], size)[0]
            for one, size in zip(images, sizes.tolist(), strict=True)
        ]
        return torch.stack(reduced)


def gram_matrix(maps: Tensor) -> Tensor:
    """Return F F^T / (C H W) of every image, (B, C, C), for maps (B, C, H, W), in float32."""
    with torch.autocast(maps.device.type, enabled=False):
        flat = maps.float().flatten(2)
        return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def _convolution(inside: int, outside: int, stride: int) -> nn.Sequential:
    layer = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(layer, nn.BatchNorm2d(outside), nn.ReLU())


class GramBranch(nn.Module):
    """Describes the texture of a map (B, C, H, W) by 32 numbers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = _convolution(channels, WIDTH, 1)
        self.describe = nn.Sequential(_convolution(1, WIDTH // 2, 2), _convolution(WIDTH // 2, WIDTH, 2))

    def forward(self, maps: Tensor) -> Tensor:
        gram = gram_matrix(self.reduce(maps))[:, None]
        described: Tensor = self.describe(gram).mean((2, 3))
        return described


class Stem(nn.Module):
    """First layers of a ResNet; keeps the image and both of its maps."""

    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        *convolution, pool = stem.children()
        self.convolution, self.pool = nn.Sequential(*convolution), pool

    def forward(self, images: Tensor) -> Maps:
        maps = self.convolution(images)
        return images, maps, self.pool(maps)


class Stage(nn.Module):
    """A stage that keeps the maps before its own."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage

    def forward(self, maps: Maps) -> Maps:
        return (*maps, self.stage(maps[-1]))


class GramHead(nn.Module):
    """Six Gram branches on all maps but the last, the mean of the last, and two linear layers to one logit.

    It is never frozen, so the branches learn whatever of the ResNet is.
    """

    def __init__(self, channels: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        *tapped, last = channels
        self.branches = nn.ModuleList(GramBranch(count) for count in tapped)
        self.scale = nn.Parameter(torch.ones(()))  # one for all branches
        features = last + WIDTH * len(tapped)
        self.classify = nn.Sequential(
            nn.Linear(features, HIDDEN), nn.ReLU(), nn.Dropout(dropout), nn.Linear(HIDDEN, 1)
        )

    def forward(self, maps: Maps) -> Tensor:
        textures = [branch(one) for branch, one in zip(self.branches, maps[:-1], strict=True)]
        features = torch.cat([maps[-1].mean((2, 3)), *(self.scale * texture for texture in textures)], 1)
        logits: Tensor = self.classify(features)
        return logits


def build_gramnet(
    *, pretrained: bool, dropout: float, drop_path: float
) -> tuple[nn.Module, Parts, nn.Module]:
    """Build the front, the five parts and the head."""
    (stem, *stages), _ = build_resnet(18, pretrained=pretrained, drop_path=drop_path)
    parts = [Stem(stem), *(Stage(stage) for stage in stages)]
    return RandomResolution(), parts, GramHead((3, 64, 64, 64, 128, 256, 512), dropout)
