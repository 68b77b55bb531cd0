"""Training the weights every trial starts from, once, and starting a detector on them."""

from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock

from genimage_core.bases import BaseRecipe
from genimage_core.data.images import ImageSet
from genimage_core.detectors.checkpoint import load_detector, save_checkpoint
from genimage_core.detectors.detector import Detector, build_detector
from genimage_core.detectors.info import read_info
from genimage_core.policy import FrequencyPolicy
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
            save_checkpoint(path, _train(recipe, images, device, report), recipe.info)
    return path


def _train(recipe: BaseRecipe, images: ImageSet, device: torch.device, report: Report | None) -> Detector:
    detector = build_detector(recipe.detector, image_size=recipe.image_size, seed=recipe.seed).to(device)
    optimizer = build_optimizer(detector, recipe.training)
    for epoch in range(recipe.training.epochs):
        stats = train_epoch(
            detector, optimizer, images, FrequencyPolicy(), recipe.training, epoch=epoch, seed=recipe.seed
        )
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
    info = read_info(path)
    if (info.detector, info.image_size) != (detector, image_size):
        raise ValueError(
            f"{path} holds {info.detector} at {info.image_size} px, not {detector} at {image_size} px"
        )
    return load_detector(path, freeze_depth=freeze_depth)
