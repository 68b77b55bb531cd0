"""PURE: draw the strengths of every image of a batch.

One number per image comes from the generator, whatever the policy: a seed. All else is a function of it
(`fields`), so policies compared under one seed leave the generator alike, an operation that is added does not
change what the others draw, and the first k images of a batch get the same strengths whatever its length.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from genimage_core.fields import STREAMS, Stream, draw, split
from genimage_core.mixing import partners
from genimage_core.policy import FrequencyPolicy
from genimage_core.spectrum import CORNER

Draw = Callable[[int], Tensor]


@dataclass(frozen=True)
class AugmentParams:
    """The strengths drawn for the images of one batch; applying them again gives the same images again.

    Those of the operations on spectra are (n, c): c is 3 if the channels are independent and 1 otherwise. A
    strength is 0 where the operation leaves the image alone. All tensors are on the CPU.

    Attributes:
        policy: Where they were drawn from; tells what `mask` means. What it leaves at zero is skipped.
        mask: float32 (n, c), half the width of the band that is removed, in cycles per pixel: for `low_pass`
            sqrt(1/2) minus its radius, for `high_pass` its radius. For `random` the probability of removal.
        mask_centre: float32 (n, c), its centre: sqrt(1/2) for `low_pass`, 0 for `high_pass`.
        noise: float32 (n, c), standard deviation of the log-amplitude.
        tilt: float32 (n, c), exponent.
        peaks: float32 (n, c), amplitude of each plane wave.
        phase: float32 (n, c), strength of the phase shifts in rad.
        mix: float32 (n, c), weight of the partner's amplitude.
        mix_radius: float32 (n, c), of `fda`, in cycles per pixel.
        flip: bool (n, 2), whether left and right, and top and bottom, change places.
        rotate: float32 (n,), angle in degrees, counter-clockwise.
        translate: float32 (n, 2), shift down and to the right as a share of the side.
        blur: float32 (n,), standard deviation in pixels.
        jpeg: int64 (n,), quality.
        partner: int64 (n,), row of the partner.
        seed: int64 (n, c), from 0 to 2**31 - 1, seeds of the random fields.
    """

    policy: FrequencyPolicy
    mask: Tensor
    mask_centre: Tensor
    noise: Tensor
    tilt: Tensor
    peaks: Tensor
    phase: Tensor
    mix: Tensor
    mix_radius: Tensor
    flip: Tensor
    rotate: Tensor
    translate: Tensor
    blur: Tensor
    jpeg: Tensor
    partner: Tensor
    seed: Tensor

    def __len__(self) -> int:
        return len(self.seed)

    @property
    def changes(self) -> Tensor:
        """Whether each image has a strength other than zero, bool (n,)."""
        early, late = self.policy.spatial
        changes = self.spectral_changes.any(1)
        for name in early + late:
            changes |= _acts_on(getattr(self, name))
        return changes

    @property
    def spectral_changes(self) -> Tensor:
        """Whether the spectrum of each channel has a strength other than zero, bool (n, c)."""
        changes = torch.zeros_like(self.seed, dtype=torch.bool)
        for name in self.policy.spectral:
            changes |= getattr(self, name) != 0
        return changes

    def rows(self, chosen: slice | Tensor) -> "AugmentParams":
        """Params of some images; their partners are not renumbered."""
        names = [field.name for field in fields(self) if field.name != "policy"]
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})

    def to_dict(self) -> dict[str, Any]:
        """Return the policy and all numbers as JSON knows them; `from_dict` is the way back."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value.tolist() if isinstance(value, Tensor) else value.to_dict()
            for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "AugmentParams":
        """Make the params that gave `values`, bit for bit."""
        policy = FrequencyPolicy.from_dict(values["policy"])
        names = [field.name for field in fields(cls) if field.name != "policy"]
        tensors = {name: torch.tensor(values[name], dtype=_TYPES.get(name, torch.float32)) for name in names}
        return cls(policy, **tensors)


_TYPES = {"flip": torch.bool, "jpeg": torch.int64, "partner": torch.int64, "seed": torch.int64}


def sample(
    policy: FrequencyPolicy, n: int, generator: torch.Generator, *, labels: Tensor | None = None
) -> AugmentParams:
    """Draw the strengths of `n` images.

    Partners follow one another in a random cycle through each class (through the batch if
    `mix_across_classes`), so an image is its own partner only if it is alone, and then nothing is mixed.

    Args:
        policy: What to draw.
        n: Images in the batch.
        generator: On the CPU; advanced by the same amount whatever the policy.
        labels: integers (n,), the class of every image; needed to find partners of the same class.

    Raises:
        ValueError: If partners must share a class and `labels` are missing or not `n`.
    """
    seed = torch.randint(2**31, (n,), generator=generator)
    seeds = split(seed, 3 if policy.channels == "independent" else 1)
    numbers = draw(seeds, range(STREAMS))
    number, of_image = partial(numbers.select, -1), partial(numbers[:, 0].select, -1)
    spatial = _draw_spatial(policy, of_image)
    partner = _partners(policy, of_image(Stream.PARTNER), labels)
    apart = _differs(policy, partner, spatial)[:, None]
    return AugmentParams(
        policy=policy,
        partner=partner,
        seed=seeds,
        mix_radius=policy.mix_radius * number(Stream.MIX_RADIUS),
        **spatial,
        **_draw_spectral(policy, number) | {"mix": _draw_mix(policy, number) * apart},
    )


def _strength(number: Draw, stream: Stream, highest: float, probability: float) -> Tensor:
    """U(0, highest) with some probability, else 0."""
    return number(stream) * highest * _acts(number, stream, probability)


def _acts(number: Draw, stream: Stream, probability: float) -> Tensor:
    return number(stream.acts) < probability


def _centred(number: Draw, stream: Stream) -> Tensor:
    """U(-1, 1)."""
    return 2 * number(stream) - 1


def _draw_spectral(policy: FrequencyPolicy, number: Draw) -> dict[str, Tensor]:
    mask, centre = _draw_mask(policy, number)
    tilt = policy.tilt * _centred(number, Stream.TILT)
    return {
        "mask": mask * _acts(number, Stream.MASK, policy.mask_prob),
        "mask_centre": centre,
        "noise": _strength(number, Stream.NOISE, policy.noise_scale, policy.noise_prob),
        "tilt": tilt * _acts(number, Stream.TILT, policy.tilt_prob),
        "peaks": _strength(number, Stream.PEAKS, policy.peak_scale, policy.peak_prob),
        "phase": policy.phase_perturb_scale * _acts(number, Stream.PHASE, policy.phase_perturb_prob).float(),
    }


def _draw_mask(policy: FrequencyPolicy, number: Draw) -> tuple[Tensor, Tensor]:
    """Half-width, or probability, and centre."""
    size, radius = number(Stream.MASK), policy.mask_radius
    match policy.mask_kind:
        case "low_pass":
            return size * (CORNER - radius), torch.full_like(size, CORNER)
        case "ring":
            return size * (radius / 2), number(Stream.MASK_CENTRE) * 0.5
        case "high_pass" | "random":
            return size * radius, torch.zeros_like(size)
        case "none":
            return torch.zeros_like(size), torch.zeros_like(size)


def _draw_mix(policy: FrequencyPolicy, number: Draw) -> Tensor:
    drawn = number(Stream.MIX) if policy.mix_kind == "fact" else 1.0
    return policy.amplitude_mix * drawn * _acts(number, Stream.MIX, policy.mix_prob)


def _draw_spatial(policy: FrequencyPolicy, number: Draw) -> dict[str, Tensor]:
    sides = (Stream.TRANSLATE_ROWS, Stream.TRANSLATE_COLUMNS)
    shifts = torch.stack([policy.translation * _centred(number, side) for side in sides], 1)
    shifted = _acts(number, Stream.TRANSLATE_ROWS, policy.translation_prob)
    angle = policy.rotation * _centred(number, Stream.ROTATE)
    drawn = quality(policy.jpeg_quality, number(Stream.JPEG))
    flips = (
        _acts(number, Stream.FLIP, policy.flip_prob),
        _acts(number, Stream.VERTICAL_FLIP, policy.vertical_flip_prob),
    )
    return {
        "flip": torch.stack(flips, 1),
        "rotate": angle * _acts(number, Stream.ROTATE, policy.rotation_prob),
        "translate": shifts * shifted[:, None],
        "blur": _strength(number, Stream.BLUR, policy.blur_sigma, policy.blur_prob),
        "jpeg": drawn * _acts(number, Stream.JPEG, policy.jpeg_prob),
    }


def quality(lowest: int, number: Tensor) -> Tensor:
    """JPEG quality, int64, uniform over the integers from `lowest` to 100.

    Args:
        lowest: 1 to 100.
        number: float32 of any shape, uniform in [0, 1).
    """
    # In float32 the sum rounds up to 101 for the largest numbers below 1.
    return (lowest + number * (101 - lowest)).long().clamp_(max=100)


def _partners(policy: FrequencyPolicy, order: Tensor, labels: Tensor | None) -> Tensor:
    n = len(order)
    if "mix" not in policy.spectral or policy.mix_kind == "apr_s":
        return torch.arange(n)
    if policy.mix_across_classes:
        return partners(order, torch.zeros(n))
    if labels is None:
        raise ValueError("amplitude_mix within a class needs labels: pass them or set mix_across_classes")
    if labels.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), got {tuple(labels.shape)}")
    return partners(order, labels)


def _differs(policy: FrequencyPolicy, partner: Tensor, spatial: Mapping[str, Tensor]) -> Tensor:
    """Whether every image has a partner other than itself, bool (n,)."""
    differs = partner != torch.arange(len(partner))
    for name in policy.copying:
        differs |= _acts_on(spatial[name])
    return differs


def _acts_on(strengths: Tensor) -> Tensor:
    """Whether any strength of every image, (n,) or (n, k), is other than zero, bool (n,); n may be 0."""
    return (strengths != 0).unsqueeze(-1).flatten(1).any(1)
