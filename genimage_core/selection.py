"""PURE: what the best of many trials owes to having been chosen, and what more trials would bring."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from genimage_core.intervals import Estimate
from genimage_core.resampling import Floats, Images, percentiles, sum_folds

RESAMPLES = 1000
_FEWEST = 0.5


@dataclass(frozen=True)
class Selection:
    """The best of C configurations on the images that it was chosen by.

    Attributes:
        raw: Its value on these images; too high on average.
        corrected: What a search of this kind gets on images that it did not choose by, with its interval
            over the choice of images.
        gain: The same less what the baseline has on those images.
        configurations: C.
        chosen: Share of resamples in which the best of all is the best again.
    """

    raw: float
    corrected: Estimate
    gain: Estimate
    configurations: int
    chosen: float


def correct_selection(
    right: NDArray[np.bool_],
    baseline: NDArray[np.bool_],
    images: Images,
    weights: Floats,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Selection:
    """Bootstrap the choice itself (BBC-CV): choose on the images that a resample draws, score on the others.

    It corrects for the images that the search chose by. Every configuration was trained once: the luck of
    its seed is in both halves of the images and remains; that, only another training can show.

    Source: Tsamardinos, Greasidou and Borboudakis, "Bootstrapping the out-of-sample predictions for efficient
    and accurate cross-validation", Machine Learning 107, 2018. Where they draw rows, clusters of images are
    drawn here.

    Args:
        right: Whether the detectors of each configuration tell each image right, shape (C, F, N).
        baseline: The same of the baseline, shape (F, N); it is not chosen.
        images: Validation images of the search.
        weights: What the objective averages, shape (F, G).
        rng: Draws resamples.
        resamples: How many.

    Raises:
        ValueError: If shapes do not fit, or in most resamples a class of a generator has no image within
            or without.
    """
    if right.ndim != 3 or not len(right) or right.shape[1:] != baseline.shape:
        raise ValueError(
            f"right must be (configurations, folds, images) and baseline (folds, images), got {right.shape} "
            f"and {baseline.shape}"
        )
    values = sum_folds(np.concatenate([right, baseline[None]]), images, weights)
    times = _draw_clusters(images, rng, resamples)
    inside = _weighted(values, images, weights, times)
    outside = _weighted(values, images, weights, (times == 0).astype(np.float64))
    usable = np.isfinite(inside).all(1) & np.isfinite(outside).all(1)
    if usable.mean() < _FEWEST:
        raise ValueError(
            "too few validation images to correct for the choice of the best: most resamples lack a class of "
            "a generator; take more (data.val_per_class)"
        )
    picked = _first_best(inside[usable, :-1])
    scored, beside = outside[usable][np.arange(len(picked)), picked], outside[usable, -1]
    best = int(_first_best(values[:-1].sum(1)[None])[0])
    return Selection(
        raw=float(values[best].sum()),
        corrected=percentiles(float(scored.mean()), scored, 0.0),
        gain=percentiles(float((scored - beside).mean()), scored - beside, -1.0),
        configurations=len(right),
        chosen=float((picked == best).mean()),
    )


def _first_best(values: Floats) -> NDArray[np.integer]:
    """Place of the highest in each row; of equals, the first, whatever rounding makes of them."""
    places: NDArray[np.integer] = values.round(12).argmax(1)
    return places


def _draw_clusters(images: Images, rng: np.random.Generator, resamples: int) -> Floats:
    """How often each image is drawn with its cluster, shape (B, N)."""
    names, places = np.unique(images.clusters, return_inverse=True)
    count = len(names)
    times = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return times[:, places].astype(np.float64)


def _weighted(values: Floats, images: Images, weights: Floats, times: Floats) -> Floats:
    """Means of balanced accuracies (B, C) where images count `times` (B, N); NaN where a class is missing."""
    total = np.zeros((len(times), len(values)))
    used = weights.sum(0) > 0
    for cell in np.unique(images.cells[used[images.sources]]):
        of_cell = images.cells == cell
        drawn = times[:, of_cell]
        with np.errstate(invalid="ignore", divide="ignore"):
            total += drawn @ values[:, of_cell].T * (of_cell.sum() / drawn.sum(1, keepdims=True))
    return total


def expected_best(values: Sequence[float]) -> tuple[float, ...]:
    """Expected highest of n = 1 … N trials drawn without replacement from those that there are.

    The unbiased estimator of Tang et al., "Showing Your Work Doesn't Always Work", ACL 2020: with the values
    in ascending order, the i-th is the highest of C(i-1, n-1) of the C(N, n) subsets. It takes trials for
    independent draws, as a random search makes them; a sampler that learns does better later.

    Args:
        values: Objective of N trials.

    Raises:
        ValueError: If there is none, or one is not finite.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not ordered.size or not np.isfinite(ordered).all():
        raise ValueError(f"the values of trials must be finite and one or more, got {list(values)!r:.80}")
    total = len(ordered)
    rank, size = np.arange(1, total + 1)[None], np.arange(1, total + 1)[:, None]
    below = np.where(rank >= size, _log_choose(rank - 1, size - 1), -np.inf)
    means = np.exp(below - _log_choose(total, size)) @ ordered
    return tuple(map(float, means))


def _log_choose(n: NDArray[np.integer] | int, k: NDArray[np.integer]) -> Floats:
    inside = np.maximum(n - k, 0)  # what is outside is masked by the caller
    found: Floats = gammaln(np.asarray(n) + 1.0) - gammaln(k + 1.0) - gammaln(inside + 1.0)
    return found
