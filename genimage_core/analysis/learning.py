"""Detectors of an analysis: trained alike on different images, each tested on several sets."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from genimage_core.base_training import train_detector
from genimage_core.data.batches import ImageSet
from genimage_core.evaluation import predict
from genimage_core.metrics import Scores, score
from genimage_core.settings import TrainingSettings
from genimage_core.training import split_batches


@dataclass(frozen=True)
class Learning:
    """What all detectors of an analysis have in common.

    Attributes:
        detector: Name.
        base: `scratch`, `imagenet` or `checkpoint:PATH`.
        training: Epochs, schedule, optimiser.
        device: Where.
    """

    detector: str
    base: str
    training: TrainingSettings
    device: torch.device


@dataclass(frozen=True)
class Outcome:
    """One detector that was trained and tested.

    Attributes:
        images: Training images, reals and fakes together.
        passes: How often each was seen, on average.
        steps: Of the optimiser.
        loss: Mean of the last epoch, in nats.
        scores: By test set.
        right: By test set: whether each image was told right, (N,).
    """

    images: int
    passes: float
    steps: int
    loss: float
    scores: dict[str, Scores]
    right: dict[str, NDArray[np.bool_]]


def train_and_test(
    learning: Learning,
    images: ImageSet,
    tests: Mapping[str, ImageSet],
    seed: int,
    epoch_images: int | None = None,
) -> Outcome:
    """Train one detector and test it.

    Args:
        learning: How.
        images: What it learns from.
        tests: What it is tested on, by name.
        seed: Decides weights, order and augmentation.
        epoch_images: Images that an epoch has, whatever there are; by default each once.

    Raises:
        ValueError: If a logit is not finite or a test set lacks a class; the message names the set.
    """
    training, count = learning.training, len(images.labels)
    trained = train_detector(
        learning.detector,
        images,
        training,
        base=learning.base,
        seed=seed,
        device=learning.device,
        epoch_images=epoch_images,
    )
    seen = epoch_images or count
    logits = {name: predict(trained.detector, data) for name, data in tests.items()}
    return Outcome(
        images=count,
        passes=training.epochs * seen / count,
        steps=training.epochs * len(split_batches(torch.arange(seen), training.batch_size)),
        loss=trained.loss,
        scores={name: _score(name, found, tests[name]) for name, found in logits.items()},
        right={name: (found > 0) == (tests[name].labels == 1) for name, found in logits.items()},
    )


def _score(name: str, logits: NDArray[np.float32], data: ImageSet) -> Scores:
    try:
        return score(logits, data.labels)
    except ValueError as error:
        raise ValueError(f"evaluation on {name}: {error}") from error
