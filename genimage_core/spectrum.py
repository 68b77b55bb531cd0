"""PURE: the half spectrum of a real image: radial frequency, conjugate pairs, power spectra, pictures.

`torch.fft.rfft2` of an image of H x W pixels keeps H x (W // 2 + 1) bins; the rest follows from
X(-f) = conj X(f). Column 0 and, when W is even, column W / 2 hold both members of each of their pairs, so a
field on the half spectrum describes a real image only if it is even (a gain) or odd (a phase) inside these
columns. `irfft2` would otherwise replace it silently by its Hermitian part. A function of the radius or of
`pair_index` is even; `pair_sign` makes it odd.

Frequencies are in cycles per pixel: 0.5 is the Nyquist frequency along an axis, sqrt(1/2) the corner.

Grids depend on the size and the device only and are kept; they are shared, so they are never written to.
"""

from functools import lru_cache

import torch
from torch import Tensor

from genimage_core.limits import CORNER as CORNER

KEPT_GRIDS = 64


@lru_cache(maxsize=KEPT_GRIDS)
def radial_frequency(height: int, width: int, device: torch.device) -> Tensor:
    """Radius |f| of every bin in cycles per pixel, float32 (H, W // 2 + 1), from 0 to at most sqrt(1/2)."""
    # Float64 first: mirrored rows then round to the same number, and the corner to that of sqrt(1/2).
    rows = torch.fft.fftfreq(height, dtype=torch.float64)
    columns = torch.fft.rfftfreq(width, dtype=torch.float64)
    return _kept(torch.hypot(rows[:, None], columns).float(), device)


@lru_cache(maxsize=KEPT_GRIDS)
def band(height: int, width: int, device: torch.device, low: float, high: float) -> Tensor:
    """Bins with low <= |f| <= high but f = 0, float32 (H, W // 2 + 1): 1 inside and 0 outside."""
    frequency = radial_frequency(height, width, device)
    inside = ((frequency >= low) & (frequency <= high)).float()
    inside[0, 0] = 0
    return _kept(inside, device)


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


def amplitude(bins: Tensor) -> Tensor:
    """Modulus |X| of complex64 bins, float32. Faster than `abs`, which guards against overflow."""
    return bins.real.square().addcmul_(bins.imag, bins.imag).sqrt_()


def hermitian(bins: Tensor, width: int) -> Tensor:
    """Make half spectra exactly those of real images, in place: the upper member of each pair decides.

    Args:
        bins: complex (..., H, W // 2 + 1), Hermitian but for rounding and ties.
        width: W in pixels.

    Returns:
        `bins`.
    """
    height = bins.shape[-2]
    rows = torch.arange(height, device=bins.device)
    mirror = (height - rows) % height
    for column in {0, width // 2} if width % 2 == 0 else {0}:
        values = bins[..., column]
        values = torch.where(rows > mirror, values[..., mirror].conj(), values)
        bins[..., column] = torch.where(rows == mirror, values.real + 0j, values)
    return bins


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


def scaled_by(picture: Tensor, reference: Tensor) -> Tensor:
    """Stretch a picture: black and white are the 1 % and 99.9 % quantiles of `reference`; not clamped."""
    darkest, brightest = reference.quantile(0.01), reference.quantile(0.999)
    return (picture - darkest) / (brightest - darkest)


def per_plane(values: Tensor) -> Tensor:
    """Reshape (B, C) to (B, C, 1, 1), to meet images or their spectra; C may be 1 for all channels."""
    return values[..., None, None]


def _kept(grid: Tensor, device: torch.device) -> Tensor:
    # A grid first asked for under inference mode would be refused by autograd later on.
    with torch.inference_mode(False):
        return grid.clone().to(device)


def _self_paired(width: int) -> Tensor:
    """Columns of the half spectrum that hold both members of their pairs, bool (W // 2 + 1,)."""
    columns = torch.arange(width // 2 + 1)
    return (2 * columns) % width == 0
