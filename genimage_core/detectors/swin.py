"""Swin transformers through timm, the only file that imports it."""

import timm
from torch import nn

from genimage_core.detectors.sizes import SWINS, window_for

TIMM_NAME = "swin_tiny_patch4_window7_224"


def build_swin(name: str, image_size: int, pretrained: bool) -> tuple[list[nn.Module], nn.Module]:
    """Build a Swin with one output.

    Args:
        name: A key of `SWINS`.
        image_size: Side of the input, in pixels.
        pretrained: Load timm's ImageNet weights (`swin_t` only).

    Returns:
        The five parts that can be frozen (patch embedding, stages 1 to 4) and the head.

    Raises:
        ValueError: If the windows do not allow `image_size`, or there are no pretrained weights.
    """
    if pretrained and name != "swin_t":
        raise ValueError(f"base imagenet exists for swin_t only, got detector {name}; choose another base")
    size = SWINS[name]
    model = timm.create_model(
        TIMM_NAME,
        pretrained=pretrained,
        num_classes=1,
        img_size=image_size,
        window_size=window_for(image_size),
        embed_dim=size.embed_dim,
        depths=size.depths,
        num_heads=size.num_heads,
        drop_path_rate=size.drop_path,
    )
    *early, last = model.layers
    return [model.patch_embed, *early, nn.Sequential(last, model.norm)], model.head
