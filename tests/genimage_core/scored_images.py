"""Makes test images and what detectors tell of them."""

import numpy as np

from genimage_core.resampling import Images


def images(generators=1, per_class=50, clusters=None):
    """Reals first, then fakes, generator after generator; every image a cluster unless told otherwise."""
    labels = np.tile(np.repeat([0, 1], per_class), generators)
    names = tuple("abcdefgh"[:generators])
    sources = np.repeat(np.arange(generators), 2 * per_class)
    return Images(names, sources, labels, np.arange(len(labels)) if clusters is None else clusters)


def even(folds, generators):
    """All cells count alike, shape (1, F, G)."""
    return np.full((1, folds, generators), 1 / (folds * generators))


def latent(rng, found, seeds, folds, *, seed_sd, skill=0.4):
    """Whether the detectors of one configuration tell images right, where seeds differ by `seed_sd`."""
    count = len(found.labels)
    of_seed = rng.normal(0, seed_sd, (seeds, folds, 1)) + rng.normal(0, seed_sd, (seeds, 1, 1))
    return skill + of_seed + rng.normal(0, 0.5, (seeds, folds, count)) > 0
