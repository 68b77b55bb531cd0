"""PURE: how far balanced accuracies vary over test images, seeds of training and families of generators.

One bootstrap for all levels. Seeds, images and generators are crossed: every seed is tested on the same
images, so a resample draws the images once for all seeds, not anew within each (Owen, "The pigeonhole
bootstrap", Annals of Applied Statistics 2007). Drawn within seeds, what all seeds owe to the same lucky
images would be taken for noise that seeds average out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from genimage_core.intervals import LEVEL, Estimate, require_two

RESAMPLES = 10_000
_AT_A_TIME = 250

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Images:
    """Test images of one or more generators, N in all.

    Attributes:
        generators: Their names, G.
        sources: Of each image the place of its generator in `generators`, shape (N,).
        labels: 0 = real, 1 = fake, shape (N,).
        clusters: Images with the same number are no independent evidence, whatever their generator and
            label; shape (N,).

    Raises:
        ValueError: If shapes differ, or a generator has fewer than 2 images of a class.
    """

    generators: tuple[str, ...]
    sources: NDArray[np.integer]
    labels: NDArray[np.integer]
    clusters: NDArray[np.integer]

    def __post_init__(self) -> None:
        shapes = {self.sources.shape, self.labels.shape, self.clusters.shape}
        if len(shapes) > 1 or self.labels.ndim != 1:
            raise ValueError(f"sources, labels and clusters must be (N,) alike, got {sorted(shapes)}")
        for place, name in enumerate(self.generators):
            require_two(self.labels[self.sources == place], name)

    @property
    def cells(self) -> NDArray[np.integer]:
        """Number of the class of the generator that each image belongs to, within [0, 2 G)."""
        return 2 * self.sources + self.labels

    @property
    def cell_sizes(self) -> NDArray[np.integer]:
        """Images of each class of each generator, shape (2 G,)."""
        return np.bincount(self.cells, minlength=2 * len(self.generators))


@dataclass(frozen=True)
class Resampled:
    """Balanced accuracies, or differences of such, and how they vary over the choice of images.

    Attributes:
        by_seed: As measured, shape (S, E): E means of cells of the cross-generator matrix for each seed.
        drawn: The same for B resamples of the images, shape (B, S, E).
    """

    by_seed: Floats
    drawn: Floats


def average_cells(counted: Sequence[Sequence[str]], generators: Sequence[str]) -> Floats:
    """Weigh the cells of a cross-generator matrix as the search's objective does.

    Args:
        counted: Of each fold, the generators that count.
        generators: All that there are, G.

    Returns:
        Shape (F, G), sum 1: each fold that counts any generator weighs the same, as do its generators.

    Raises:
        ValueError: If no fold counts any.
    """
    marked = np.array([[name in names for name in generators] for names in counted], dtype=np.float64)
    in_fold = marked.sum(1, keepdims=True)
    if not in_fold.any():
        raise ValueError(f"no fold counts any of the generators {', '.join(generators)}")
    weights: Floats = np.divide(marked, in_fold, out=np.zeros_like(marked), where=in_fold > 0)
    return weights / np.count_nonzero(in_fold)


def sum_folds(values: NDArray[np.number] | NDArray[np.bool_], images: Images, weights: Floats) -> Floats:
    """Sum what the detectors of all folds make of an image, weighed so that the images add up to a mean.

    Args:
        values: Of each seed, fold and image 1 where it was told right, or a difference; shape (S, F, N).
        images: What was tested on.
        weights: Of the cells, shape (F, G).

    Returns:
        Shape (S, N); summed over the images it is the weighted mean of balanced accuracies.
    """
    of_images = weights[:, images.sources] * 0.5 / images.cell_sizes[images.cells]
    summed: Floats = np.einsum("fn,sfn->sn", of_images, values)
    return summed


def resample_images(
    values: NDArray[np.number],
    images: Images,
    weights: Floats,
    rng: np.random.Generator,
    *,
    span: Floats,
    resamples: int = RESAMPLES,
) -> Resampled:
    """Bootstrap clusters of images, those of all seeds, folds, generators and classes together.

    A resample's shares are linearised in how often clusters are drawn (as in survey sampling), so that a
    class of which a resample draws nothing has a value all the same. What else there is, for small numbers:

    - Every class of every generator gets two more images that are no evidence, one for and one against
      (Bonett and Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on
      paired data", 2012). Otherwise four images that differ, all in favour, made an interval without zero,
      where McNemar's exact test wants six.
    - Deviations are widened from the spread of a sample of K clusters and the normal distribution to
      unbiased variance and Student's t (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015).
      That matters where there are few clusters.

    Args:
        values: 1 where an image was told right, or the difference of two such; shape (S, F, N).
        images: What was tested on.
        weights: E ways to weigh the cells, shape (E, F, G), see `average_cells`.
        rng: Draws the clusters.
        span: Distance of the greatest from the least possible value, shape (S,): 1, or 2 for a difference.
        resamples: B.

    Raises:
        ValueError: If there are fewer than two clusters.
    """
    by_image = np.stack([sum_folds(values, images, of_cells) for of_cells in weights], axis=-1)
    deviations = _sum_clusters(_centre(by_image, images), images)
    count = len(deviations)
    if count < 2:
        raise ValueError("all images belong to one cluster; of that no interval can be told")
    upper = (1 + LEVEL) / 2
    wider = math.sqrt(count / (count - 1)) * float(t.ppf(upper, count - 1) / norm.ppf(upper))
    parts = np.concatenate([deviations * wider, _pseudo_images(images, weights, span)])
    by_seed: Floats = by_image.sum(1)
    moved = _multiply_counts(parts.reshape(len(parts), -1), rng, resamples)
    return Resampled(by_seed, by_seed + moved.reshape(resamples, *by_seed.shape))


def _centre(by_image: Floats, images: Images) -> Floats:
    """Take from every image the mean of its class and generator; shape (S, N, E)."""
    centred = by_image.copy()
    for cell in np.unique(images.cells):
        inside = images.cells == cell
        centred[:, inside] -= by_image[:, inside].mean(1, keepdims=True)
    return centred


def _sum_clusters(by_image: Floats, images: Images) -> Floats:
    """Add up the images of each cluster: (S, N, E) to (K, S, E)."""
    names, places = np.unique(images.clusters, return_inverse=True)
    summed = np.zeros((len(names), by_image.shape[0], by_image.shape[2]))
    np.add.at(summed, places, by_image.swapaxes(0, 1))
    return summed


def _pseudo_images(images: Images, weights: Floats, span: Floats) -> Floats:
    """Deviations of two more images for each class and generator, half a span up and down: (4 G, S, E)."""
    of_class = np.repeat(weights.sum(1).T, 2, axis=0) * 0.5 / images.cell_sizes[:, None]  # (2 G, E)
    one = of_class[:, None] * span[:, None] / 2
    return np.concatenate([one, -one])


def _multiply_counts(parts: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Sum parts (K, M), each times one less than how often it is drawn, for every resample: (B, M)."""
    count = len(parts)
    found = []
    for start in range(0, resamples, _AT_A_TIME):
        rows = min(_AT_A_TIME, resamples - start)
        drawn = rng.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        found.append((times - 1.0) @ parts)
    return np.concatenate(found)


def student_weights(count: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Weights of a few independent things, under which their mean varies as Student's t says.

    Five seeds drawn with replacement have 0.8 of the variance that they should and the tails of a normal
    distribution, and an interval called 95 % covers about 83 %. Here the weighted mean of x is exactly
    mean(x) + T s / sqrt(n), T from Student's distribution of n - 1 degrees of freedom.

    Returns:
        Shape (B, n), every row sums to 1; weights may be negative. Of one thing nothing is known of another:
        its weight is 1.
    """
    if count == 1:
        return np.ones((resamples, 1))
    normal = rng.standard_normal((resamples, count))
    centred = normal - normal.mean(1, keepdims=True)
    scale = np.sqrt(count / rng.chisquare(count - 1, (resamples, 1)))
    weights: Floats = (1 + scale * centred) / count
    return weights


def mean_of_seeds(drawn: Floats, weights: Floats) -> Floats:
    """Means over seeds (B, E) of what resamples of the images gave (B, S, E), by `student_weights` (B, S)."""
    means: Floats = np.einsum("bs,bse->be", weights, drawn)
    return means


def over_families(drawn: Floats, shares: Floats, rng: np.random.Generator) -> Floats:
    """Resample families of generators as well: what might be on other generators of that kind.

    Args:
        drawn: Mean of each of M families for every resample, shape (B, M).
        shares: What each family counts in the overall mean, shape (M,), sum 1.
        rng: Draws the weights.

    Returns:
        The overall mean for every resample, shape (B,).

    Raises:
        ValueError: If there is only one family.
    """
    if len(shares) < 2:
        raise ValueError("one family of generators tells nothing of others")
    overall = drawn @ shares
    surplus = len(shares) * student_weights(len(shares), len(drawn), rng) - 1
    moved: Floats = overall + np.einsum("bm,bm,m->b", surplus, drawn - overall[:, None], shares)
    return moved


def two_sided(drawn: Floats) -> float:
    """P-value of no difference from resamples (B,): at this level their interval would just reach zero."""
    below, above = int((drawn <= 0).sum()), int((drawn >= 0).sum())
    return min(1.0, 2 * (1 + min(below, above)) / (1 + len(drawn)))


def percentiles(value: float, drawn: Floats, lowest: float) -> Estimate:
    """Percentile interval of a mean within [`lowest`, 1] from its resamples (B,)."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, max(lowest, float(low)), min(1.0, float(high)))
