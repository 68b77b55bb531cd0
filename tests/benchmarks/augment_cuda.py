"""The full policy on a GPU, against its memory bandwidth and against a training step of Swin-T.

Every part is guarded: what fails leaves the text of its error in the record, and the rest goes on.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from genimage_core import fields, spectrum
from genimage_core.augment import AugmentParams, apply, sample
from genimage_core.detectors.detector import build_detector
from genimage_core.device import autocast
from genimage_core.settings import TrainingSettings
from genimage_core.training import build_optimizer
from tests.benchmarks.augment_contenders import augmentation, bare, full_policy
from tests.benchmarks.taking_turns import Contender, Times, clock_for, event_clock, ratio, rounded, take_turns

SIZE = 224
TRAINING_BATCH = 64
COPIED_BYTES = 2**30  # far more than any cache holds
FLOAT, COMPLEX = 4, 8  # bytes
KEPT = (
    spectrum.radial_frequency,
    spectrum.band,
    spectrum.pair_index,
    spectrum.pair_sign,
    fields._normal_quantiles,
)


def measure(batch: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """What is measured on a GPU only. The larger batch outgrows its cache and hides the launches."""
    bandwidth = copy_bandwidth(COPIED_BYTES, device, repeats)
    shares = {
        str(count): guarded(partial(against_bandwidth, count, SIZE, bandwidth, device, repeats))
        for count in (batch, 8 * batch)
    }
    return {
        "copy_gigabytes_per_second": rounded(bandwidth / 1e9),
        "bandwidth": shares,
        "training_step": guarded(partial(against_training_step, TRAINING_BATCH, SIZE, device, repeats)),
    }


def guarded(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return part()
    except Exception as error:  # whatever it is, the other parts are wanted
        return {"error": error_text(error)}


def error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:2000]


def least_bytes(batch: int, size: int) -> dict[str, int]:
    """Bytes that the full policy must move at the least, in float32, for B images of 3 x H x W pixels.

    With P = 3 B H W pixels, S = 3 B H (W // 2 + 1) bins, and F = B H (W // 2 + 1) entries of a field, which
    the channels share:

    - images: read by the forward transform and written by the backward one, 4 P + 4 P;
    - spectra: written by the forward transform and read by the backward one, 8 S + 8 S, as if each of the two
      were a single pass and the bins were multiplied on the way;
    - fields: gain and phase, each written once and read once, 4 (4 F).

    The blend reads the original a second time, and a two-dimensional transform that takes two passes writes
    and reads the spectra once more; neither is counted, for a kernel could do without.
    """
    half = size * (size // 2 + 1)
    return {
        "images": 2 * FLOAT * 3 * batch * size * size,
        "spectra": 2 * COMPLEX * 3 * batch * half,
        "fields": 4 * FLOAT * batch * half,
    }


def copy_bandwidth(count: int, device: torch.device, repeats: int) -> float:
    """Bytes per second, read and written, of the device's own copy of `count` bytes."""
    source = torch.zeros(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy = {"copy": Contender(lambda: target.copy_(source), 1)}
    times = take_turns(copy, event_clock(device), repeats)["copy"]
    return 2 * count / (times.summary()["median_ms"] / 1e3)


def against_bandwidth(
    batch: int, size: int, bandwidth: float, device: torch.device, repeats: int
) -> dict[str, Any]:
    """Time of the full policy in float32, as it is and compiled, and what share of it the bytes would take.

    `apply` is given strengths drawn beforehand; `sample_and_apply` draws them each time, on the CPU. The bare
    transform is compared with the bytes of images and spectra alone.
    """
    images = torch.rand(batch, 3, size, size, device=device)
    calls, compiled = spectral_calls(images)
    contenders = {name: Contender(call, batch) for name, call in calls.items()}
    times = take_turns(contenders, event_clock(device), repeats)
    parts = least_bytes(batch, size)
    without_fields = parts["images"] + parts["spectra"]
    floors = {name: sum(parts.values()) / bandwidth * 1e3 / batch for name in times}
    floors["bare_transform"] = without_fields / bandwidth * 1e3 / batch
    return {
        "bytes": parts,
        "floor_ms": {name: rounded(floor) for name, floor in floors.items()},
        "contenders": {name: row.summary() for name, row in times.items()},
        "floor_over_time": shares(floors, times),
        "floor_without_fields_over_time": shares(dict.fromkeys(times, floors["bare_transform"]), times),
        "over_bare_transform": {name: ratio(row, times["bare_transform"]) for name, row in times.items()},
        "compiled": compiled,
    }


def shares(floors: Mapping[str, float], times: Mapping[str, Times]) -> dict[str, float]:
    return {name: rounded(floors[name] / row.summary()["median_ms"]) for name, row in times.items()}


def spectral_calls(images: Tensor) -> tuple[dict[str, Callable[[], object]], dict[str, Any]]:
    """What is timed, and how compiling went; the full policy has none but spectral operations."""
    policy = full_policy()
    params = sample(policy, len(images), torch.Generator().manual_seed(0))
    calls: dict[str, Callable[[], object]] = {
        "apply": lambda: apply(images, params),
        "sample_and_apply": augmentation(policy, images),
        "bare_transform": lambda: bare(images),
    }
    try:
        compiled = compiled_apply()
        difference = float((compiled(images, params) - apply(images, params)).abs().max())
    except Exception as error:  # compiling is optional, and fails in many ways
        return calls, {"error": error_text(error)}
    calls["apply_compiled"] = lambda: compiled(images, params)
    return calls, {"greatest_difference": difference}


def compiled_apply(
    backend: str | Callable[..., Any] = "inductor",
) -> Callable[[Tensor, AugmentParams], Tensor]:
    """`apply`, compiled with the grids and tables it keeps as constants.

    Compiling looks past `lru_cache` and would compute them again in every call. They are marked here, not
    where they are made: to mark them imports the compiler, which nothing else of the package needs. What is
    compiled is still in pieces: Python 3.11's lock of `cached_property` splits it, and on a CPU `block_size`.
    """
    for made in KEPT:
        torch.compiler.assume_constant_result(made.__wrapped__)
    return torch.compile(apply, dynamic=False, backend=backend)


def against_training_step(batch: int, size: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """Time of the full policy beside that of a training step of Swin-T under bfloat16, per image.

    `policy_over_step` compares the policy alone with the step alone. `added_share` is what it adds to a step
    where both follow each other and the GPU can work while the CPU draws.
    """
    images = torch.rand(batch, 3, size, size, device=device)
    step = training_step(torch.arange(batch, device=device) % 2, size, device)
    augment = augmentation(full_policy(), images)
    contenders = {
        "policy": Contender(augment, batch),
        "step": Contender(lambda: step(images), batch),
        "step_with_policy": Contender(lambda: step(augment()), batch),
    }
    times = take_turns(contenders, clock_for(device), repeats)
    return {
        "contenders": {name: row.summary() for name, row in times.items()},
        "policy_over_step": ratio(times["policy"], times["step"]),
        "added_share": rounded(ratio(times["step_with_policy"], times["step"]) - 1),
    }


def training_step(labels: Tensor, size: int, device: torch.device) -> Callable[[Any], None]:
    """Forward, backward and optimiser, as `genimage_core.training` does them."""
    settings = TrainingSettings()
    detector = build_detector("swin_t", image_size=size).to(device).train()
    optimizer = build_optimizer(detector, settings)
    targets = labels.float()

    def step(images: Tensor) -> None:
        with autocast(device):
            logits = detector(images)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), settings.clip_norm)
        optimizer.step()

    return step
