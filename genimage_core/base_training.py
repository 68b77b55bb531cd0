"""Training the weights every trial starts from, once."""

from collections.abc import Callable
from pathlib import Path

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
            detector = train_from_scratch(
                recipe.detector, images, recipe.training, seed=recipe.seed, device=device, report=report
            )
            save_checkpoint(path, detector, recipe.info)
    return path


def own_policy(name: str) -> FrequencyPolicy:
    """Return what a detector's authors do to its training images."""
    return FrequencyPolicy(**find_detector(name).policy)


def train_from_scratch(
    name: str,
    images: ImageSet,
    training: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    report: Report | None = None,
) -> Detector:
    """Train a detector of the size of `images` from random weights, with no augmentation but its own."""
    detector = build_detector(
        name,
        image_size=images.image_size,
        seed=seed,
        dropout=training.dropout,
        drop_path=training.drop_path,
    ).to(device)
    learner, policy = Learner(detector, build_optimizer(detector, training)), own_policy(name)
    for epoch in range(training.epochs):
        stats = train_epoch(learner, images, policy, training, epoch=epoch, seed=seed)
        if report:
            report(epoch + 1, stats.loss)
    return detector
