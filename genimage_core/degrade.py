"""PURE: what happens to images on their way: blur, JPEG compression and loss of resolution.

Blur and JPEG are the augmentation of CNNSpot (Wang et al., "CNN-generated images are surprisingly easy to
spot... for now", CVPR 2020): sigma ~ U(0, 3) and quality uniform over the integers from 30 to 100, each with
probability one half. Blur, JPEG and low resolution are also the degradations of GenImage's second task.

Strengths have one entry per image, n = B, best kept on the CPU. The result is always a new tensor; the images
of a batch do not influence each other, and one whose strength is zero comes back bit for bit.
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from genimage_core.geometry import change_rows, check_images, check_strengths, mirrored

LARGEST_SIGMA = 100.0  # pixels
KERNEL_REACH = 4.0  # standard deviations; the weights beyond sum to 6e-5


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Convolve every image with its own Gaussian; beyond the border the image is mirrored.

    The kernel is sampled at whole pixels up to `KERNEL_REACH` * sigma and sums to one; the mirror stands on
    the outer edge of the border pixels, as in `geometry`, and is repeated where the kernel is wider than the
    image. That is `scipy.ndimage.gaussian_filter` with its defaults, which CNNSpot uses. The mean of each
    image is kept, and a frequency f, in cycles per pixel, is multiplied by exp(-2 pi^2 sigma^2 f^2); below
    half a pixel of sigma the sampled kernel follows that less closely, and below 1/8 it is a single pixel.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        sigma: (n,), standard deviation in pixels, from 0 to `LARGEST_SIGMA`.

    Returns:
        float32 (B, 3, H, W) in [0, 1], also under autocast.

    Raises:
        ValueError: If an argument is not what is described above.
    """
    check_images(images)
    check_strengths("sigma", sigma, len(images), torch.float32, (0, LARGEST_SIGMA))
    result = images.clone()
    with torch.autocast(images.device.type, enabled=False):
        change_rows(result, sigma > 0, partial(_smooth, kernels=_gaussians(sigma[sigma > 0])))
    return result


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """Encode every image as JPEG and decode it again, with Pillow and in memory.

    Pixels are rounded to the nearest of 256 levels first. Chroma is kept at half the resolution in either
    direction (4:2:0) at every quality, as by Pillow's default. Images are coded on the CPU, one by one, by as
    many threads as torch uses; no gradient flows.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        quality: integers (n,), from 1 to 100; 0 leaves the image alone.

    Returns:
        float32 (B, 3, H, W), multiples of 1/255 in the images that were coded.

    Raises:
        ValueError: If an argument is not what is described above.
    """
    check_images(images)
    check_strengths("quality", quality, len(images), torch.int64, (0, 100))
    result = images.clone()
    change_rows(result, quality > 0, partial(_recode, quality=quality[quality > 0].tolist()))
    return result


def low_resolution(images: Tensor, size: int) -> Tensor:
    """Reduce images to `size` x `size` pixels and enlarge them again to what they were.

    Bilinear both ways, with the support widened by the factor of the reduction (antialiasing), as Pillow
    resizes. GenImage's second task takes 112 and 64 of 224 pixels; whether and how it enlarges them again is
    not published, here it is done so that detectors of one input size can be compared.

    Args:
        images: float32 (B, 3, H, W) in [0, 1].
        size: In pixels, from 1 to min(H, W).

    Returns:
        float32 (B, 3, H, W) in [0, 1].

    Raises:
        ValueError: If an argument is not what is described above.
    """
    check_images(images)
    height, width = images.shape[2:]
    most = min(height, width)
    if not 1 <= size <= most:
        raise ValueError(f"size must be within 1 to {most} for {height} x {width} pixels, got {size}")
    resize = partial(functional.interpolate, mode="bilinear", antialias=True)
    small = resize(images, size=(size, size))
    return resize(small, size=(height, width)).clamp(0, 1)


def _reduced(images: Tensor, share: float) -> Tensor:
    return low_resolution(images, max(1, round(share * min(images.shape[2:]))))


def _compressed(images: Tensor, quality: int) -> Tensor:
    return jpeg(images, torch.full((len(images),), quality))


def _blurred(images: Tensor, sigma: float) -> Tensor:
    return blur(images, torch.full((len(images),), sigma))


# GenImage's second task. Low resolutions are of its 224 pixels: other sizes are reduced by the same factor.
DEGRADATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "low resolution 112": partial(_reduced, share=112 / 224),
        "low resolution 64": partial(_reduced, share=64 / 224),
        "JPEG 65": partial(_compressed, quality=65),
        "JPEG 30": partial(_compressed, quality=30),
        "blur 3": partial(_blurred, sigma=3.0),
        "blur 5": partial(_blurred, sigma=5.0),
    }
)


def _gaussians(sigma: Tensor) -> Tensor:
    """Kernels of unit sum, float32 (B, 2 R + 1): each one ends where its own sigma says, zeros follow."""
    sigma = sigma.cpu().double()[:, None]
    radius = (KERNEL_REACH * sigma + 0.5).floor()
    reach = int(radius.max()) if len(sigma) else 0
    distance = torch.arange(-reach, reach + 1).abs()
    kernels = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance <= radius)
    # In float64 the sum rounds to the same kernel however many zeros follow, that is, in every batch.
    return (kernels / kernels.sum(1, keepdim=True)).float()


def _smooth(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve down the columns, then along the rows: every channel of every image is one group."""
    batch, channels, height, width = images.shape
    groups, reach = batch * channels, kernels.shape[1] // 2
    weight = kernels.repeat_interleave(channels, 0).to(images.device)
    down = _extended(images, reach, 2).view(1, groups, -1, width)
    down = functional.conv2d(down, weight.view(groups, 1, -1, 1), groups=groups)
    across = _extended(down, reach, 3)
    across = functional.conv2d(across, weight.view(groups, 1, 1, -1), groups=groups)
    return across.reshape(batch, channels, height, width).clamp_(0, 1)


def _extended(images: Tensor, reach: int, dim: int) -> Tensor:
    """Images with `reach` mirrored pixels more on either side along `dim`, contiguous."""
    size = images.shape[dim]
    source = mirrored(torch.arange(-reach, size + reach), size).to(images.device)
    return images.contiguous().index_select(dim, source)


def _recode(images: Tensor, quality: Iterable[int]) -> Tensor:
    pixels = images.mul(255).round_().byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()
    # Pillow's codec lets go of the interpreter lock.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        coded = np.stack(list(pool.map(_code, pixels, quality)))
    return torch.from_numpy(coded).to(images.device).permute(0, 3, 1, 2).float().div_(255)


def _code(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(buffer))
