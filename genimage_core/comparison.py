"""PURE: is one configuration better than another? Trained with the same seeds, tested on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from genimage_core.intervals import Estimate
from genimage_core.resampling import (
    RESAMPLES,
    Floats,
    Images,
    mean_of_seeds,
    over_families,
    percentiles,
    resample_images,
    student_weights,
    two_sided,
)

Verdict = Literal["improves", "no evidence", "worse"]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Comparison:
    """Balanced accuracy of a candidate and of the baseline, and the paired difference.

    Attributes:
        candidate: Mean over seeds, with its interval over seeds and images.
        baseline: The same.
        difference: Candidate less baseline; paired by seed and image.
        by_seed: The difference, by seed.
        p_value: Of no difference, two-sided, over seeds and images; None of one seed.
    """

    candidate: Estimate
    baseline: Estimate
    difference: Estimate
    by_seed: tuple[float, ...]
    p_value: float | None


@dataclass(frozen=True)
class Families:
    """The overall difference where families of generators are taken for a sample of all that there are.

    Attributes:
        difference: With an interval over seeds, images and families; wide, as families are few.
        count: Families.
    """

    difference: Estimate
    count: int


def compare(
    candidate: Bools,
    baseline: Bools,
    images: Images,
    weights: Floats,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> tuple[Comparison, ...]:
    """Compare two configurations with 95 % intervals over seeds and images; generators and folds are fixed.

    Args:
        candidate: Whether each detector tells each image right, shape (S, F, N): seeds, folds, images.
        baseline: The same, of the same seeds and images.
        images: What was tested on.
        weights: E ways to weigh folds and generators, shape (E, F, G).
        rng: Draws resamples.
        resamples: How many.

    Returns:
        One for each of the E.

    Raises:
        ValueError: If shapes do not fit, or all images are one cluster.
    """
    _check_shapes(candidate, baseline, images, weights)
    seeds = len(candidate)
    # Stacked along the seeds, so that all three are seen on the same resamples.
    values = np.concatenate([candidate, baseline, candidate.astype(np.float64) - baseline])
    span = np.repeat([1.0, 1.0, 2.0], seeds)
    found = resample_images(values, images, weights, rng, span=span, resamples=resamples)
    weighed = student_weights(seeds, resamples, rng)
    of_seeds = [slice(place * seeds, (place + 1) * seeds) for place in range(3)]
    drawn = [mean_of_seeds(found.drawn[:, rows], weighed) for rows in of_seeds]
    estimates = [
        _estimate(found.by_seed[rows].mean(0), of_part, lowest)
        for rows, of_part, lowest in zip(of_seeds, drawn, (0.0, 0.0, -1.0), strict=True)
    ]
    by_seed = [tuple(map(float, column)) for column in found.by_seed[2 * seeds :].T]
    p_values = [two_sided(differences) if seeds > 1 else None for differences in drawn[2].T]
    return tuple(Comparison(*row) for row in zip(*estimates, by_seed, p_values, strict=True))


def _estimate(means: Floats, drawn: Floats, lowest: float) -> list[Estimate]:
    return [percentiles(float(mean), drawn[:, e], lowest) for e, mean in enumerate(means)]


def compare_families(
    candidate: Bools,
    baseline: Bools,
    images: Images,
    weights: Floats,
    families: Sequence[str],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Families | None:
    """Compare with families of generators drawn as well: does it hold for generators in general?

    Args:
        candidate: As of `compare`.
        baseline: As of `compare`.
        images: As of `compare`.
        weights: One way to weigh folds and generators, shape (F, G).
        families: Of each generator the family, G; members are drawn together.
        rng: Draws resamples.
        resamples: How many.

    Returns:
        None if generators of one family alone count: nothing is known of others.
    """
    _check_shapes(candidate, baseline, images, weights[None])
    shares = {family: weights[:, np.array(families) == family].sum() for family in dict.fromkeys(families)}
    counted = [family for family, share in shares.items() if share > 0]
    if len(counted) < 2:
        return None
    own = [weights * (np.array(families) == family) / shares[family] for family in counted]
    difference = candidate.astype(np.float64) - baseline
    span = np.full(len(difference), 2.0)
    found = resample_images(difference, images, np.stack(own), rng, span=span, resamples=resamples)
    of_families = np.array([shares[family] for family in counted])
    means = mean_of_seeds(found.drawn, student_weights(len(difference), resamples, rng))
    drawn = over_families(means, of_families, rng)
    value = float(found.by_seed.mean(0) @ of_families)
    return Families(percentiles(value, drawn, -1.0), len(counted))


def _check_shapes(candidate: Bools, baseline: Bools, images: Images, weights: Floats) -> None:
    if candidate.shape != baseline.shape or candidate.ndim != 3 or not len(candidate):
        raise ValueError(
            "candidate and baseline must be (seeds, folds, images) alike with a seed or more, got "
            f"{candidate.shape} and {baseline.shape}"
        )
    expected = (candidate.shape[1], len(images.generators))
    if candidate.shape[2] != len(images.labels) or weights.shape[1:] != expected:
        raise ValueError(
            f"decisions {candidate.shape} and weights {weights.shape} do not fit {len(images.labels)} images "
            f"of {len(images.generators)} generators"
        )


def judge(difference: Estimate, seeds: int) -> Verdict:
    """Say what an interval shows: all above zero, all below, or neither; one seed shows nothing."""
    if seeds < 2:
        return "no evidence"
    if difference.low > 0:
        return "improves"
    return "worse" if difference.high < 0 else "no evidence"
