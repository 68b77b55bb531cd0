"""Amplitude and phase in NumPy, the way the literature does it: the full complex spectrum, image by image.

Written from the descriptions in the papers; nothing is copied. FACT (Xu et al., CVPR 2021) works on 8-bit
pictures, which NumPy transforms in float64; FDA (Yang & Soatto, CVPR 2020) and APR-P (Chen et al., ICCV 2021)
on float32 tensors, which NumPy 2 transforms in float32 (before, in float64). Channels are last for FACT and
first for the others. Where a published function transforms more than it has to, the thrifty way is taken.
"""

import math

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]


def fact(
    first: NDArray, second: NDArray, weight: float, area: float = 1.0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Mix the amplitudes of two (H, W, 3) pictures of 0 to 255, each under its own phase, both ways.

    Args:
        first: uint8 or float32.
        second: Likewise.
        weight: Share of the other amplitude.
        area: Share of the spectrum that is mixed, a centred window.
    """
    own, own_phase = _shifted_amplitude_and_phase(first, axes=(0, 1))
    other, other_phase = _shifted_amplitude_and_phase(second, axes=(0, 1))
    window = _centred(first.shape[:2], *(round(side * math.sqrt(area)) for side in first.shape[:2]))
    mixed, mixed_other = own.copy(), other.copy()
    mixed[window] = (1 - weight) * own[window] + weight * other[window]
    mixed_other[window] = (1 - weight) * other[window] + weight * own[window]
    results = (_back(mixed, own_phase, (0, 1)), _back(mixed_other, other_phase, (0, 1)))
    one, two = (np.clip(result, 0, 255).astype(np.uint8) for result in results)
    return one, two


def fda(source: Pixels, target: Pixels, share: float = 0.1) -> Pixels:
    """Give a (3, H, W) picture the low-frequency amplitude of another, in a centred window.

    Args:
        source: Lends the phase and the high frequencies.
        target: Lends the amplitude of the window.
        share: Half the side of the window as a share of the shorter side of the picture.
    """
    amplitude, phase = _shifted_amplitude_and_phase(source, axes=(-2, -1))
    lent, _ = _shifted_amplitude_and_phase(target, axes=(-2, -1))
    side = 2 * math.floor(min(source.shape[-2:]) * share) + 1
    window = (slice(None), *_centred(source.shape[-2:], side, side))
    amplitude[window] = lent[window]
    return _back(amplitude, phase, (-2, -1))


def apr_p(images: Pixels, order: NDArray[np.int64]) -> Pixels:
    """Give every picture of a batch (B, 3, H, W) the amplitude of another; channels are transformed too."""
    bins = np.fft.fftn(images, axes=(1, 2, 3))
    amplitude, phase = np.abs(bins), np.angle(bins)
    return np.real(np.fft.ifftn(amplitude[order] * np.exp(1j * phase), axes=(1, 2, 3)))


def _shifted_amplitude_and_phase(image: NDArray, axes: tuple[int, int]) -> tuple[NDArray, NDArray]:
    """Amplitude with zero frequency in the middle, and phase with zero frequency in the corner."""
    bins = np.fft.fft2(image, axes=axes)
    return np.fft.fftshift(np.abs(bins), axes=axes), np.angle(bins)


def _back(amplitude: NDArray, phase: NDArray, axes: tuple[int, int]) -> NDArray:
    bins = np.fft.ifftshift(amplitude, axes=axes) * np.exp(1j * phase)
    return np.real(np.fft.ifft2(bins, axes=axes))


def _centred(size: tuple[int, ...], height: int, width: int) -> tuple[slice, slice]:
    """Window around the bin of zero frequency, which `fftshift` puts at half the side, rounded down."""
    top, left = size[0] // 2 - height // 2, size[1] // 2 - width // 2
    return slice(top, top + height), slice(left, left + width)
