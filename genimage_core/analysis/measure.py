"""Mean spectra of the reals and fakes of a generator."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genimage_core.analysis.class_files import ClassFiles, describe_files
from genimage_core.data.batches import ImageSet
from genimage_core.data.images import describe_images, open_images
from genimage_core.data.layout import Layout
from genimage_core.settings import DataSettings, require
from genimage_core.spectra import log_power, luma, multiplicity, radial_log_power
from genimage_core.spectral_distance import Distance, measure_distance

Floats = NDArray[np.float32]

LEAST_PIXELS = 16  # a spectrum of fewer shows nothing
_BATCH = 32


@dataclass(frozen=True)
class GeneratorSpectra:
    """Spectra of one generator; what there is of each class stands in the order nature, ai.

    Attributes:
        name: Short name.
        title: As it is written.
        fingerprint: Of the images and all that decides their pixels.
        files: The files of each class.
        frequency: Centre of every ring, in cycles per pixel, (rings,).
        radial: Mean log power of every ring in dB, (2, rings).
        plane: Mean log power of every bin of the half spectrum in dB, (2, H, W // 2 + 1).
        radial_distance: Between the two rows of `radial`, rings counted alike.
        plane_distance: Between the two of `plane`, bins of the whole spectrum counted alike.
    """

    name: str
    title: str
    fingerprint: str
    files: tuple[ClassFiles, ClassFiles]
    frequency: Floats
    radial: Floats
    plane: Floats
    radial_distance: Distance
    plane_distance: Distance


def measure_spectra(
    layout: Layout, generator: str, split: str, settings: DataSettings, seed: int, cache: Path
) -> GeneratorSpectra:
    """Measure one generator.

    Args:
        layout: Where the images are.
        generator: Which generator's.
        split: `train` or `val`.
        settings: How many images, at which size, with which format alignment.
        seed: Chooses the images, and draws for intervals and floors.
        cache: Cache folder.

    Raises:
        ValueError: If there are too few images, too many of them cannot be decoded, or they are too small.
    """
    size = settings.image_size
    require(size >= LEAST_PIXELS, "image_size", size, f"at least {LEAST_PIXELS} pixels")
    recipe = describe_images(layout, generator, split, settings, seed)
    images = open_images(recipe, settings, cache)
    frequency, radial, plane = _spectra_of(images)
    reals, fakes = images.labels == 0, images.labels == 1
    flat, weights = plane.reshape(len(plane), -1), multiplicity(size, size).numpy().ravel()
    return GeneratorSpectra(
        name=generator,
        title=layout.catalog.get(generator).title,
        fingerprint=images.fingerprint,
        files=describe_files(recipe, images.bad, size),
        frequency=frequency,
        radial=np.stack([radial[reals].mean(0), radial[fakes].mean(0)]),
        plane=np.stack([plane[reals].mean(0), plane[fakes].mean(0)]),
        radial_distance=measure_distance(radial[reals], radial[fakes], np.ones(len(frequency)), seed=seed),
        plane_distance=measure_distance(flat[reals], flat[fakes], weights, seed=seed),
    )


def _spectra_of(images: ImageSet) -> tuple[Floats, Floats, Floats]:
    """Frequencies of the rings; log power of rings and of bins of every image, (N, …) in dB."""
    radial, planes = [], []
    for start in range(0, len(images.labels), _BATCH):
        chosen = np.arange(start, min(start + _BATCH, len(images.labels)))
        batch = luma(torch.from_numpy(images.take(chosen)))
        frequency, power = radial_log_power(batch)
        radial.append(power.numpy())
        planes.append(log_power(batch).numpy())
    return frequency.numpy(), np.concatenate(radial), np.concatenate(planes)
