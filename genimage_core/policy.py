"""PURE: what is searched, validated when it is constructed; torch is not imported, so refusal is quick."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal, get_args

from genimage_core.settings import require

MaskKind = Literal["none", "low_pass", "high_pass", "ring", "random"]
BlendDomain = Literal["spatial", "magnitude_phase"]
Channels = Literal["rgb", "luma"]


@dataclass(frozen=True)
class FrequencyPolicy:
    """What is searched: the greatest strength of every operation. The defaults change nothing.

    The strength of an image is uniform between nothing and the value given here, as the blur of CNNSpot
    (Wang et al., CVPR 2020, sigma ~ U(0, 3)). Before the final clamp only `amplitude_mix` touches the mean.

    Attributes:
        mask_radius: R, 0 to 0.5 cycles per pixel; what it bounds depends on `mask_kind`.
        mask_kind: `low_pass` keeps |f| <= r, r ~ U(R, sqrt(1/2)); `high_pass` removes 0 < |f| < r,
            r ~ U(0, R); `ring` removes a band of width w ~ U(0, R) around c ~ U(0, 0.5); `random` removes
            each pair of conjugate bins with probability q ~ U(0, R); `none` removes nothing.
        noise_scale: Standard deviation of the natural logarithm of the amplitude, 0 to 2: every bin is
            multiplied by exp(s g), g ~ N(0, 1), s ~ U(0, noise_scale).
        phase_perturb_prob: Probability that the phases of an image are perturbed.
        phase_perturb_scale: Standard deviation of the shift of every bin's phase then, 0 to pi rad.
        blend_alpha: Weight a of the augmented image x', the same for all images: 0 is the original x.
        blend_domain: `spatial` is (1 - a) x + a x'; `magnitude_phase` takes that mean of the magnitudes and
            moves each phase by the share a of the shorter arc.
        channels: `rgb` treats the three channels alike, with the same masks and fields; `luma` changes the
            luma (BT.601) and adds its change to every channel, which keeps the differences of colour.
        amplitude_mix: Greatest weight l of a partner's amplitude, 0 to 1: A = (1 - l) A_own + l A_partner
            under the image's own phase (Xu et al., FACT, CVPR 2021, amplitude mix). A bin that is empty has
            no phase and stays empty. Partners share the class.
        mix_across_classes: Take partners from the whole batch. A real image with the amplitude of a fake
            may carry the traces of the fake under the label of a real one.
    """

    mask_radius: float = 0.5
    mask_kind: MaskKind = "none"
    noise_scale: float = 0.0
    phase_perturb_prob: float = 0.0
    phase_perturb_scale: float = 0.5
    blend_alpha: float = 1.0
    blend_domain: BlendDomain = "spatial"
    channels: Channels = "rgb"
    amplitude_mix: float = 0.0
    mix_across_classes: bool = False

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name, (highest, unit) in _BOUNDS.items():
            _require_within(name, getattr(self, name), highest, unit)
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            require(value in allowed, name, value, f"one of {', '.join(allowed)}")
        across = self.mix_across_classes
        require(isinstance(across, bool), "mix_across_classes", across, "true or false")

    @property
    def is_identity(self) -> bool:
        """Whether no image can change."""
        masks = self.mask_kind == "low_pass" or (self.mask_kind != "none" and self.mask_radius > 0)
        phases = self.phase_perturb_prob > 0 and self.phase_perturb_scale > 0
        changes = masks or phases or self.noise_scale > 0 or self.amplitude_mix > 0
        return self.blend_alpha == 0 or not changes

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON knows them; `from_dict` is the way back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FrequencyPolicy":
        """Make a policy of `values`; fields that are not named keep their defaults.

        Raises:
            ValueError: If a key is unknown or a value is not allowed.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f"unknown policy field {unknown[0]!r}; known: {', '.join(known)}")
        return cls(**values)


_BOUNDS = {
    "mask_radius": (0.5, " cycles/pixel"),
    "noise_scale": (2.0, ""),
    "phase_perturb_prob": (1.0, ""),
    "phase_perturb_scale": (math.pi, " rad"),
    "blend_alpha": (1.0, ""),
    "amplitude_mix": (1.0, ""),
}
_CHOICES = {
    "mask_kind": get_args(MaskKind),
    "blend_domain": get_args(BlendDomain),
    "channels": get_args(Channels),
}


def _require_within(name: str, value: object, highest: float, unit: str) -> None:
    # True passes for 1 in Python, and a space file may hold text.
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    require(0 <= number <= highest, name, value, f"within [0, {highest:.6g}]{unit}")
