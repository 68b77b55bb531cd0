"""PURE: what a space searches, one operation at a time and at stated strengths, to be looked at."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import Tensor

from genimage_core.augment import AugmentParams, FrequencyPolicy, apply, sample
from genimage_core.limits import CHOICES, CORNER, SPATIAL
from genimage_core.settings import require

FIELDS = {
    "flip": ("flip_prob", "vertical_flip_prob"),
    "rotate": ("rotation", "rotation_prob"),
    "translate": ("translation", "translation_prob"),
    "mix": ("amplitude_mix", "mix_kind", "mix_radius", "mix_prob"),
    "tilt": ("tilt", "tilt_knee", "tilt_prob"),
    "noise": ("noise_scale", "noise_low", "noise_high", "noise_prob"),
    "phase": ("phase_perturb_prob", "phase_perturb_scale", "phase_kind", "phase_low", "phase_high"),
    "mask": ("mask_kind", "mask_radius", "mask_softness", "mask_keeps_mean", "mask_prob"),
    "peaks": ("peak_scale", "peak_count", "peak_low", "peak_high", "peak_prob"),
    "blur": ("blur_sigma", "blur_prob"),
    "jpeg": ("jpeg_prob", "jpeg_quality"),
}
KINDS = ("mask_kind", "mix_kind", "phase_kind")
# A wide band, a low knee and a hard edge change most; so does `mask_radius` of a low-pass, and no other.
LOW_IS_STRONG = (
    "noise_low",
    "phase_low",
    "peak_low",
    "tilt_knee",
    "mask_softness",
    "mask_keeps_mean",
    "jpeg_quality",
)


def single_operations(space: Mapping[str, Any]) -> dict[str, FrequencyPolicy]:
    """Take a space apart: one policy for each operation that it can carry out, at its strongest.

    Args:
        space: The `space` section of a space file: policy fields with a value, `{low, high}` or `{choices}`.

    Returns:
        Policies by name of the operation, with its kind where it has several.

    Raises:
        ValueError: If a value is not allowed.
    """
    for name, entry in space.items():
        _check_entry(name, entry)
    found = {}
    for operation, names in FIELDS.items():
        kinds = [name for name in names if name in KINDS]
        choices = [_choices(space.get(kind, getattr(FrequencyPolicy(), kind))) for kind in kinds]
        for chosen in product(*choices):
            companions = [name for other in SPATIAL for name in FIELDS[other] if "apr_s" in chosen]
            values = _strongest(space, (*names, *companions), dict(zip(kinds, chosen, strict=True)))
            policy = FrequencyPolicy(**values)
            if not policy.is_identity:
                found[" ".join([operation, *chosen])] = policy
    return found


def show(images: Tensor, policy: FrequencyPolicy, share: float, seed: int) -> Tensor:
    """Apply a policy of one operation at a stated share of its greatest strength.

    Args:
        images: float32 (2, 3, H, W) in [0, 1]; amplitudes are mixed between the two.
        policy: From `single_operations`.
        share: 0 to 1.
        seed: Of the random fields.

    Returns:
        Likewise.
    """
    drawn = sample(policy, 2, torch.Generator().manual_seed(seed), labels=torch.zeros(2))
    return apply(images, at_share(drawn, share))


def at_share(params: AugmentParams, share: float) -> AugmentParams:
    """Replace every strength that was drawn by a share of the greatest that could have been."""
    policy = params.policy
    values = {name: share * highest for name, highest in _greatest(policy).items()}
    centre = {"low_pass": CORNER, "ring": 0.25}.get(policy.mask_kind, 0.0)
    quality = round(100 - share * (100 - policy.jpeg_quality)) if policy.jpeg_prob and share else 0
    fixed = {"mask_centre": centre, "jpeg": quality, "mix_radius": share * policy.mix_radius, **values}
    tensors: dict[str, Any] = {
        name: torch.full_like(getattr(params, name), value) for name, value in fixed.items()
    }
    flips = torch.tensor([policy.flip_prob > 0, policy.vertical_flip_prob > 0]) & (share > 0)
    return replace(params, flip=flips.expand(len(params), 2), **tensors)


def _greatest(policy: FrequencyPolicy) -> dict[str, float]:
    radius = policy.mask_radius
    masks = {"low_pass": CORNER - radius, "ring": radius / 2, "high_pass": radius, "random": radius}
    return {
        "mask": masks.get(policy.mask_kind, 0.0),
        "noise": policy.noise_scale,
        "tilt": policy.tilt,
        "peaks": policy.peak_scale,
        "phase": policy.phase_perturb_scale * (policy.phase_perturb_prob > 0),
        "mix": policy.amplitude_mix,
        "rotate": policy.rotation,
        "translate": policy.translation,
        "blur": policy.blur_sigma,
    }


def _check_entry(name: str, entry: object) -> None:
    """Raise `ValueError` unless an entry has a value, a list of choices, or two ends; kinds have no ends."""
    if not isinstance(entry, Mapping):
        return
    if "choices" in entry:
        choices = entry["choices"]
        is_list = isinstance(choices, list | tuple) and len(choices) > 0
        require(is_list, f"choices of {name}", choices, "a list of at least one value")
        return
    allowed = "a value or {choices}" if name in CHOICES else "a value, {low, high} or {choices}"
    require(name not in CHOICES and {"low", "high"} <= set(entry), name, entry, allowed)
    for end in ("low", "high"):
        number = isinstance(entry[end], int | float) and not isinstance(entry[end], bool)
        require(number, f"{end} of {name}", entry[end], "a number")


def _choices(entry: object) -> list[Any]:
    return list(entry["choices"]) if isinstance(entry, Mapping) else [entry]


def _strongest(space: Mapping[str, Any], names: tuple[str, ...], kinds: Mapping[str, Any]) -> dict[str, Any]:
    inverse = (*LOW_IS_STRONG, *(["mask_radius"] if kinds.get("mask_kind") == "low_pass" else []))
    values = {
        name: _end(space[name], high=name not in inverse)
        for name in (*names, "channels")
        if name in space and name not in KINDS
    }
    return {**values, **kinds}


def _end(entry: object, *, high: bool) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    if "choices" in entry:
        choices = entry["choices"]
        numbers = all(isinstance(choice, int | float) for choice in choices)
        return (max(choices) if high else min(choices)) if numbers else choices[0]
    return entry["high"] if high else entry["low"]
