"""PURE: McNemar's exact test for each generator, and how often one training beats another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genimage_core.comparison import Bools
from genimage_core.intervals import LEVEL, Estimate
from genimage_core.resampling import Floats, Images


@dataclass(frozen=True)
class McNemar:
    """One decision for each image, of which only those count that the two make differently.

    Attributes:
        wins: Clusters of images of which the candidate tells more right; without clusters, images.
        losses: Clusters of which the baseline does.
        p_value: Exact, two-sided.
        adjusted: By Holm for all generators that are tested.
    """

    wins: int
    losses: int
    p_value: float
    adjusted: float


def decide(logits: NDArray[np.floating], images: Images, weights: Floats) -> Bools:
    """Let all detectors of a configuration decide together: is their mean logit on the right side?

    Args:
        logits: Of every seed, fold and image, shape (S, F, N).
        images: What was tested on.
        weights: Of folds and generators, shape (F, G); each generator is judged by the folds that count it.

    Returns:
        Shape (N,); meaningless for generators that no fold counts.
    """
    of_images = weights[:, images.sources]
    return np.asarray((np.einsum("fn,sfn->n", of_images, logits) > 0) == (images.labels == 1))


def mcnemar(
    candidate: Bools, baseline: Bools, images: Images, generators: Sequence[str]
) -> dict[str, McNemar]:
    """Test for each generator whether two configurations err alike: McNemar's exact test, Holm's correction.

    The test wants one pair of decisions for an image (see `decide`). Pooled over seeds and folds, an image
    would count as many times as there are detectors, though what makes it hard is the same for all; no such
    p-value would be valid. So the test is about these detectors together and says nothing of other seeds:
    the interval of `compare` does. A cluster counts once, for who tells more of its images right: the
    test is then an exact sign test.

    Args:
        candidate: Whether each image is told right, shape (N,).
        baseline: The same.
        images: What was tested on.
        generators: Those that are tested; the correction is for their number.
    """
    # Imported here: it takes a second, and most processes test nothing.
    from statsmodels.stats.contingency_tables import mcnemar as exact

    if not generators:
        return {}
    counts = [_count_clusters(candidate, baseline, images, name) for name in generators]
    p_values = [float(exact([[0, wins], [losses, 0]], exact=True).pvalue) for wins, losses in counts]
    return {
        name: McNemar(*count, p_value, adjusted)
        for name, count, p_value, adjusted in zip(generators, counts, p_values, holm(p_values), strict=True)
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number: where there is nothing to be found, one below a level is rare."""
    from statsmodels.stats.multitest import multipletests

    adjusted = multipletests(p_values, alpha=1 - LEVEL, method="holm")[1] if p_values else ()
    return [float(p) for p in adjusted]


def _count_clusters(candidate: Bools, baseline: Bools, images: Images, generator: str) -> tuple[int, int]:
    inside = images.sources == images.generators.index(generator)
    _, places = np.unique(images.clusters[inside], return_inverse=True)
    net = np.bincount(places, candidate[inside].astype(np.float64) - baseline[inside])
    return int((net > 0).sum()), int((net < 0).sum())


def probability_of_improvement(candidate: Floats, baseline: Floats) -> Estimate:
    """Chance that a training of the candidate beats one of the baseline, on a generator drawn at random.

    The mean over generators of the share of pairs of seeds, all with all, in which the candidate is higher;
    ties count half (Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
    NeurIPS 2021). Their percentile bootstrap has no width where all seeds agree, however few. So the
    interval is Wilson's for as many trials as there are seeds: such a share is a mean of means of S
    independent pairs (Hoeffding, 1963, section 5), so its variance is at most p (1 - p) / S, and averaging
    over generators cannot add to that. It is over seeds; the images are taken as they are.

    Args:
        candidate: Balanced accuracy by seed and generator, shape (S, G).
        baseline: The same; may have other seeds.

    Raises:
        ValueError: If the generators are not alike, or there is no seed.
    """
    from statsmodels.stats.proportion import proportion_confint

    if candidate.shape[1:] != baseline.shape[1:] or not candidate.size or not baseline.size:
        shapes = f"{candidate.shape} and {baseline.shape}"
        raise ValueError(f"accuracies must be (seeds, generators), of the same generators, got {shapes}")
    apart = np.sign(candidate[:, None] - baseline[None])
    value, seeds = float((apart + 1).mean() / 2), min(len(candidate), len(baseline))
    low, high = proportion_confint(value * seeds, seeds, alpha=1 - LEVEL, method="wilson")
    return Estimate(value, float(low), float(high))
