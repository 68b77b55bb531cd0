"""Policies that between them use everything, and what the tests of augmentation share."""

import math
from dataclasses import fields, replace

import torch

from genimage_core.augment import AugmentParams, FrequencyPolicy, sample
from genimage_core.limits import SPATIAL, SPECTRAL

LABELS = torch.tensor([0, 0, 1, 1, 0, 1])
FLIPS = {"flip_prob": 0.5, "vertical_flip_prob": 0.5}
BANDS = {"noise_low": 0.1, "noise_high": 0.4, "phase_low": 0.2, "phase_high": 0.45}
ALL_SPECTRAL = {
    "mask_kind": "random",
    "mask_radius": 0.3,
    "noise_scale": 0.4,
    "tilt": 0.5,
    "peak_scale": 0.1,
    "peak_count": 3,
    "phase_perturb_prob": 0.7,
    "phase_perturb_scale": 0.8,
    "amplitude_mix": 0.9,
}
REVERSED = "flip rotate translate peaks mask phase noise tilt mix blur jpeg"
PEAKS_EARLY = "flip rotate translate tilt mix peaks noise mask phase blur jpeg"

SPECTRAL_POLICIES = {
    "low_pass": FrequencyPolicy(mask_kind="low_pass", mask_radius=0.1),
    "soft_low_pass": FrequencyPolicy(mask_kind="low_pass", mask_radius=0.1, mask_softness=0.2),
    "high_pass": FrequencyPolicy(mask_kind="high_pass", mask_radius=0.4),
    "soft_high_pass": FrequencyPolicy(mask_kind="high_pass", mask_radius=0.4, mask_softness=0.1),
    "ring": FrequencyPolicy(mask_kind="ring", mask_radius=0.4),
    "soft_ring": FrequencyPolicy(mask_kind="ring", mask_radius=0.5, mask_softness=0.05),
    "random": FrequencyPolicy(mask_kind="random", mask_radius=0.5),
    "mean_masked": FrequencyPolicy(mask_kind="high_pass", mask_radius=0.2, mask_keeps_mean=False),
    "noise": FrequencyPolicy(noise_scale=0.5),
    "tilt": FrequencyPolicy(tilt=1.0, tilt_knee=0.05),
    "peaks": FrequencyPolicy(peak_scale=0.3, peak_count=4),
    "slow_peaks": FrequencyPolicy(peak_scale=0.3, peak_count=16, peak_high=0.08),
    "phase": FrequencyPolicy(phase_perturb_prob=1.0, phase_perturb_scale=1.0),
    "uniform_phase": FrequencyPolicy(phase_perturb_prob=1.0, phase_perturb_scale=3.0, phase_kind="uniform"),
    "bands": FrequencyPolicy(noise_scale=0.5, phase_perturb_prob=1.0, **BANDS),
    "fact": FrequencyPolicy(amplitude_mix=1.0),
    "fda": FrequencyPolicy(amplitude_mix=1.0, mix_kind="fda", mix_radius=0.3),
    "apr_p": FrequencyPolicy(amplitude_mix=0.8, mix_kind="apr_p"),
    "apr_s": FrequencyPolicy(amplitude_mix=0.8, mix_kind="apr_s", **FLIPS),
    "mix_across_classes": FrequencyPolicy(amplitude_mix=1.0, mix_across_classes=True),
    "half_blend": FrequencyPolicy(noise_scale=0.5, blend_alpha=0.5),
    "add": FrequencyPolicy(mask_kind="high_pass", mask_radius=0.4, blend_alpha=0.5, blend_operation="add"),
    "subtract": FrequencyPolicy(noise_scale=0.4, blend_alpha=0.5, blend_operation="subtract"),
    "overlay": FrequencyPolicy(noise_scale=0.4, blend_alpha=0.7, blend_operation="overlay"),
    "luma": FrequencyPolicy(mask_kind="low_pass", mask_radius=0.1, channels="luma"),
    "independent": FrequencyPolicy(
        noise_scale=0.5, mask_kind="ring", mask_radius=0.3, channels="independent"
    ),
    "magnitude_phase": FrequencyPolicy(
        noise_scale=0.5,
        mask_kind="random",
        mask_radius=0.3,
        phase_perturb_prob=0.8,
        phase_perturb_scale=math.pi,
        blend_alpha=0.6,
        blend_domain="magnitude_phase",
    ),
    "everything": FrequencyPolicy(**ALL_SPECTRAL, blend_alpha=0.7),
    "everything_reversed": FrequencyPolicy(**ALL_SPECTRAL, order=REVERSED),
    "everything_independent": FrequencyPolicy(**ALL_SPECTRAL, channels="independent", order=PEAKS_EARLY),
    "everything_in_magnitude_and_phase": FrequencyPolicy(
        **ALL_SPECTRAL, blend_alpha=0.6, blend_domain="magnitude_phase"
    ),
    "everything_in_luma": FrequencyPolicy(
        **ALL_SPECTRAL, channels="luma", blend_alpha=0.3, blend_domain="magnitude_phase", order=PEAKS_EARLY
    ),
}
SPATIAL_POLICIES = {
    "flips": FrequencyPolicy(**FLIPS),
    "rotation": FrequencyPolicy(rotation=20.0),
    "translation": FrequencyPolicy(translation=0.3),
    "blur": FrequencyPolicy(blur_sigma=2.0),
    "jpeg": FrequencyPolicy(jpeg_prob=0.5, jpeg_quality=30),
    "all_there_is": FrequencyPolicy(
        **ALL_SPECTRAL, **FLIPS, rotation=20.0, translation=0.3, blur_sigma=2.0, jpeg_prob=0.5
    ),
    "all_on_a_copy": FrequencyPolicy(
        **ALL_SPECTRAL, **FLIPS, rotation=20.0, blur_sigma=2.0, mix_kind="apr_s", channels="luma"
    ),
}
POLICIES = SPECTRAL_POLICIES | SPATIAL_POLICIES


def mixes(policy):
    """Whether an image depends on another."""
    return policy.amplitude_mix > 0 and policy.mix_kind != "apr_s"


def keeps_the_mean(policy):
    touches = policy.amplitude_mix > 0 or not policy.mask_keeps_mean or policy.blend_operation == "overlay"
    return not touches and not any(policy.spatial)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def noise_images(n=6, size=(32, 32), contrast=1.0, seed=1):
    return 0.5 + contrast * (torch.rand(n, 3, *size, generator=seeded(seed)) - 0.5)


def draw(policy, seed=0, labels=LABELS):
    return sample(policy, len(labels), seeded(seed), labels=labels)


def tensors(params):
    return {field.name: getattr(params, field.name) for field in fields(AugmentParams)[1:]}


def stop(params, rows):
    """`params` with no strength left in `rows`."""
    values = {name: getattr(params, name).clone() for name in SPATIAL + SPECTRAL}
    for value in values.values():
        value[rows] = 0
    return replace(params, **values)


def one(policy, **strengths):
    """Params of one image with the given strengths."""
    params = sample(policy, 1, seeded(), labels=torch.zeros(1))
    changed = {
        name: torch.full_like(getattr(params, name), value) if isinstance(value, float | int) else value
        for name, value in strengths.items()
    }
    return replace(params, **changed)


def cosine(rows, columns, size=(32, 32), phase=0.0, amplitude=0.25):
    """One cosine of `rows` and `columns` periods around mid-grey, (1, 3, H, W)."""
    row = torch.arange(size[0], dtype=torch.float64)[:, None] / size[0]
    column = torch.arange(size[1], dtype=torch.float64) / size[1]
    wave = 0.5 + amplitude * torch.cos(2 * math.pi * (rows * row + columns * column) + phase)
    return wave.float().expand(1, 3, *size)


def impulse(size=(64, 64), height=0.25):
    """One bright pixel on mid-grey: every amplitude but that of f = 0 is `height`."""
    image = torch.full((1, 3, *size), 0.5)
    image[..., size[0] // 3, size[1] // 2] += height
    return image
