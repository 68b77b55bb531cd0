"""One step of a training, in as many parts as the memory of the device asks for."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel

from genimage_core.detectors.detector import Detector
from genimage_core.device import autocast, halve_until_it_fits


@dataclass
class Learner:
    """A detector and what its training carries from step to step, all of it changed in place.

    Attributes:
        detector: On its device.
        optimizer: Of the detector.
        average: Moving average of its weights, if there is one.
        micro_batch: Images at a time, once a whole batch has not fitted into the memory of the device.
    """

    detector: Detector
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None = None
    micro_batch: int | None = None


def take_step(learner: Learner, images: Tensor, labels: Tensor, clip_norm: float) -> Tensor:
    """Take one step on a batch; where it does not fit the device, on the same gradient, added up over parts.

    Parts are halved until they fit, and stay so small for the steps to come. The gradient is that of the
    whole batch but for rounding, and for dropout and stochastic depth: their numbers are drawn part by part,
    so they are others, as good as the first. Batch norm in training mode computes over the whole batch, so
    that one is not divided.

    Args:
        learner: Changed in place.
        images: In [0, 1], shape (B, 3, H, W).
        labels: 0 or 1, shape (B,).
        clip_norm: Largest norm of the gradient of the whole batch.

    Returns:
        The mean binary cross-entropy per image, in nats, before the step.

    Raises:
        torch.OutOfMemoryError: If parts of one image do not fit, or the batch cannot be divided.
    """
    size = min(learner.micro_batch or len(labels), len(labels))
    work = partial(_compute_gradients, learner, images, labels)
    loss, fits = halve_until_it_fits(work, size, divisible=not trains_batch_norm(learner.detector))
    if fits < size:
        learner.micro_batch = fits
    nn.utils.clip_grad_norm_([p for p in learner.detector.parameters() if p.requires_grad], clip_norm)
    learner.optimizer.step()
    if learner.average is not None:
        learner.average.update_parameters(learner.detector)
    return loss


def _compute_gradients(learner: Learner, images: Tensor, labels: Tensor, size: int) -> Tensor:
    learner.optimizer.zero_grad(set_to_none=True)  # also of what a try that failed had added up
    losses = []
    for part, wanted in zip(torch.split(images, size), torch.split(labels, size), strict=True):
        with autocast(images.device):
            logits = learner.detector(part)
        loss = functional.binary_cross_entropy_with_logits(logits.float(), wanted)
        loss = loss * (len(wanted) / len(labels))  # a part counts by its images; the whole by exactly 1
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def trains_batch_norm(detector: nn.Module) -> bool:
    """Whether batch norm computes over the batch, as it does in training mode where it is not frozen."""
    return any(isinstance(module, _BatchNorm) and module.training for module in detector.modules())
