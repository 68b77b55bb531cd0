"""PURE: what a policy makes of the spectra of images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genimage_core.augment import LUMA_WEIGHTS, FrequencyPolicy, apply, sample
from genimage_core.data.batches import ImageSet
from genimage_core.spectra import radial_log_power
from genimage_core.training import read_batch

Curve = NDArray[np.float64]
LABELS = {"real": 0, "fake": 1}
PER_CLASS = 24  # images; a mean over more looks the same


@dataclass(frozen=True)
class Spectra:
    """Mean radial log-power of images, before a policy acts on them and after.

    Attributes:
        images: How many of each class.
        frequency: Centres of the rings in cycles per pixel, shape (rings,).
        before: By class, `real` and `fake`: in dB, shape (rings,).
        after: As `before`.
    """

    images: int
    frequency: Curve
    before: Mapping[str, Curve]
    after: Mapping[str, Curve]


def measure_spectra(policy: FrequencyPolicy, data: ImageSet, seed: int) -> Spectra:
    """Measure the mean radial spectra of the luma of some images of each class, evenly spread over the set.

    Args:
        policy: Acts with the strengths that it has in training.
        data: Images of one generator, of both classes.
        seed: Of the strengths that are drawn.
    """
    chosen = {name: _spread(data, label) for name, label in LABELS.items()}
    count = min(len(places) for places in chosen.values())
    chosen = {name: places[:count] for name, places in chosen.items()}
    places = torch.from_numpy(np.concatenate(list(chosen.values())))
    images = read_batch(data, places, torch.device("cpu")).contiguous()
    labels = torch.from_numpy(data.labels)[places]
    params = sample(policy, len(places), torch.Generator().manual_seed(seed), labels=labels)
    frequency, before = _radial(images)
    _, after = _radial(apply(images, params))
    halves = {"real": slice(None, count), "fake": slice(count, None)}
    return Spectra(
        count,
        frequency.double().numpy(),
        {name: before[half].double().mean(0).numpy() for name, half in halves.items()},
        {name: after[half].double().mean(0).numpy() for name, half in halves.items()},
    )


def _spread(data: ImageSet, label: int) -> NDArray[np.int64]:
    places = np.flatnonzero(data.labels == label)
    spread: NDArray[np.int64] = np.linspace(0, len(places) - 1, min(PER_CLASS, len(places))).astype(int)
    return places[spread]


def _radial(images: Tensor) -> tuple[Tensor, Tensor]:
    luma = (images * images.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)).sum(1)
    return radial_log_power(luma)
