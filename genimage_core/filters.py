"""PURE: what multiplies the bins of a half spectrum, and the plane waves that are added to it.

Gains are functions of the radius |f| or of `pair_index`, hence even; `odd` fields carry `pair_sign`. So every
spectrum built of them is that of a real image, in the self-paired columns too (see `spectrum`).

Shapes: `frequency` is (H, W // 2 + 1), from `spectrum.radial_frequency`; strengths are (B, C), one for each
plane, and results (B, C, H, W // 2 + 1), unless stated otherwise. Frequencies are in cycles per pixel.
"""

import math

import torch
from torch import Tensor

from genimage_core.fields import Stream, draw, several
from genimage_core.spectrum import per_plane


def band_stop(frequency: Tensor, centre: Tensor, half_width: Tensor, softness: float = 0.0) -> Tensor:
    """Gain that removes the frequencies around a centre: low-pass, high-pass and ring in one.

    A low-pass of radius r has its centre in the corner, sqrt(1/2), and the half-width sqrt(1/2) - r; a
    high-pass of radius r has its centre at 0 and the half-width r.

    Args:
        frequency: Radius of every bin.
        centre: (B, C), 0 to sqrt(1/2).
        half_width: (B, C); 0 keeps everything.
        softness: Width of the raised-cosine edge, which lies inside the band; 0 is a hard edge.

    Returns:
        float32: 1 where ||f| - centre| >= half_width, 0 where it is at most half_width - softness.
    """
    distance = (frequency - per_plane(centre)).abs_()
    if softness == 0:
        return (distance >= per_plane(half_width)).float()
    depth = (per_plane(half_width) - distance).mul_(math.pi / softness).clamp_(0, math.pi)
    return depth.cos_().add_(1).mul_(0.5)


def random_stop(chance: Tensor, ratio: Tensor) -> Tensor:
    """Gain that removes single pairs of bins: 0 where `chance` < `ratio`, 1 elsewhere.

    Args:
        chance: Uniform in [0, 1), the same for both bins of a pair.
        ratio: (B, C), probability of removal.
    """
    return (chance >= per_plane(ratio)).float()


def tilt(frequency: Tensor, exponent: Tensor, knee: float) -> Tensor:
    """Gain max(1, |f| / knee) ** exponent; the power of white noise gets the slope 2 * exponent.

    Args:
        frequency: Radius of every bin.
        exponent: (B, C).
        knee: Frequency up to which nothing changes, above 0.
    """
    return ((frequency / knee).clamp_min_(1).log_() * per_plane(exponent)).exp_()


def plane_waves(
    seeds: Tensor, count: int, low: float, high: float, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Bins of plane waves of amplitude one (AFA: Vaish et al., CVPR 2024).

    Radius and direction are uniform, rounded to the nearest bin, and so is the phase. A wave that would be
    rounded to f = 0 is left out.

    Args:
        seeds: int64 (B, C).
        count: K, waves in each plane.
        low: Smallest radius.
        high: Greatest radius, up to 0.5 cycles per pixel.
        size: (H, W) in pixels.

    Returns:
        Index of the bins among the H * (W // 2 + 1), int64 (B, C, 2 K), and what to add there, complex64. The
        second K are the conjugates of the first, zero unless the half spectrum keeps both.
    """
    height, width = size
    kept = width // 2 + 1
    # In float64 two devices practically never round one wave to two bins.
    streams = (Stream.PEAK_RADIUS, Stream.PEAK_ANGLE, Stream.PEAK_PHASE)
    radius, angle, phase = (draw(seeds, several(stream, count)).double() for stream in streams)
    radius, angle = low + (high - low) * radius, math.pi * angle
    rows = (radius * angle.cos() * height).round().long()
    columns = (radius * angle.sin() * width).round().long().clamp_(max=kept - 1)
    modulus = (rows.abs() + columns > 0).double() * (height * width / 2)
    wave = torch.polar(modulus, 2 * math.pi * phase)
    conjugate = wave.conj() * (2 * columns % width == 0)
    index = torch.cat([rows % height * kept + columns, -rows % height * kept + columns], -1)
    return index, torch.cat([wave, conjugate], -1).to(torch.complex64)
