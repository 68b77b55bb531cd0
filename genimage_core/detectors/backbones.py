"""The networks that timm has, cut into the parts that can be frozen; the only file that imports timm.

Every function takes the rates of dropout before the last layer and of stochastic depth, and whether to load
timm's ImageNet weights; it returns the five parts, in order, and the head where there is one.
"""

from typing import Any

import timm
import torch
from torch import Tensor, nn

from genimage_core.detectors.sizes import SWINS, window_for

SWIN = "swin_tiny_patch4_window7_224.ms_in1k"
DEIT = "deit_small_patch16_224.fb_in1k"
XCEPTION = "legacy_xception.tf_in1k"

Parts = list[nn.Module]


def build_swin(
    name: str, image_size: int, *, pretrained: bool, dropout: float, drop_path: float
) -> tuple[Parts, nn.Module]:
    """Build a Swin with one output.

    Args:
        name: A key of `SWINS`.
        image_size: Side of the input, in pixels.
        pretrained: Load ImageNet weights.
        dropout: Before the last layer.
        drop_path: Of the last block; it grows linearly from the first.

    Raises:
        ValueError: If the windows do not allow `image_size`.
    """
    size = SWINS[name]
    model = timm.create_model(
        SWIN,
        pretrained=pretrained,
        num_classes=1,
        img_size=image_size,
        window_size=window_for(image_size),
        embed_dim=size.embed_dim,
        depths=size.depths,
        num_heads=size.num_heads,
        drop_rate=dropout,
        drop_path_rate=drop_path,
    )
    *early, last = model.layers
    return [model.patch_embed, *early, nn.Sequential(last, model.norm)], model.head


class _Embedding(nn.Module):
    """Patches, the class token and positions."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.patch_embed, self.cls_token, self.pos_embed = model.patch_embed, model.cls_token, model.pos_embed

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], 1)
        placed: Tensor = tokens + self.pos_embed
        return placed


class _ClassToken(nn.Module):
    """Last norm and the linear layer on the class token."""

    def __init__(self, model: Any, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout, self.linear = model.norm, nn.Dropout(dropout), model.head

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.dropout(self.norm(tokens)[:, 0]))
        return logits


def build_deit(
    image_size: int, *, pretrained: bool, dropout: float, drop_path: float
) -> tuple[Parts, nn.Module]:
    """Build a DeiT-S, without distillation, with one output; `image_size` is a multiple of 16."""
    model = timm.create_model(
        DEIT, pretrained=pretrained, num_classes=1, img_size=image_size, drop_path_rate=drop_path
    )
    groups = [nn.Sequential(*model.blocks[first : first + 3]) for first in (0, 3, 6, 9)]
    return [_Embedding(model), *groups], _ClassToken(model, dropout)


def build_resnet(depth: int, *, pretrained: bool, drop_path: float = 0.0) -> tuple[Parts, int]:
    """Build the stem and stages of a ResNet with torchvision's weights; also the channels they end with."""
    model = timm.create_model(
        f"resnet{depth}.tv_in1k",
        pretrained=pretrained,
        num_classes=1,
        drop_path_rate=drop_path,
        zero_init_last=False,
    )
    stem = nn.Sequential(model.conv1, model.bn1, model.act1, model.maxpool)
    return [stem, model.layer1, model.layer2, model.layer3, model.layer4], model.num_features


def pooled_head(channels: int, dropout: float) -> nn.Module:
    """Mean over the map, dropout, a linear layer to one logit; weights of standard deviation 0.02.

    Source: CNNSpot draws its last layer so.
    """
    linear = nn.Linear(channels, 1)
    nn.init.normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), linear)


def build_xception(channels: int, *, stride: int, pretrained: bool) -> Parts:
    """Build an Xception for another number of input channels, ending in a map of 2,048.

    Weights of the first layer are repeated over the channels and divided by the number of repeats.

    Args:
        channels: Of the input, a multiple of 3.
        stride: Of the first layer.
        pretrained: Load ImageNet weights.
    """
    model = timm.create_model(XCEPTION, pretrained=pretrained, num_classes=1, in_chans=channels)
    model.conv1.stride = (stride, stride)
    blocks = [getattr(model, f"block{number}") for number in range(1, 13)]
    return [
        nn.Sequential(model.conv1, model.bn1, model.act1, model.conv2, model.bn2, model.act2),
        nn.Sequential(*blocks[:3]),
        nn.Sequential(*blocks[3:7]),
        nn.Sequential(*blocks[7:11]),
        nn.Sequential(blocks[11], model.conv3, model.bn3, model.act3, model.conv4, model.bn4, model.act4),
    ]
