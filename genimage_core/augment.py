"""PURE: frequency augmentation: draw every image's strengths, then apply them to a batch.

    params = sample(policy, len(images), generator, labels=labels)
    images = apply(images, params)

The result for an image is a function of its pixels, its row of `params` and, if amplitudes are mixed, its
partner's pixels. The random bits are the same on every device; only floating-point rounding differs.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from genimage_core import degrade, geometry
from genimage_core.operations import Spectra, change
from genimage_core.policy import FrequencyPolicy as FrequencyPolicy
from genimage_core.sampling import AugmentParams as AugmentParams
from genimage_core.sampling import sample as sample
from genimage_core.spectrum import amplitude, per_plane

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # of R, G, B in ITU-R BT.601
CPU_BLOCK = 2**17  # pixels for each thread; three channels of them take 1.5 MB

Lent = tuple[Tensor, Tensor]  # images, and the rows among them that lend amplitudes


@torch.no_grad()
def apply(images: Tensor, params: AugmentParams) -> Tensor:
    """Change every image by the strengths drawn for it.

    All operations on spectra share one call of the forward transform and one of the backward transform, in
    float32 also under autocast; a CPU makes these two calls for every block of images (`block_size`). The
    planes of an image, one under `luma` and three otherwise, go through both. As many of its partner go
    through the forward call beside them if that is a copy (`apr_s`), and on a CPU if mixing is the first
    operation on spectra.

    Images whose strengths are all zero come back bit for bit. If the policy is the identity or the batch is
    empty, `images` itself is returned, with its gradient if it has one; what is changed carries none.

    Args:
        images: float32 (B, 3, H, W) in [0, 1], on any device, B may be 0; not written to.
        params: From `sample`, with n = B.

    Returns:
        float32 (B, 3, H, W), clamped to [0, 1], on the same device.

    Raises:
        ValueError: If `images` is not what is described above, or `params` is of another batch.
    """
    _check_images(images, params)
    if params.policy.is_identity or len(images) == 0:
        return images
    early, late = params.policy.spatial
    with torch.autocast(images.device.type, enabled=False):
        images = _move(images, params, early)
        if params.policy.spectral:
            images = _spectral(images, params)
        return _move(images, params, late)


def block_size(images: Tensor) -> int:
    """How many images a CPU had best transform together.

    Touching fresh memory costs it more than the transforms do; a small block is served from the cache.
    """
    return max(1, CPU_BLOCK * torch.get_num_threads() // (images.shape[-2] * images.shape[-1]))


def _spectral(images: Tensor, params: AugmentParams) -> Tensor:
    """Carry out the operations on spectra, block by block if that is faster and no block needs another."""
    lent = _lent(images, params)
    if images.device.type != "cpu" or ("mix" in params.policy.spectral and lent is None):
        return _change(images, lent, params)
    step = block_size(images)
    changed = torch.empty_like(images, memory_format=torch.contiguous_format)
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        changed[rows] = _change(images[rows], lent and (lent[0], lent[1][rows]), params.rows(rows))
    return changed


def _lent(images: Tensor, params: AugmentParams) -> Lent | None:
    """Whose amplitudes are mixed in, and their rows; None if the spectra of the batch hold them."""
    policy = params.policy
    if policy.copying:
        return _move(images, params, policy.copying), torch.arange(len(images))
    if images.device.type == "cpu" and policy.spectral[0] == "mix":
        # Transforming an image once more, for who borrows from it, costs less than leaving the cache.
        return images, params.partner
    return None


def _change(images: Tensor, lent: Lent | None, params: AugmentParams) -> Tensor:
    """Change images in the frequency domain and combine the result with them."""
    images = images.contiguous()
    luma = params.policy.channels == "luma"
    planes = _luma(images) if luma else images
    combined = _combine(planes, _transform(planes, lent, params), params)
    return (images + combined.sub_(planes) if luma else combined).clamp_(0, 1)


def _transform(planes: Tensor, lent: Lent | None, params: AugmentParams) -> Tensor:
    """Change (B, C, H, W) in the frequency domain; neither blended in space nor clamped."""
    size = (planes.shape[-2], planes.shape[-1])
    if lent is None:
        spectra = Spectra(torch.fft.rfft2(planes), params, size)
    else:
        others = lent[0][lent[1].to(planes.device)]
        others = _luma(others) if params.policy.channels == "luma" else others
        bins, others = torch.fft.rfft2(torch.cat([planes, others])).chunk(2)
        spectra = Spectra(bins, params, size, lent=amplitude(others))
    changed: Tensor = torch.fft.irfft2(change(spectra), s=size)
    return changed


def _combine(images: Tensor, changed: Tensor, params: AugmentParams) -> Tensor:
    """Combine (B, C, H, W) in space; `changed` is written over."""
    policy = params.policy
    # The weight zero makes an untouched image exact, where a transform there and back would round.
    share = policy.blend_alpha if policy.blend_domain == "spatial" else 1.0
    weight = per_plane(params.spectral_changes * share).to(images.device, non_blocking=True)
    match policy.blend_operation:
        case "average":
            return torch.lerp(images, changed, weight, out=changed)
        case "add":
            return images + weight * _without_mean(changed)
        case "subtract":
            return images - weight * _without_mean(changed)
        case "overlay":
            return images.lerp(_overlaid(images, changed), weight)


def _without_mean(planes: Tensor) -> Tensor:
    return planes - planes.mean((-2, -1), keepdim=True)


def _overlaid(base: Tensor, top: Tensor) -> Tensor:
    """Overlay of two pictures: a product in the shadows of `base`, one of their negatives in its lights."""
    return torch.where(base < 0.5, 2 * base * top, 1 - 2 * (1 - base) * (1 - top))


def _luma(images: Tensor) -> Tensor:
    return (images * images.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _move(images: Tensor, params: AugmentParams, names: Iterable[str]) -> Tensor:
    """Carry out spatial companions."""
    for name in names:
        images = _SPATIAL[name](images, params)
    return images


def _translate(images: Tensor, shares: Tensor) -> Tensor:
    pixels = (shares * shares.new_tensor(images.shape[2:])).round().long()
    return geometry.translate(images, *pixels.unbind(1))


_SPATIAL: Mapping[str, Callable[[Tensor, AugmentParams], Tensor]] = MappingProxyType(
    {
        "flip": lambda images, params: geometry.flip(images, *params.flip.unbind(1)),
        "rotate": lambda images, params: geometry.rotate(images, params.rotate),
        "translate": lambda images, params: _translate(images, params.translate),
        "blur": lambda images, params: degrade.blur(images, params.blur),
        "jpeg": lambda images, params: degrade.jpeg(images, params.jpeg),
    }
)


def _check_images(images: Tensor, params: AugmentParams) -> None:
    geometry.check_images(images)
    if len(images) != len(params):
        raise ValueError(f"params were drawn for {len(params)} images, got {len(images)}")
