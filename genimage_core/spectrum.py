"""PURE: the half spectrum of a real image: radial frequency, masks, random fields, power spectra.

`torch.fft.rfft2` of an image of H x W pixels keeps H x (W // 2 + 1) bins; the rest follows from
X(-f) = conj X(f). Column 0 and, when W is even, column W / 2 hold both members of each of their pairs, so a
field on the half spectrum describes a real image only if it is even (a gain) or odd (a phase) inside these
columns. `irfft2` would otherwise replace it silently by its Hermitian part. Everything made here obeys that.

Frequencies are in cycles per pixel: 0.5 is the Nyquist frequency along an axis, sqrt(1/2) the corner.

Grids depend on the size and the device only and are kept; they are shared, so they are never written to.
"""

from functools import lru_cache

import torch
from torch import Tensor

CORNER = 0.5**0.5
KEPT_GRIDS = 64


@lru_cache(maxsize=KEPT_GRIDS)
def radial_frequency(height: int, width: int, device: torch.device) -> Tensor:
    """Radius |f| of every bin in cycles per pixel, float32 (H, W // 2 + 1), from 0 to at most sqrt(1/2)."""
    # Float64 first: mirrored rows then round to the same number, and the corner to that of sqrt(1/2).
    rows = torch.fft.fftfreq(height, dtype=torch.float64)
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    return _kept(torch.hypot(rows[:, None], columns).float(), device)


@lru_cache(maxsize=KEPT_GRIDS)
def pair_index(height: int, width: int, device: torch.device) -> Tensor:
    """Number of the conjugate pair of every bin, int32 (H, W // 2 + 1): any function of it is even."""
    rows = torch.arange(height)[:, None]
    columns = torch.arange(width // 2 + 1)
    upper = torch.minimum(rows, (height - rows) % height)
    row_of_pair = torch.where(_self_paired(width), upper, rows)
    return _kept((row_of_pair * len(columns) + columns).int(), device)


@lru_cache(maxsize=KEPT_GRIDS)
def pair_sign(height: int, width: int, device: torch.device) -> Tensor:
    """Sign that makes a function of `pair_index` odd, float32 (H, W // 2 + 1).

    It is -1 for the second member of a pair, 0 where a bin is its own conjugate (there the spectrum of a real
    image is real) and +1 elsewhere.
    """
    rows = torch.arange(height)[:, None]
    sign = torch.sign((height - rows) % height - rows).float()
    return _kept(torch.where(_self_paired(width), sign, 1.0), device)


def low_pass(frequency: Tensor, radius: Tensor) -> Tensor:
    """Bins kept by a low-pass filter: |f| <= radius.

    Args:
        frequency: (H, W // 2 + 1), from `radial_frequency`.
        radius: (B,), one per image, in cycles per pixel; sqrt(1/2) keeps everything.

    Returns:
        bool (B, 1, H, W // 2 + 1).
    """
    return frequency <= per_image(radius)


def high_pass(frequency: Tensor, radius: Tensor) -> Tensor:
    """Bins kept by a high-pass filter that spares the mean: |f| >= radius, and f = 0.

    Args:
        frequency: (H, W // 2 + 1), from `radial_frequency`.
        radius: (B,), one per image, in cycles per pixel; 0 keeps everything.

    Returns:
        bool (B, 1, H, W // 2 + 1).
    """
    return (frequency >= per_image(radius)) | (frequency == 0)


def ring(frequency: Tensor, centre: Tensor, width: Tensor) -> Tensor:
    """Bins kept by a band stop that spares the mean: ||f| - centre| >= width / 2, and f = 0.

    Args:
        frequency: (H, W // 2 + 1), from `radial_frequency`.
        centre: (B,), one per image, in cycles per pixel.
        width: (B,), one per image, in cycles per pixel; 0 keeps everything.

    Returns:
        bool (B, 1, H, W // 2 + 1).
    """
    distance = (frequency - per_image(centre)).abs_()
    return (distance >= per_image(width / 2)) | (frequency == 0)


def random_bits(seeds: Tensor, height: int, width: int, stream: int = 0) -> Tensor:
    """32 random bits per image and conjugate pair, equal in both bins of a pair.

    The bits are a function of the seed, the bin, H and W alone: they depend neither on the other images of
    the batch nor on the device, and the seed is all it takes to draw them again. Each word is the counter of
    the pair, combined with the seed and scrambled by the finaliser of MurmurHash3 (Appleby, 2011, `fmix32`),
    a bijection: the words of one image are all different.

    Args:
        seeds: (B,), integers from 0 to 2**31 - 1.
        height: H in pixels.
        width: W in pixels.
        stream: Number of the field, for a seed that needs more than one.

    Returns:
        int32 (B, 1, H, W // 2 + 1).
    """
    counter = pair_index(height, width, seeds.device) + stream * height * (width // 2 + 1)
    bits = (counter * _signed(0x9E3779B1)) ^ per_image(seeds.int())
    _fold(bits, 16).mul_(_signed(0x85EBCA6B))
    _fold(bits, 13).mul_(_signed(0xC2B2AE35))
    return _fold(bits, 16)


def normal_pair(bits: Tensor) -> tuple[Tensor, Tensor]:
    """Two independent standard normal fields out of one of `random_bits`.

    Each half of a word picks one of 65,536 equally likely values: the normal quantiles in the middle of as
    many steps of probability, rescaled to variance one. The largest is 4.3.

    Returns:
        Two float32 tensors of the shape of `bits`.
    """
    table = _normal_quantiles(bits.device)
    low = torch.index_select(table, 0, (bits & 0xFFFF).view(-1))
    high = torch.index_select(table, 0, _shift_right(bits, 16).view(-1))
    return low.view(bits.shape), high.view(bits.shape)


def uniform(bits: Tensor) -> Tensor:
    """Numbers in [0, 1) from the upper 24 bits, float32: all that its mantissa tells apart."""
    return _shift_right(bits, 8).float().mul_(2.0**-24)


def power_spectrum(images: Tensor) -> Tensor:
    """Periodogram |X|^2 / (H W) of every channel.

    Summed over both halves of the spectrum it is the sum of the squared pixels (Parseval); white noise of
    variance v has the level v.

    Args:
        images: float (..., H, W).

    Returns:
        float (..., H, W // 2 + 1).
    """
    spectrum = torch.fft.rfft2(images)
    return torch.view_as_real(spectrum).square().sum(-1) / (images.shape[-2] * images.shape[-1])


def radial_power(images: Tensor, rings: int | None = None) -> tuple[Tensor, Tensor]:
    """Power spectrum averaged over rings of equal width between zero and the Nyquist frequency.

    The mean of the image (f = 0) and the corners beyond 0.5 cycles per pixel are left out.

    Args:
        images: float (..., H, W).
        rings: How many, from 1 to min(H, W) // 2, which is also the default.

    Returns:
        Centre of every ring (rings,), in cycles per pixel, and its mean power (..., rings).

    Raises:
        ValueError: If `rings` is out of range; a thinner ring might contain no bin.
    """
    height, width = images.shape[-2:]
    most = min(height, width) // 2
    rings = most if rings is None else rings
    if not 1 <= rings <= most:
        raise ValueError(f"rings must be within 1 to {most} for {height} x {width} pixels, got {rings}")
    frequency = radial_frequency(height, width, images.device)
    inside = (frequency > 0) & (frequency <= 0.5)
    which = torch.ceil(frequency[inside] * (2 * rings)).long() - 1
    weight = torch.where(_self_paired(width).to(images.device), 1.0, 2.0).expand_as(frequency)[inside]
    power = power_spectrum(images)[..., inside] * weight
    sums = power.new_zeros((*power.shape[:-1], rings)).index_add_(-1, which, power)
    counts = weight.new_zeros(rings).index_add_(0, which, weight)
    centres = (torch.arange(rings, device=images.device) + 0.5) / (2 * rings)
    return centres, sums / counts


def log_amplitude_picture(images: Tensor) -> Tensor:
    """Natural logarithm of the amplitude of the full spectrum with zero frequency in the middle, to look at.

    Args:
        images: float (..., H, W).

    Returns:
        float (..., H, W); zero frequency lies at row H // 2, column W // 2.
    """
    amplitude = torch.fft.fft2(images).abs().clamp_min(1e-8)
    picture: Tensor = torch.fft.fftshift(amplitude.log(), dim=(-2, -1))
    return picture


def per_image(values: Tensor) -> Tensor:
    """Reshape (B,) to (B, 1, 1, 1), to meet images or their spectra."""
    return values.view(-1, 1, 1, 1)


def _kept(grid: Tensor, device: torch.device) -> Tensor:
    # A grid first asked for under inference mode would be refused by autograd later on.
    with torch.inference_mode(False):
        return grid.clone().to(device)


def _self_paired(width: int) -> Tensor:
    """Columns of the half spectrum that hold both members of their pairs, bool (W // 2 + 1,)."""
    columns = torch.arange(width // 2 + 1)
    return (2 * columns) % width == 0


@lru_cache(maxsize=8)
def _normal_quantiles(device: torch.device) -> Tensor:
    middles = (torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16
    quantiles = torch.special.ndtri(middles)
    return _kept((quantiles / quantiles.std(correction=0)).float(), device)


def _fold(bits: Tensor, by: int) -> Tensor:
    return bits.bitwise_xor_(_shift_right(bits, by))


def _shift_right(bits: Tensor, by: int) -> Tensor:
    # Int32 shifts in copies of the sign; few operations exist for uint32.
    return (bits >> by).bitwise_and_((1 << (32 - by)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word
