"""PURE: the operations on the spectra of a batch, by name, and what they work on.

Most operations multiply a bin by a gain or shift its phase. These are collected, and multiplied with the bins
once, at the end or when an operation adds to the bins.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import torch
from torch import Tensor

from genimage_core import fields, filters, mixing, spectrum
from genimage_core.sampling import AugmentParams


@dataclass
class Spectra:
    """Half spectra on their way through the operations.

    Attributes:
        bins: complex64 (B, C, H, W // 2 + 1), written over.
        params: Strengths of the B images.
        size: (H, W) in pixels.
        lent: Amplitudes of the partners, float32 likewise; None if they are found among `bins`.
        gain: Pending factor of every bin, (B, C or 1, H, W // 2 + 1), an even field; None is one.
        phase: Pending shift of every bin's phase in rad, likewise, an odd field; None is zero.
    """

    bins: Tensor
    params: AugmentParams
    size: tuple[int, int]
    lent: Tensor | None = None
    gain: Tensor | None = None
    phase: Tensor | None = None

    def strength(self, name: str) -> Tensor:
        """Numbers of `params` beside the bins, (B, C or 1)."""
        values: Tensor = getattr(self.params, name)
        return values.to(self.bins.device, non_blocking=True)

    @cached_property
    def frequency(self) -> Tensor:
        """Radius of every bin, (H, W // 2 + 1)."""
        return spectrum.radial_frequency(*self.size, self.bins.device)

    @cached_property
    def bits(self) -> Tensor:
        """Random bits of every pair: the lower half of a word is for noise, the upper half for phases."""
        return fields.random_bits(self.strength("seed"), *self.size)

    def scale(self, gain: Tensor) -> None:
        """Multiply the pending gain by another, which may be written over."""
        if self.gain is None:
            self.gain = gain
        elif gain.shape[1] <= self.gain.shape[1]:
            self.gain.mul_(gain)
        else:
            self.gain = gain.mul_(self.gain)

    def amplitude(self) -> Tensor:
        """Amplitudes, the pending gain included."""
        amplitude = spectrum.amplitude(self.bins)
        return amplitude if self.gain is None else amplitude.mul_(self.gain)

    def flush(self) -> Tensor:
        """Multiply the bins by what is pending, in place."""
        gain, phase = self.gain, self.phase
        self.gain = self.phase = None
        if phase is None:
            return self.bins if gain is None else self.bins.mul_(gain)
        real, imaginary = phase.cos(), phase.sin()
        if gain is not None:
            real, imaginary = real * gain, imaginary * gain
        return self.bins.mul_(torch.complex(real, imaginary))


def change(spectra: Spectra) -> Tensor:
    """Carry out the operations of a policy in their order, and blend in magnitude and phase if it says so.

    Returns:
        The bins, complex64 (B, C, H, W // 2 + 1), those of real images.
    """
    policy = spectra.params.policy
    blends = policy.blend_domain == "magnitude_phase"
    before = spectra.bins.clone() if blends and "peaks" in policy.spectral else None
    for name in policy.spectral:
        OPERATIONS[name](spectra)
    if before is not None:
        return _blend_bins(before, spectra.flush(), policy.blend_alpha, spectra.size)
    if blends:
        _blend_pending(spectra, policy.blend_alpha)
    return spectra.flush()


def _mix(spectra: Spectra) -> None:
    weight = spectrum.per_plane(spectra.strength("mix"))
    if spectra.params.policy.mix_kind == "fda":
        weight = weight * (spectra.frequency <= spectrum.per_plane(spectra.strength("mix_radius")))
    own = spectra.amplitude()
    other = own[spectra.strength("partner")] if spectra.lent is None else spectra.lent
    spectra.scale(mixing.amplitude_ratio(own, other, weight, spectra.size))


def _tilt(spectra: Spectra) -> None:
    knee = spectra.params.policy.tilt_knee
    spectra.scale(filters.tilt(spectra.frequency, spectra.strength("tilt"), knee))


def _noise(spectra: Spectra) -> None:
    policy = spectra.params.policy
    band = spectrum.band(*spectra.size, spectra.bins.device, policy.noise_low, policy.noise_high)
    normal = fields.normal(fields.lower_half(spectra.bits))
    spectra.scale(normal.mul_(band).mul_(spectrum.per_plane(spectra.strength("noise"))).exp_())


def _phase(spectra: Spectra) -> None:
    policy = spectra.params.policy
    band = spectrum.band(*spectra.size, spectra.bins.device, policy.phase_low, policy.phase_high)
    odd = band * spectrum.pair_sign(*spectra.size, band.device)
    half = fields.upper_half(spectra.bits)
    shift = fields.normal(half) if policy.phase_kind == "gaussian" else fields.symmetric(half)
    spectra.phase = shift.mul_(odd).mul_(spectrum.per_plane(spectra.strength("phase")))


def _mask(spectra: Spectra) -> None:
    policy, mask = spectra.params.policy, spectra.strength("mask")
    if policy.mask_kind == "random":
        bits = fields.random_bits(spectra.strength("seed"), *spectra.size, stream=1)
        gain = filters.random_stop(fields.uniform(bits), mask)
    else:
        centre = spectra.strength("mask_centre")
        gain = filters.band_stop(spectra.frequency, centre, mask, policy.mask_softness)
    if policy.mask_keeps_mean:
        gain[..., 0, 0] = 1
    spectra.scale(gain)


def _peaks(spectra: Spectra) -> None:
    policy = spectra.params.policy
    bounds = (policy.peak_count, policy.peak_low, policy.peak_high)
    index, waves = filters.plane_waves(spectra.params.seed, *bounds, spectra.size)
    waves = waves * spectra.params.peaks[..., None]
    bins = spectra.bins = spectra.flush().contiguous()
    shape = (*bins.shape[:2], -1)
    index, waves = (x.to(bins.device, non_blocking=True).expand(shape) for x in (index, waves))
    bins.view(shape).scatter_add_(2, index, waves)


OPERATIONS: Mapping[str, Callable[[Spectra], None]] = MappingProxyType(
    {"mix": _mix, "tilt": _tilt, "noise": _noise, "phase": _phase, "mask": _mask, "peaks": _peaks}
)


def _blend_pending(spectra: Spectra, alpha: float) -> None:
    """Go the share `alpha` of the way: linearly in magnitude, along the shorter arc in phase.

    A bin that is emptied has no phase to go to and keeps its own.
    """
    gain, phase = spectra.gain, spectra.phase
    if phase is not None:
        # Rounding to whole turns is an odd function, so the field stays odd.
        turns = (phase / (2 * math.pi)).round_()
        arc = (phase - turns * (2 * math.pi)) * alpha
        spectra.phase = arc if gain is None else arc * (gain > 0)
    if gain is not None:
        spectra.gain = gain.sub_(1).mul_(alpha).add_(1)


def _blend_bins(before: Tensor, after: Tensor, alpha: float, size: tuple[int, int]) -> Tensor:
    """Go the same way where bins were added to, so that no factor leads from one to the other.

    A bin that was empty takes the phase of the new one, and one that is its own conjugate, whose value is
    real, takes the sign of the new one beyond halfway.
    """
    own, new = spectrum.amplitude(before), spectrum.amplitude(after)
    has_phase = own > mixing.EMPTY * (size[0] * size[1]) ** 0.5
    start = torch.where(has_phase, before.angle(), after.angle())
    arc = torch.where(has_phase & (new > 0), (after * before.conj()).angle(), 0)
    real = spectrum.pair_sign(*size, before.device) == 0
    turn = arc * torch.where(real, float(alpha > 0.5), alpha)
    return spectrum.hermitian(torch.polar(torch.lerp(own, new, alpha), start + turn), size[1])
