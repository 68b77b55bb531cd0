"""Scores of one detector on many generators."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genimage_core.calibration import fit_temperature
from genimage_core.data.batches import ImageSet
from genimage_core.detectors.detector import Detector
from genimage_core.device import autocast, halve_until_it_fits, out_of_memory_means
from genimage_core.frozen_features import FrozenFeatures
from genimage_core.metrics import Logits, Scores, score
from genimage_core.training import read_batch

AT_ONCE = {"cpu": 32, "cuda": 256}  # images; a CPU is faster where a batch stays in its cache


def predict(
    detector: nn.Module,
    data: ImageSet,
    batch_size: int | None = None,
    change: Callable[[Tensor], Tensor] | None = None,
    frozen: FrozenFeatures | None = None,
) -> NDArray[np.float32]:
    """Return the logits (N,) of a set, in evaluation mode; stored margins are cut off evenly.

    Args:
        detector: On its device.
        data: Which images.
        batch_size: Images at a time, by default what suits the device; fewer, where memory does not suffice.
        change: Done to every batch first, e.g. one of `degrade.DEGRADATIONS`.
        frozen: Where features of the frozen parts are kept from one call to the next, of unchanged images.

    Raises:
        ValueError: If images are to be changed, and their features to be kept.
        torch.OutOfMemoryError: If one image does not fit the device; the message says what to do.
    """
    if change and frozen:
        raise ValueError("features are kept of unchanged images only: give either change or frozen")
    detector.eval()
    device = next(detector.parameters()).device
    if frozen and isinstance(detector, Detector) and frozen.suit(detector):
        classify = partial(_classify_kept, detector, frozen)
    else:
        classify = partial(_classify, detector, change)
    size = batch_size or AT_ONCE.get(device.type, AT_ONCE["cpu"])
    advice = (
        f"evaluating one image of {data.image_size} px at a time does not fit into the memory of the device; "
        "free it from other processes, or take a smaller detector or image size"
    )
    with out_of_memory_means(advice):
        logits, _ = halve_until_it_fits(partial(_predict, classify, data, device), size)
    return logits.cpu().numpy()


def _predict(
    classify: Callable[[ImageSet, Tensor], Tensor], data: ImageSet, device: torch.device, batch_size: int
) -> Tensor:
    batches = torch.split(torch.arange(len(data.labels)), batch_size)
    with torch.inference_mode(), autocast(device):
        return torch.cat([classify(data, chosen).float() for chosen in batches])


def _classify(
    detector: nn.Module, change: Callable[[Tensor], Tensor] | None, data: ImageSet, chosen: Tensor
) -> Tensor:
    images = read_batch(data, chosen, next(detector.parameters()).device)
    logits: Tensor = detector(change(images) if change else images)
    return logits


def _classify_kept(detector: Detector, frozen: FrozenFeatures, data: ImageSet, chosen: Tensor) -> Tensor:
    return detector.classify(frozen.of(detector, data, chosen))


def evaluate(detector: nn.Module, sets: Mapping[str, ImageSet]) -> dict[str, Scores]:
    """Score a detector on every generator of `sets`.

    Raises:
        ValueError: If a logit is not finite or a set lacks a class; the message names the generator.
    """
    return score_all({name: predict(detector, data) for name, data in sets.items()}, sets)


def score_all(logits: Logits, sets: Mapping[str, ImageSet]) -> dict[str, Scores]:
    """Score the logits of every generator of `sets`; otherwise like `evaluate`."""
    scores = {}
    for name, data in sets.items():
        try:
            scores[name] = score(logits[name], data.labels)
        except ValueError as error:
            raise ValueError(f"evaluation on {name}: {error}") from error
    return scores


def calibrate(logits: Logits, sets: Mapping[str, ImageSet], generators: Iterable[str]) -> float:
    """Fit the temperature of a detector (see `calibration`).

    Args:
        logits: What it says of validation images, by generator.
        sets: These images.
        generators: The ones it was trained on; of others, no probability may claim to know how they are.

    Raises:
        ValueError: If a logit is not finite or a class is missing.
    """
    names = list(generators)
    return fit_temperature(
        np.concatenate([logits[name] for name in names]),
        np.concatenate([sets[name].labels for name in names]),
    )
