"""One epoch of one detector on one training set."""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from genimage_core.augment import apply, sample
from genimage_core.data.batches import ImageSet
from genimage_core.detectors.detector import Detector
from genimage_core.device import out_of_memory_means
from genimage_core.policy import FrequencyPolicy
from genimage_core.settings import TrainingSettings, derive_seed
from genimage_core.steps import Learner, take_step, trains_batch_norm


@dataclass(frozen=True)
class EpochStats:
    """What one epoch of training gave.

    Attributes:
        loss: Mean binary cross-entropy per image, in nats.
        seconds: Wall-clock seconds.
        images: Images seen.
        micro_batch: Images at a time, where whole batches do not fit into the memory of the device.
    """

    loss: float
    seconds: float
    images: int
    micro_batch: int | None


def build_optimizer(detector: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Make the optimiser of what is not frozen; biases and norms (one dimension) are not decayed.

    Every group has a `scale`, by which its learning rate is multiplied.
    """
    groups = [
        {"params": members, "weight_decay": settings.weight_decay if decayed else 0.0, "scale": scale}
        for (scale, decayed), members in _grouped(detector, settings.layer_decay).items()
    ]
    rate = settings.learning_rate
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=0.9, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=rate, fused=True)
        case _:
            return torch.optim.AdamW(groups, lr=rate, fused=True)


def _grouped(detector: nn.Module, layer_decay: float) -> dict[tuple[float, bool], list[nn.Parameter]]:
    """Sort trainable parameters by the scale of their rate and by whether they are decayed."""
    parts = list(detector.parts) if isinstance(detector, Detector) else []
    scale = {
        id(p): layer_decay ** (len(parts) - k) for k, part in enumerate(parts) for p in part.parameters()
    }
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in detector.parameters():
        if parameter.requires_grad:
            key = (scale.get(id(parameter), 1.0), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return dict(sorted(groups.items(), reverse=True))


def build_average(detector: Detector, settings: TrainingSettings) -> AveragedModel | None:
    """Start an exponential moving average of weights and statistics where the settings ask for one.

    Its decay grows with the steps t as (1 + t) / (10 + t) up to `ema_decay`: else a training that is short
    against 1 / (1 - ema_decay) steps would keep the weights it began with. Source: TensorFlow's
    `ExponentialMovingAverage`, argument `num_updates`.
    """
    if settings.ema_decay == 0:
        return None

    def blend(averaged: Any, current: Any, steps: Tensor | int) -> None:
        decay = min(settings.ema_decay, float((1 + steps) / (10 + steps)))
        get_ema_multi_avg_fn(decay)(averaged, current, steps)  # type: ignore[no-untyped-call]

    return AveragedModel(detector, multi_avg_fn=blend, use_buffers=True)


def learning_rate_at(step: int, total_steps: int, settings: TrainingSettings) -> float:
    """Learning rate of optimiser step `step` (from 0): linear warm-up, then half a cosine to zero."""
    warmup = settings.warmup * total_steps
    if step < warmup:
        return settings.learning_rate * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1.0, total_steps - warmup)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def to_batch(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Turn uint8 (B, H, W, 3) into float32 (B, 3, H, W) in [0, 1] on `device`."""
    images = images if images.flags.writeable else images.copy()  # torch knows no read-only memory
    return _to_float(torch.from_numpy(images), device)


def _to_float(images: Tensor, device: torch.device) -> Tensor:
    return images.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)


def read_batch(data: ImageSet, chosen: Tensor, device: torch.device, offsets: Tensor | None = None) -> Tensor:
    """Gather images into one batch, like `to_batch`; on its way to a GPU it lies in pinned memory.

    Args:
        data: Where from.
        chosen: Indices, shape (B,).
        device: Where to.
        offsets: Top and left of the crops, shape (B, 2), within the margin; the centre by default.
    """
    shape = (len(chosen), data.image_size, data.image_size, 3)
    # A new one each time: torch gives a pinned one out again when the copy from it is done.
    buffer = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    data.take(chosen.numpy(), buffer.numpy(), None if offsets is None else offsets.numpy())
    return _to_float(buffer, device)


def train_epoch(
    learner: Learner,
    data: ImageSet,
    policy: FrequencyPolicy,
    settings: TrainingSettings,
    *,
    epoch: int,
    seed: int,
) -> EpochStats:
    """Train for one epoch; order, flips, augmentation and drop path follow from (`seed`, `epoch`) alone.

    Args:
        learner: Changed in place.
        data: Training images, decoded.
        policy: Frequency augmentation of the training images.
        settings: Batch size, schedule.
        epoch: Counts from 0; places the epoch in the schedule of `settings.epochs`.
        seed: Seed of the fold.

    Raises:
        FloatingPointError: If a loss is not finite; the message names the step.
        torch.OutOfMemoryError: If the device's memory does not suffice (see `steps.take_step`); the message
            says for what, and what to do.
    """
    started = time.perf_counter()
    device = next(learner.detector.parameters()).device
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch))
    order = torch.randperm(len(data.labels), generator=generator)
    batches = split_batches(order, settings.batch_size)
    learner.detector.train()
    losses = []
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with forked, out_of_memory_means(_advice(learner.detector, data.image_size, settings.batch_size)):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        for index, chosen in enumerate(batches):
            rate = learning_rate_at(epoch * len(batches) + index, settings.epochs * len(batches), settings)
            for group in learner.optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            images, labels = draw_batch(data, chosen, policy, settings, generator, device)
            losses.append(take_step(learner, images, labels, settings.clip_norm) * len(chosen))
            _check_finite(losses, every=50, epoch=epoch)
    _check_finite(losses, every=1, epoch=epoch)
    mean = float(torch.stack(losses).sum() / len(order))
    return EpochStats(mean, time.perf_counter() - started, len(order), learner.micro_batch)


def _advice(detector: Detector, image_size: int, batch_size: int) -> str:
    """Say what to do when the memory of the device does not suffice for a training."""
    whole = "its batch norm needs the whole batch at once"
    reason = whole if trains_batch_norm(detector) else "smaller parts of a batch do not help"
    return (
        f"training {detector.name} at {image_size} px with training.batch_size {batch_size} does not fit "
        f"into the memory of the device, and {reason}; lower training.batch_size, freeze more "
        "(freeze_depth) or take a smaller detector or image size"
    )


def split_batches(order: Tensor, size: int) -> list[Tensor]:
    """Split indices into batches of `size`; a single last image, too few for batch norm, joins the others."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def draw_batch(
    data: ImageSet,
    chosen: Tensor,
    policy: FrequencyPolicy,
    settings: TrainingSettings,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Gather, crop, flip and augment the images at the indices `chosen`."""
    labels = torch.from_numpy(data.labels[chosen.numpy()])
    # Drawn only where there is a choice: without one, the numbers of the flips stay what they were.
    offsets = torch.randint(data.margin + 1, (len(chosen), 2), generator=generator) if data.margin else None
    images = read_batch(data, chosen, device, offsets)
    if settings.flip:
        mirrored = torch.rand(len(chosen), generator=generator) < 0.5
        images = torch.where(mirrored.to(device).view(-1, 1, 1, 1), images.flip(3), images)
    # Drawn for the identity too, so that trials with one seed meet the same order and flips.
    params = sample(policy, len(chosen), generator, labels=labels)
    return apply(images, params), labels.to(device).float()


def _check_finite(losses: list[Tensor], *, every: int, epoch: int) -> None:
    # Reading a loss waits for the device, so it is done once in a while.
    if len(losses) % every:
        return
    finite = torch.isfinite(torch.stack(losses[-every:] if every > 1 else losses))
    if not bool(finite.all()):
        step = len(losses) - len(finite) + int((~finite).nonzero()[0]) + 1
        raise FloatingPointError(
            f"the loss is not finite at step {step} of epoch {epoch + 1}; lower the learning rate"
        )
