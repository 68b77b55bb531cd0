"""Training the weights every trial starts from, once, and starting a detector on them."""

from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock

from genimage_core.bases import BaseRecipe
from genimage_core.data.batches import ImageSet
from genimage_core.detectors.checkpoint import load_detector, save_checkpoint
from genimage_core.detectors.detector import Detector, build_detector
from genimage_core.detectors.info import require_fit
from genimage_core.policy import FrequencyPolicy
from genimage_core.settings import TrainingSettings
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


def train_from_scratch(
    name: str,
    images: ImageSet,
    training: TrainingSettings,
    *,
    seed: int,
    device: torch.device,
    report: Report | None = None,
) -> Detector:
    """Train a detector of the size of `images` from random weights, without augmentation but flips."""
    detector = build_detector(name, image_size=images.image_size, seed=seed).to(device)
    optimizer = build_optimizer(detector, training)
    for epoch in range(training.epochs):
        stats = train_epoch(detector, optimizer, images, FrequencyPolicy(), training, epoch=epoch, seed=seed)
        if report:
            report(epoch + 1, stats.loss)
    return detector


def start_from(
    path: Path | None, *, detector: str, image_size: int, freeze_depth: int, seed: int
) -> Detector:
    """Build a detector on the weights at `path`, or on random ones drawn by `seed` if there is none.

    Raises:
        ValueError: If the weights are of another detector or size.
    """
    if path is None:
        return build_detector(detector, image_size=image_size, freeze_depth=freeze_depth, seed=seed)
    require_fit(path, detector, image_size)
    return load_detector(path, freeze_depth=freeze_depth)
