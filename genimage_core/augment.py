"""PURE: frequency augmentation: draw every image's strengths, then apply them to a batch.

    params = sample(policy, len(images), generator, labels=labels)
    images = apply(images, params)

Randomness. `sample` draws everything from the generator, on the CPU, row by row: seven numbers per image
whatever the policy, so policies compared under one seed leave the generator alike, and the first k images of
a batch get the same strengths whatever its length. One of the seven is a seed, out of which `apply` computes
the image's random fields by a counter-based hash (`spectrum.random_bits`). The result for an image is
therefore a function of its pixels, its row of `params` and, if amplitudes are mixed, its partner's pixels.
The random bits are the same on every device; only floating-point rounding differs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from genimage_core import spectrum
from genimage_core.policy import FrequencyPolicy as FrequencyPolicy
from genimage_core.spectrum import per_image

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # of R, G, B in ITU-R BT.601
DRAWS_PER_IMAGE = 7
SMALLEST_AMPLITUDE = 1e-20
CPU_BLOCK = 8  # images; at 224 px they take 5 MB


@dataclass(frozen=True)
class AugmentParams:
    """The strengths drawn for the images of one batch; applying them again gives the same images again.

    Attributes:
        policy: Where they were drawn from; tells what `mask` means. What it leaves at zero is skipped.
        mask: float32 (n,): radius of `low_pass` and `high_pass` or centre of `ring`, in cycles per pixel;
            probability of `random`.
        ring_width: float32 (n,), in cycles per pixel.
        noise: float32 (n,), standard deviation of the log-amplitude.
        phase: float32 (n,), standard deviation of the phase shifts in rad, 0 where phases are left alone.
        mix: float32 (n,), weight of the partner's amplitude.
        partner: int64 (n,), row of the partner.
        seed: int64 (n,), from 0 to 2**31 - 1, seed of the random fields.
    """

    policy: FrequencyPolicy
    mask: Tensor
    ring_width: Tensor
    noise: Tensor
    phase: Tensor
    mix: Tensor
    partner: Tensor
    seed: Tensor

    def __len__(self) -> int:
        return len(self.seed)

    @property
    def changes(self) -> Tensor:
        """Whether each image has a strength other than zero, bool (n,)."""
        masked = {
            "none": torch.zeros_like(self.mask, dtype=torch.bool),
            "low_pass": self.mask < spectrum.CORNER,
            "high_pass": self.mask > 0,
            "ring": self.ring_width > 0,
            "random": self.mask > 0,
        }[self.policy.mask_kind]
        return masked | (self.noise > 0) | (self.phase > 0) | (self.mix > 0)


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
    draws = torch.rand(n, DRAWS_PER_IMAGE, dtype=torch.float64, generator=generator)
    first, second, noise, phase, mix, order, seed = draws.unbind(1)
    mask, ring_width = _draw_mask(policy, first, second)
    partner = _partners(policy, order, labels)
    alone = partner == torch.arange(n)
    perturbed = phase < policy.phase_perturb_prob
    return AugmentParams(
        policy=policy,
        mask=mask.float(),
        ring_width=ring_width.float(),
        noise=(noise * policy.noise_scale).float(),
        phase=(perturbed * policy.phase_perturb_scale).float(),
        mix=(mix * policy.amplitude_mix).masked_fill(alone, 0).float(),
        partner=partner,
        seed=(seed * 2**31).long(),
    )


@torch.no_grad()
def apply(images: Tensor, params: AugmentParams) -> Tensor:
    """Change every image by the strengths drawn for it.

    One forward and one backward transform, in float32 also under autocast. Images whose strengths are all
    zero come back bit for bit; if the policy is the identity, `images` itself is returned. No gradient flows.

    Args:
        images: float32 (B, 3, H, W) in [0, 1], on any device; not written to.
        params: From `sample`, with n = B.

    Returns:
        float32 (B, 3, H, W), clamped to [0, 1], on the same device.

    Raises:
        ValueError: If `images` is not what is described above, or `params` is of another batch.
    """
    _check_images(images, params)
    if params.policy.is_identity:
        return images
    with torch.autocast(images.device.type, enabled=False):
        if images.device.type != "cpu" or params.policy.amplitude_mix > 0:
            return _change(images, _each(params, lambda values: values.to(images.device, non_blocking=True)))
        # Touching fresh memory costs a CPU more than the transforms; a small block is served from the cache.
        blocks = [slice(start, start + CPU_BLOCK) for start in range(0, len(images), CPU_BLOCK)]
        return torch.cat([_change(images[rows], _rows(params, rows)) for rows in blocks])


def _change(images: Tensor, params: AugmentParams) -> Tensor:
    policy = params.policy
    # The weight zero makes an untouched image exact, where a transform there and back would round.
    blend = policy.blend_alpha if policy.blend_domain == "spatial" else 1.0
    weight = per_image(params.changes * blend)
    images = images.contiguous()
    if policy.channels == "rgb":
        changed = _transform(images, params)
        return torch.lerp(images, changed, weight, out=changed).clamp_(0, 1)
    luma = (images * images.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)
    change = _transform(luma, params).sub_(luma).mul_(weight)
    return (images + change).clamp_(0, 1)


def _transform(planes: Tensor, params: AugmentParams) -> Tensor:
    """Change (B, C, H, W) in the frequency domain; neither blended in space nor clamped."""
    bins = torch.fft.rfft2(planes)
    _change_bins(bins, params, *planes.shape[-2:])
    changed: Tensor = torch.fft.irfft2(bins, s=planes.shape[-2:])
    return changed


def _change_bins(bins: Tensor, params: AugmentParams, height: int, width: int) -> None:
    """Multiply, in place, every bin of (B, C, H, W // 2 + 1) by its gain and by the phasor of its shift."""
    gain, phase = _gain_and_phase(params, height, width)
    if params.policy.amplitude_mix > 0:
        gain = gain * _amplitude_ratio(bins, params)
    if params.policy.blend_domain == "magnitude_phase":
        gain, phase = _partial(gain, phase, params.policy.blend_alpha)
    if phase is None:
        bins.mul_(gain)
    else:
        bins.mul_(torch.complex(gain * phase.cos(), gain * phase.sin()))


def _gain_and_phase(params: AugmentParams, height: int, width: int) -> tuple[Tensor, Tensor | None]:
    """Factor and phase shift (rad) of every bin, (B, 1, H, W // 2 + 1): an even and an odd field."""
    policy, phase = params.policy, None
    gain = _mask(params, height, width).float()
    perturbs = policy.phase_perturb_prob > 0
    if policy.noise_scale > 0 or perturbs:
        bits = spectrum.random_bits(params.seed, height, width)
        noise, shift = spectrum.normal_pair(bits)
        gain *= noise.mul_(per_image(params.noise)).exp_()
        if perturbs:
            sign = spectrum.pair_sign(height, width, gain.device)
            phase = shift.mul_(sign).mul_(per_image(params.phase))
    gain[..., 0, 0] = 1
    return gain, phase


def _mask(params: AugmentParams, height: int, width: int) -> Tensor:
    """Bins that are kept, bool (B, 1, H, W // 2 + 1)."""
    frequency = spectrum.radial_frequency(height, width, params.mask.device)
    match params.policy.mask_kind:
        case "low_pass":
            return spectrum.low_pass(frequency, params.mask)
        case "high_pass":
            return spectrum.high_pass(frequency, params.mask)
        case "ring":
            return spectrum.ring(frequency, params.mask, params.ring_width)
        case "random":
            chance = spectrum.uniform(spectrum.random_bits(params.seed, height, width, stream=1))
            return chance >= per_image(params.mask)
        case "none":
            return torch.ones((len(params), 1, *frequency.shape), dtype=torch.bool, device=frequency.device)


def _amplitude_ratio(bins: Tensor, params: AugmentParams) -> Tensor:
    """Mixed amplitude over own amplitude, (B, C, H, W // 2 + 1)."""
    own = bins.abs()
    ratio = own[params.partner].div_(own.clamp_min_(SMALLEST_AMPLITUDE))
    return ratio.sub_(1).mul_(per_image(params.mix)).add_(1)


def _partial(gain: Tensor, phase: Tensor | None, alpha: float) -> tuple[Tensor, Tensor | None]:
    """Go the share `alpha` of the way: linearly in magnitude, along the shorter arc in phase."""
    if phase is not None:
        # Rounding to whole turns is an odd function, so the field stays odd.
        turns = (phase / (2 * math.pi)).round_()
        phase = (phase - turns * (2 * math.pi)) * alpha
    return gain.sub_(1).mul_(alpha).add_(1), phase


def _draw_mask(policy: FrequencyPolicy, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """`mask` and `ring_width` of `AugmentParams` from two numbers in [0, 1) per image."""
    radius, nothing = policy.mask_radius, torch.zeros_like(second)
    match policy.mask_kind:
        case "low_pass":
            return radius + first * (spectrum.CORNER - radius), nothing
        case "ring":
            return first * 0.5, second * radius
        case "high_pass" | "random":
            return first * radius, nothing
        case "none":
            return nothing, nothing


def _partners(policy: FrequencyPolicy, order: Tensor, labels: Tensor | None) -> Tensor:
    """Row of every image's partner: the next one of its class in the sequence given by `order`."""
    n = len(order)
    if policy.amplitude_mix == 0:
        return torch.arange(n)
    if policy.mix_across_classes:
        labels = torch.zeros(n, dtype=torch.long)
    if labels is None:
        raise ValueError("amplitude_mix within a class needs labels: pass them or set mix_across_classes")
    if labels.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), got {tuple(labels.shape)}")
    labels, shuffled = labels.cpu(), order.argsort()
    partner = torch.empty(n, dtype=torch.long)
    for label in set(labels.tolist()):
        cycle = shuffled[labels[shuffled] == label]
        partner[cycle] = cycle.roll(-1)
    return partner


def _rows(params: AugmentParams, rows: slice) -> AugmentParams:
    """Params of some images; their partners are not renumbered."""
    return _each(params, lambda values: values[rows])


def _each(params: AugmentParams, function: Callable[[Tensor], Tensor]) -> AugmentParams:
    names = [field.name for field in fields(params) if field.name != "policy"]
    changed: dict[str, Any] = {name: function(getattr(params, name)) for name in names}
    return replace(params, **changed)


def _check_images(images: Tensor, params: AugmentParams) -> None:
    if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] != 3:
        got = f"{str(images.dtype).removeprefix('torch.')} of shape {tuple(images.shape)}"
        raise ValueError(f"images must be float32 of shape (B, 3, H, W), got {got}")
    if len(images) != len(params):
        raise ValueError(f"params were drawn for {len(params)} images, got {len(images)}")
