"""PURE: log power spectra of images in dB, as they are averaged and compared between reals and fakes.

Which plane: the luma. JPEG stores it at full resolution and with its finest steps, so that the least of what
is seen is compression; the decoders of generators leave their traces in it, too.

Why a window: opposite edges of a photograph do not meet, and the jump leaks along both axes of the spectrum,
where it covers the peaks of an up-sampling grid. A Hann window takes it away. It costs resolution: a plane
wave covers three bins instead of one along each axis. The mean of the image is taken off first, lest it leak
into the lowest frequencies.

Which scale: pixels of full scale 1, so that 0 dB is white noise of variance 1. An image times c gains
20 log10(c) dB in every bin.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from genimage_core.augment import LUMA_WEIGHTS
from genimage_core.spectrum import power_spectrum, radial_power

# A hundredth of the power of rounding to 8 bits (uniform, variance 1/12 of a squared step). What lies below
# is counted as this, so that a flat image is very smooth and not minus infinity.
SMALLEST_POWER = (1 / 255) ** 2 / 12 / 100


def luma(images: Tensor) -> Tensor:
    """Return the luma (BT.601) of uint8 images (N, H, W, 3) as float32 (N, H, W) in [0, 1]."""
    red, green, blue = (images[..., channel].float() * weight for channel, weight in enumerate(LUMA_WEIGHTS))
    planes: Tensor = (red + green + blue) / 255
    return planes


def log_power(images: Tensor) -> Tensor:
    """Log power spectrum of every image, windowed.

    Args:
        images: float (..., H, W), full scale 1.

    Returns:
        float (..., H, W // 2 + 1) in dB, at least that of `SMALLEST_POWER`; the bin of f = 0 tells nothing,
        for the mean is taken off. White noise of variance v lies 2.5 dB below 10 log10(v): the mean of the
        logarithm of a bin is less than the logarithm of its mean.
    """
    return _decibels(power_spectrum(windowed(images)))


def radial_log_power(images: Tensor, rings: int | None = None) -> tuple[Tensor, Tensor]:
    """Log of the power spectrum of every image, windowed, averaged over rings.

    The power is averaged before the logarithm is taken: a few strong bins, as an up-sampling grid leaves
    them, then show in their ring.

    Args:
        images: float (..., H, W), full scale 1.
        rings: How many, as in `spectrum.radial_power`.

    Returns:
        Centre of every ring (rings,), in cycles per pixel up to 0.5, and its power (..., rings) in dB, at
        least that of `SMALLEST_POWER`.

    Raises:
        ValueError: If `rings` is out of range.
    """
    centres, power = radial_power(windowed(images), rings)
    return centres, _decibels(power)


def windowed(images: Tensor) -> Tensor:
    """Take the mean off images (..., H, W) and fade their edges out; white noise keeps its variance.

    The mean is weighted by the window: what is left has exactly no power at f = 0.
    """
    window = _hann(*images.shape[-2:]).to(images)
    mean = (images * window).sum((-2, -1), keepdim=True) / window.sum()
    faded: Tensor = (images - mean) * (window / window.square().mean().sqrt())
    return faded


def multiplicity(height: int, width: int) -> Tensor:
    """How many bins of the full spectrum each bin of the half spectrum stands for, float32 (H, W // 2 + 1).

    2, but 1 in columns that hold both members of their pairs, and 0 at f = 0, which is not to count.
    """
    columns = torch.arange(width // 2 + 1)
    counts = torch.where((2 * columns) % width == 0, 1.0, 2.0).repeat(height, 1)
    counts[0, 0] = 0
    return counts


def centred(half: Tensor, width: int) -> Tensor:
    """Complete an even half spectrum and put zero frequency in the middle, to look at.

    Args:
        half: (..., H, W // 2 + 1), the same for both members of a pair, as powers are.
        width: W in pixels.

    Returns:
        (..., H, W); zero frequency lies at row H // 2, column W // 2.
    """
    height = half.shape[-2]
    mirrored = (height - torch.arange(height)) % height
    missing = torch.arange(width // 2 + 1, width)
    full = torch.cat([half, half[..., mirrored, :][..., width - missing]], dim=-1)
    picture: Tensor = torch.fft.fftshift(full, dim=(-2, -1))
    return picture


def _decibels(power: Tensor) -> Tensor:
    decibels: Tensor = 10 * power.clamp_min(SMALLEST_POWER).log10()
    return decibels


@lru_cache(maxsize=8)
def _hann(height: int, width: int) -> Tensor:
    rows, columns = (
        0.5 - 0.5 * torch.cos(torch.arange(n, dtype=torch.float64) * (2 * math.pi / n))
        for n in (height, width)
    )
    return rows[:, None] * columns
