"""What the benchmark of the augmentation compares: our operations, the floor, NumPy and torchvision."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from genimage_core.augment import AugmentParams, FrequencyPolicy, apply, block_size, sample
from tests.benchmarks import numpy_style, torchvision_style
from tests.benchmarks.taking_turns import Contender

SPACE = Path(__file__).parents[2] / "spaces" / "fft.yaml"
NUMPY_IMAGES = 4  # of the batch; the NumPy style is slow, and its time per image does not depend on the batch
MIX_WEIGHT = 0.5

SPECTRAL: dict[str, dict[str, Any]] = {
    "mask_low_pass": {"mask_kind": "low_pass", "mask_radius": 0.2},
    "mask_low_pass_soft": {"mask_kind": "low_pass", "mask_radius": 0.2, "mask_softness": 0.1},
    "mask_high_pass": {"mask_kind": "high_pass", "mask_radius": 0.2},
    "mask_ring": {"mask_kind": "ring", "mask_radius": 0.2},
    "mask_random": {"mask_kind": "random", "mask_radius": 0.3},
    "tilt": {"tilt": 1.0},
    "noise": {"noise_scale": 0.5},
    "phase_gaussian": {"phase_perturb_prob": 1.0, "phase_kind": "gaussian"},
    "phase_uniform": {"phase_perturb_prob": 1.0, "phase_kind": "uniform"},
    "peaks": {"peak_scale": 0.1, "peak_count": 8},
    "mix_fact": {"amplitude_mix": 1.0, "mix_kind": "fact"},
    "mix_fda": {"amplitude_mix": 1.0, "mix_kind": "fda", "mix_radius": 0.1},
    "mix_apr_p": {"amplitude_mix": 1.0, "mix_kind": "apr_p"},
    "mix_apr_s": {"amplitude_mix": 1.0, "mix_kind": "apr_s", "flip_prob": 1.0},
}
SPATIAL: dict[str, dict[str, Any]] = {
    "flip": {"flip_prob": 1.0},
    "rotate": {"rotation": 30.0},
    "translate": {"translation": 0.1},
    "blur": {"blur_sigma": 3.0},
    "jpeg": {"jpeg_prob": 1.0, "jpeg_quality": 30},
}
VARIANTS: dict[str, dict[str, Any]] = {  # of the full policy
    "blend_spatial": {"blend_alpha": 0.7, "blend_domain": "spatial"},
    "blend_magnitude_phase": {"blend_alpha": 0.7, "blend_domain": "magnitude_phase"},
    "blend_add": {"blend_alpha": 0.7, "blend_operation": "add"},
    "blend_subtract": {"blend_alpha": 0.7, "blend_operation": "subtract"},
    "blend_overlay": {"blend_alpha": 0.7, "blend_operation": "overlay"},
    "channels_independent": {"channels": "independent"},
    "channels_luma": {"channels": "luma"},
}
EVERY_SPECTRAL = (
    "mask_low_pass_soft",
    "tilt",
    "noise",
    "phase_gaussian",
    "peaks",
    "mix_fact",
    "blend_spatial",
)
OVER_NUMPY = {
    "mix_fact": ("numpy_fact", "numpy_fact_float32"),
    "mix_apr_p": ("numpy_apr_p",),
    "mix_fda": ("numpy_fda",),
    "full_policy": ("numpy_fact", "numpy_fact_float32"),
}
OVER_TORCHVISION = {
    "blur": ("torchvision_blur", "torchvision_blur_batch"),
    "rotate": ("torchvision_rotate", "torchvision_rotate_batch"),
    "flip": ("torchvision_flip", "torchvision_flip_batch"),
    "jpeg": ("torchvision_jpeg",),
}


def full_policy() -> FrequencyPolicy:
    """The policy that `spaces/fft.yaml` searches, every field at its greatest value."""
    space = yaml.safe_load(SPACE.read_text())["space"]
    known = {field.name for field in fields(FrequencyPolicy)}
    values = {name: value["high"] if isinstance(value, dict) else value for name, value in space.items()}
    return FrequencyPolicy(**{name: value for name, value in values.items() if name in known})


def policies() -> dict[str, FrequencyPolicy]:
    """All policies that are timed; blends and channels are variants of the full one."""
    full = full_policy().to_dict()
    alone = {name: FrequencyPolicy(**values) for name, values in (SPECTRAL | SPATIAL).items()}
    variants = {name: FrequencyPolicy(**full | values) for name, values in VARIANTS.items()}
    parts = [(SPECTRAL | VARIANTS)[name] for name in EVERY_SPECTRAL]
    spectral = {name: value for part in parts for name, value in part.items()}
    spatial = {name: value for part in SPATIAL.values() for name, value in part.items()}
    together = {
        "full_policy": FrequencyPolicy(**full),
        "everything_spectral": FrequencyPolicy(**spectral),
        "everything": FrequencyPolicy(**spectral | spatial),
    }
    return together | alone | variants


def contenders(size: int, batch: int, device: torch.device) -> dict[str, Contender]:
    """Everything that takes turns at one size."""
    images = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(0))
    calls = ours(images.to(device)) | floor(images.to(device)) | by_torchvision(images.to(device))
    timed = {name: Contender(call, batch) for name, call in calls.items()}
    few = images[:NUMPY_IMAGES]
    return timed | {name: Contender(call, len(few)) for name, call in by_numpy(few.numpy()).items()}


def augmentation(
    policy: FrequencyPolicy, images: Tensor, carry_out: Callable[[Tensor, AugmentParams], object] = apply
) -> Callable[[], object]:
    """Draw and apply. Each has a generator of its own, so in every round all are given the same strengths."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(images)) % 2
    return lambda: carry_out(images, sample(policy, len(images), generator, labels=labels))


def ours(images: Tensor) -> dict[str, Callable[[], object]]:
    return {name: augmentation(policy, images) for name, policy in policies().items()}


def floor(images: Tensor) -> dict[str, Callable[[], object]]:
    """The transform there and back, of the batch as a whole and in the blocks that `apply` takes on a CPU."""
    return {
        "bare_transform": lambda: bare(images),
        "bare_in_blocks": lambda: bare_in_blocks(images, block_size(images)),
        "copy": lambda: images.clone(),
    }


def bare(images: Tensor) -> Tensor:
    return torch.fft.irfft2(torch.fft.rfft2(images), s=images.shape[-2:])


def bare_in_blocks(images: Tensor, step: int) -> Tensor:
    results = torch.empty_like(images)
    for block, result in zip(images.split(step), results.split(step), strict=True):
        result.copy_(bare(block))
    return results


def by_torchvision(images: Tensor) -> dict[str, Callable[[], object]]:
    policy = {name: FrequencyPolicy(**values) for name, values in SPATIAL.items()}
    sigma, degrees = policy["blur"].blur_sigma, policy["rotate"].rotation
    return {
        "torchvision_blur": augmentation(policy["blur"], images, torchvision_style.blur),
        "torchvision_blur_batch": lambda: torchvision_style.blur_batch(images, sigma),
        "torchvision_rotate": augmentation(policy["rotate"], images, torchvision_style.rotate),
        "torchvision_rotate_batch": lambda: torchvision_style.rotate_batch(images, degrees),
        "torchvision_flip": augmentation(policy["flip"], images, torchvision_style.flip),
        "torchvision_flip_batch": lambda: torchvision_style.flip_batch(images),
        "torchvision_jpeg": augmentation(policy["jpeg"], images, torchvision_style.jpeg),
    }


def by_numpy(images: np.ndarray) -> dict[str, Callable[[], object]]:
    """The literature's style on float32 (B, 3, H, W) in [0, 1], for FACT as 8-bit pictures, channels last."""
    pictures = np.ascontiguousarray((images * 255).round().astype(np.uint8).transpose(0, 2, 3, 1))
    next_one = np.roll(np.arange(len(images)), -1)
    pairs = list(zip(images, images[next_one], strict=True))
    return {
        "numpy_fact": lambda: fact_in_pairs(pictures),
        "numpy_fact_float32": lambda: fact_in_pairs(pictures.astype(np.float32)),
        "numpy_apr_p": lambda: numpy_style.apr_p(images, next_one),
        "numpy_fda": lambda: [numpy_style.fda(source, target) for source, target in pairs],
    }


def fact_in_pairs(pictures: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """As many results as pictures, since each pair is mixed both ways."""
    pairs = zip(pictures[::2], pictures[1::2], strict=True)
    return [numpy_style.fact(first, second, MIX_WEIGHT) for first, second in pairs]
