"""The whole of `apply` once more, in float64 NumPy on the full complex spectrum, bin by bin."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from augmentations import SPECTRAL_POLICIES, draw, noise_images, one
from scipy import stats

from genimage_core import augment, operations
from genimage_core.augment import FrequencyPolicy, apply
from genimage_core.fields import STREAMS, Stream

LUMA = np.array([0.299, 0.587, 0.114])
QUANTILES = stats.norm.ppf((np.arange(2**16) + 0.5) / 2**16)
QUANTILES /= QUANTILES.std()


@pytest.mark.parametrize("size", [(16, 16), (17, 15), (8, 20), (15, 16)])
@pytest.mark.parametrize("policy", SPECTRAL_POLICIES.values(), ids=SPECTRAL_POLICIES)
def test_the_oracle_agrees(policy, size):
    agree(noise_images(size=size), draw(policy))


@pytest.mark.parametrize("policy", SPECTRAL_POLICIES.values(), ids=SPECTRAL_POLICIES)
def test_the_oracle_agrees_block_by_block(policy, monkeypatch):
    monkeypatch.setattr(augment, "CPU_BLOCK", 4 * 8 * 10)
    agree(noise_images(size=(8, 10)), draw(policy))


def agree(images, params):
    expected = oracle(images.double().numpy(), params)
    np.testing.assert_allclose(apply(images, params).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.3, 0.7])
@pytest.mark.parametrize("size", [(2, 2), (4, 2), (2, 5), (1, 4)])
def test_the_oracle_agrees_about_peaks_on_bins_whose_value_is_real(size, alpha):
    policy = FrequencyPolicy(
        peak_scale=0.5, peak_count=2, peak_low=0.2, blend_domain="magnitude_phase", blend_alpha=alpha
    )
    agree(noise_images(64, size, contrast=0.2), draw(policy, labels=torch.zeros(64)))


@pytest.mark.parametrize("seed", range(20))
def test_a_peak_of_opposite_phase_leaves_the_spectrum_of_a_real_image(seed):
    """Both arcs are half a turn then; rounding decides for one member of a pair, and the other follows."""
    peak = FrequencyPolicy(peak_scale=0.5, peak_low=0.1, peak_high=0.4)
    params = one(peak, peaks=0.2, seed=torch.tensor([[seed * 7919]]))
    grey = torch.full((1, 3, 9, 1), 0.5)
    opposite = grey - 0.25 * (apply(grey, params) - grey)
    blended = replace(params, policy=replace(peak, blend_domain="magnitude_phase", blend_alpha=0.5))
    bins = operations.change(operations.Spectra(torch.fft.rfft2(opposite), blended, (9, 1)))
    back = torch.fft.rfft2(torch.fft.irfft2(bins, s=(9, 1)))
    torch.testing.assert_close(back, bins, atol=1e-5, rtol=0)
    wave = bins.abs()[0, 0, 1:].max() / 4.5
    left_out = torch.equal(opposite, grey)  # rounded to f = 0
    assert float(wave) == pytest.approx(0.0 if left_out else 0.5 * 0.05 + 0.5 * 0.15, abs=1e-5)


def oracle(images, params):
    policy = params.policy
    copies = np.stack([flipped(*pair) for pair in zip(images, params.flip.numpy(), strict=True)])
    planes, others = images, copies
    if policy.channels == "luma":
        planes, others = (np.einsum("c,bchw->bhw", LUMA, x)[:, None] for x in (images, copies))
    bins = before = np.fft.fft2(planes)
    for name in policy.order.split():
        if name in STAGES:
            bins = STAGES[name](bins, params, np.fft.fft2(others))
    if policy.blend_domain == "magnitude_phase":
        bins = blended_bins(before, bins, policy.blend_alpha)
    new = np.fft.ifft2(bins)
    assert np.abs(new.imag).max() < 1e-12
    combined = combine(planes, new.real, policy)
    return np.clip(images + combined - planes if policy.channels == "luma" else combined, 0, 1)


def flipped(image, flips):
    return image[:, :: -1 if flips[1] else 1, :: -1 if flips[0] else 1]


def combine(x, new, policy):
    if policy.blend_domain == "magnitude_phase":
        return new
    alpha, residual = policy.blend_alpha, new - new.mean((2, 3), keepdims=True)
    return {
        "average": (1 - alpha) * x + alpha * new,
        "add": x + alpha * residual,
        "subtract": x - alpha * residual,
        "overlay": (1 - alpha) * x + alpha * np.where(x < 0.5, 2 * x * new, 1 - 2 * (1 - x) * (1 - new)),
    }[policy.blend_operation]


def blended_bins(before, after, alpha):
    height, width = before.shape[2:]
    kept = np.abs(before) > 1e-5 * math.sqrt(height * width)
    arc = np.where(kept & (np.abs(after) > 1e-9), np.angle(after * np.conj(before)), 0)
    start = np.where(kept, np.angle(before), np.angle(after))
    turned = start + alpha * arc
    for bin_ in self_conjugate(height, width):
        old, new = before[..., *bin_].real, after[..., *bin_].real
        turned[..., *bin_] = np.angle(np.where((alpha <= 0.5) | (np.abs(new) < 1e-9), old, new))
    return ((1 - alpha) * np.abs(before) + alpha * np.abs(after)) * np.exp(1j * turned)


def self_conjugate(height, width):
    return [(u, v) for u, v in np.ndindex(height, width) if (2 * u) % height == 0 == (2 * v) % width]


def by_plane(values):
    return values.double().numpy()[..., None, None]


def radius(bins):
    height, width = bins.shape[2:]
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))


def band(bins, low, high):
    f = radius(bins)
    return (f > low - 1e-7) & (f < high + 1e-7) & (f > 0)


def mix(bins, params, copies):
    kind, own = params.policy.mix_kind, np.abs(bins)
    other = np.abs(copies) if kind == "apr_s" else own[params.partner.numpy()]
    weight = by_plane(params.mix) * np.ones_like(own)
    if kind == "fda":
        weight = np.where(radius(bins) <= by_plane(params.mix_radius), weight, 0)
    return ((1 - weight) * own + weight * other) * np.where(own > 0, np.exp(1j * np.angle(bins)), 0)


def tilt(bins, params, _):
    return bins * np.maximum(1, radius(bins) / params.policy.tilt_knee) ** by_plane(params.tilt)


def noise(bins, params, _):
    policy = params.policy
    normal = QUANTILES[pair_words(params, bins.shape[2:]) & 0xFFFF]
    return bins * np.exp(by_plane(params.noise) * normal * band(bins, policy.noise_low, policy.noise_high))


def phase(bins, params, _):
    policy = params.policy
    half = pair_words(params, bins.shape[2:]) >> 16
    shift = QUANTILES[half] if policy.phase_kind == "gaussian" else (2 * half + 1) / 2**16 - 1
    shift = shift * pair_signs(*bins.shape[2:]) * band(bins, policy.phase_low, policy.phase_high)
    return bins * np.exp(1j * by_plane(params.phase) * shift)


def mask(bins, params, _):
    policy, f = params.policy, radius(bins)
    strength, centre, soft = by_plane(params.mask), by_plane(params.mask_centre), policy.mask_softness
    if policy.mask_kind == "random":
        gain = (pair_words(params, bins.shape[2:], stream=1) >> 8) / 2**24 >= strength
    else:
        edge = {"low_pass": f - (math.sqrt(0.5) - strength), "high_pass": strength - f}
        depth = edge.get(policy.mask_kind, strength - np.abs(f - centre))
        removed = np.clip(depth / soft, 0, 1) if soft else depth > 1e-7
        gain = 0.5 * (1 + np.cos(np.pi * removed))
    gain = gain * np.ones(bins.shape)
    if policy.mask_kind == "none":
        gain[:] = 1
    if policy.mask_keeps_mean:
        gain[..., 0, 0] = 1
    return bins * gain


def peaks(bins, params, _):
    """Waves in space, transformed."""
    (height, width), policy = bins.shape[2:], params.policy
    y, x = np.mgrid[:height, :width]
    result = bins.copy()
    for row, channel in np.ndindex(*params.seed.shape):
        seed, amplitude = int(params.seed[row, channel]), float(params.peaks[row, channel])
        for k in range(policy.peak_count):
            numbers = [image_number(seed, stream, k) for stream in PEAK_STREAMS]
            r = policy.peak_low + (policy.peak_high - policy.peak_low) * numbers[0]
            u, v = (
                round(r * math.cos(math.pi * numbers[1]) * height),
                round(r * math.sin(math.pi * numbers[1]) * width),
            )
            if (u, v) != (0, 0):
                angle = 2 * math.pi * (u * y / height + min(v, width // 2) * x / width + numbers[2])
                which = channel if params.seed.shape[1] == 3 else slice(None)
                result[row, which] += np.fft.fft2(amplitude * np.cos(angle))
    return result


PEAK_STREAMS = (Stream.PEAK_RADIUS, Stream.PEAK_ANGLE, Stream.PEAK_PHASE)
STAGES = {"mix": mix, "tilt": tilt, "noise": noise, "phase": phase, "mask": mask, "peaks": peaks}


def image_number(seed, stream, k=0):
    return (hashed((-1 - stream - STREAMS * k) % 2**32, seed) >> 8) / 2**24


def pair_words(params, size, stream=0):
    """Words of every bin of the full spectrum, (B, C, H, W)."""
    height, width = size
    kept = width // 2 + 1
    counter = np.zeros(size, dtype=int)
    for bin_ in np.ndindex(height, width):
        u, v = first_of_pair(bin_, size)
        counter[bin_] = u * kept + v + stream * height * kept
    return np.vectorize(hashed)(counter, params.seed.numpy()[..., None, None])


def pair_signs(height, width):
    sign = np.zeros((height, width))
    for bin_ in np.ndindex(height, width):
        mirror = (-bin_[0] % height, -bin_[1] % width)
        sign[bin_] = 0 if mirror == bin_ else 1 if first_of_pair(bin_, (height, width)) == bin_ else -1
    return sign


def first_of_pair(bin_, size):
    """The member of the pair that is counted: the left one or, in one column, the upper one."""
    mirror = tuple(-k % n for k, n in zip(bin_, size, strict=True))
    return min((bin_, mirror), key=lambda member: (member[1], member[0]))


def hashed(counter, seed):
    word = int(counter) * 0x9E3779B1 % 2**32 ^ int(seed)
    word ^= word >> 16
    word = word * 0x85EBCA6B % 2**32
    word ^= word >> 13
    word = word * 0xC2B2AE35 % 2**32
    return word ^ word >> 16
