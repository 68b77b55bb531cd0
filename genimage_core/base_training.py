"""Training one detector on one set, from the first epoch to the last; the weights every trial starts from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from genimage_core.bases import BaseRecipe
from genimage_core.data.batches import ImageSet
from genimage_core.detectors.catalogue import find_detector
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import Detector, build_detector
from genimage_core.policy import FrequencyPolicy
from genimage_core.settings import TrainingSettings
from genimage_core.steps import Learner
from genimage_core.training import build_optimizer, train_epoch

Report = Callable[[int, float], None]  # epochs done, loss


@dataclass(frozen=True)
class Trained:
    """A detector that has been trained.

    Attributes:
        detector: On its device.
        loss: Mean of the last epoch, in nats.
        seconds: Of all epochs.
    """

    detector: Detector
    loss: float
    seconds: float


def ensure_base(
    recipe: BaseRecipe, images: ImageSet, cache: Path, device: torch.device, report: Report | None = None
) -> Path:
    """Return the weights of a recipe, training them first if no earlier run has.

    Safe when several processes ask at once: one trains, the others wait.
    """
    path = recipe.path_in(cache)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            trained = train_detector(
                recipe.detector, images, recipe.training, seed=recipe.seed, device=device, report=report
            )
            save_checkpoint(path, trained.detector, recipe.info)
    return path


def own_policy(name: str) -> FrequencyPolicy:
    """Return what a detector's authors do to its training images."""
    return FrequencyPolicy(**find_detector(name).policy)


def train_detector(
    name: str,
    images: ImageSet,
    training: TrainingSettings,
    *,
    base: str = "scratch",
    seed: int,
    device: torch.device,
    epoch_images: int | None = None,
    report: Report | None = None,
) -> Trained:
    """Train a detector of the size of `images`, with no augmentation but its own.

    Args:
        name: Of the detector.
        images: What it learns from.
        training: Epochs, schedule, optimiser.
        base: As `build_detector` takes it.
        seed: Decides weights, order and augmentation.
        device: Where.
        epoch_images: Images that an epoch has, whatever there are (see `repeat`); by default each once.
        report: Told after every epoch.
    """
    detector = build_detector(
        name,
        image_size=images.image_size,
        base=base,
        seed=seed,
        dropout=training.dropout,
        drop_path=training.drop_path,
    ).to(device)
    learner, policy = Learner(detector, build_optimizer(detector, training)), own_policy(name)
    loss = seconds = 0.0
    for epoch in range(training.epochs):
        learnt = images if epoch_images is None else repeat(images, epoch_images, seed=seed, epoch=epoch)
        stats = train_epoch(learner, learnt, policy, training, epoch=epoch, seed=seed)
        loss, seconds = stats.loss, seconds + stats.seconds
        if report:
            report(epoch + 1, loss)
    return Trained(detector, loss, seconds)


def repeat(images: ImageSet, count: int, *, seed: int, epoch: int) -> ImageSet:
    """Return `count` images: all as often as that goes, and some, drawn anew in every epoch, once more.

    With it small and large sets are learnt in the same number of steps.
    """
    there = len(images.labels)
    passes, rest = divmod(count, there)
    more = np.random.default_rng([seed, epoch]).permutation(there)[:rest]
    return images.select(np.concatenate([np.tile(np.arange(there), passes), more]))
