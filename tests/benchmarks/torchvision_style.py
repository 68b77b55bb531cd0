"""The spatial companions by torchvision, image by image at the strengths that ours are given.

torchvision takes one strength for all images of a call. So there is a loop, as in a data loader; `*_batch` is
the single call at the greatest strength, which does less than ours: every image gets the same.

They differ at the border: torchvision's rotation leaves it black, its blur reflects without the border pixel.
"""

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from genimage_core.degrade import KERNEL_REACH
from genimage_core.sampling import AugmentParams


def blur(images: Tensor, params: AugmentParams) -> Tensor:
    pairs = zip(images, params.blur.tolist(), strict=True)
    return torch.stack([blur_batch(image, sigma) if sigma else image for image, sigma in pairs])


def blur_batch(images: Tensor, sigma: float) -> Tensor:
    side = 2 * int(KERNEL_REACH * sigma + 0.5) + 1
    return functional.gaussian_blur(images, [side, side], [sigma, sigma])


def rotate(images: Tensor, params: AugmentParams) -> Tensor:
    pairs = zip(images, params.rotate.tolist(), strict=True)
    return torch.stack([rotate_batch(image, degrees) for image, degrees in pairs])


def rotate_batch(images: Tensor, degrees: float) -> Tensor:
    return functional.rotate(images, degrees, interpolation=InterpolationMode.BILINEAR)


def flip(images: Tensor, params: AugmentParams) -> Tensor:
    pairs = zip(images, params.flip[:, 0].tolist(), strict=True)
    return torch.stack([functional.horizontal_flip(image) if flips else image for image, flips in pairs])


def flip_batch(images: Tensor) -> Tensor:
    return functional.horizontal_flip(images)


def jpeg(images: Tensor, params: AugmentParams) -> Tensor:
    """Like ours, it rounds to bytes, codes on the CPU, and gives float32 on the device of `images`."""
    pixels = images.mul(255).round_().byte().cpu()
    pairs = zip(pixels, params.jpeg.tolist(), strict=True)
    coded = [functional.jpeg(picture, quality) if quality else picture for picture, quality in pairs]
    return torch.stack(coded).to(images.device).float().div_(255)
