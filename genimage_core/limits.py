"""PURE: what every field of a policy may be; refusal names the field, its value and what is allowed."""

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

from genimage_core.settings import require, require_whole

MaskKind = Literal["none", "low_pass", "high_pass", "ring", "random"]
PhaseKind = Literal["gaussian", "uniform"]
MixKind = Literal["fact", "fda", "apr_p", "apr_s"]
BlendDomain = Literal["spatial", "magnitude_phase"]
BlendOperation = Literal["average", "add", "subtract", "overlay"]
Channels = Literal["rgb", "independent", "luma"]

SPATIAL = ("flip", "rotate", "translate", "blur", "jpeg")
SPECTRAL = ("mix", "tilt", "noise", "phase", "mask", "peaks")
CORNER = math.sqrt(0.5)  # the largest |f| in cycles per pixel

_CYCLES = " cycles/pixel"
PROBABILITY = (0.0, 1.0, "")
BOUNDS = {
    "mask_radius": (0.0, 0.5, _CYCLES),
    "mask_softness": (0.0, 0.5, _CYCLES),
    "noise_scale": (0.0, 2.0, ""),
    "noise_low": (0.0, CORNER, _CYCLES),
    "noise_high": (0.0, CORNER, _CYCLES),
    "tilt": (0.0, 2.0, ""),
    "tilt_knee": (0.001, 0.5, _CYCLES),
    "peak_scale": (0.0, 0.5, ""),
    "peak_count": (1.0, 16.0, ""),
    "peak_low": (0.0, 0.5, _CYCLES),
    "peak_high": (0.0, 0.5, _CYCLES),
    "phase_perturb_scale": (0.0, math.pi, " rad"),
    "phase_low": (0.0, CORNER, _CYCLES),
    "phase_high": (0.0, CORNER, _CYCLES),
    "amplitude_mix": (0.0, 1.0, ""),
    "mix_radius": (0.0, CORNER, _CYCLES),
    "blend_alpha": (0.0, 1.0, ""),
    "rotation": (0.0, 180.0, " degrees"),
    "translation": (0.0, 0.5, " of the side"),
    "blur_sigma": (0.0, 10.0, " pixels"),
    "jpeg_quality": (1.0, 100.0, ""),
}
CHOICES = {
    "mask_kind": get_args(MaskKind),
    "phase_kind": get_args(PhaseKind),
    "mix_kind": get_args(MixKind),
    "blend_domain": get_args(BlendDomain),
    "blend_operation": get_args(BlendOperation),
    "channels": get_args(Channels),
}
WHOLE = ("peak_count", "jpeg_quality")
SWITCHES = ("mask_keeps_mean", "mix_across_classes")
BANDS = ("noise", "peak", "phase")  # from *_low to *_high
# Pairs of fields whose values must go together; all else is free.
CONSTRAINED = (*((f"{band}_low", f"{band}_high") for band in BANDS), ("blend_domain", "blend_operation"))


def check(policy: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless every value of `policy` is allowed, alone and beside the others."""
    for name, value in policy.items():
        _check_value(name, value)
    for band in BANDS:
        low, high = policy[f"{band}_low"], policy[f"{band}_high"]
        require(low <= high, f"{band}_low", low, f"at most {band}_high, {high:.6g}")
    operation, domain = policy["blend_operation"], policy["blend_domain"]
    fits = operation == "average" or domain == "spatial"
    require(fits, "blend_domain", domain, f"spatial if blend_operation is {operation}")


def _check_value(name: str, value: object) -> None:
    if name in CHOICES:
        require(value in CHOICES[name], name, value, f"one of {', '.join(CHOICES[name])}")
    elif name in SWITCHES:
        require(isinstance(value, bool), name, value, "true or false")
    elif name == "order":
        _check_order(value)
    else:
        low, high, unit = BOUNDS.get(name, PROBABILITY)
        # True passes for 1 in Python, and a space file may hold text.
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        require(low <= number <= high, name, value, f"within [{low:.6g}, {high:.6g}]{unit}")
        if name in WHOLE:
            require_whole(name, value)


def _check_order(order: object) -> None:
    names = order.split() if isinstance(order, str) else []
    every = sorted(SPATIAL + SPECTRAL)
    require(sorted(names) == every, "order", order, f"{', '.join(every)}, each once, separated by spaces")
    places = [place for place, name in enumerate(names) if name in SPECTRAL]
    together = places[-1] - places[0] == len(places) - 1
    require(together, "order", order, f"such that {', '.join(SPECTRAL)} stand together, in any order")
