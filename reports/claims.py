"""PURE: logits of two configurations on test images in, what can be claimed of them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from genimage_core.calibration import Bin, expected_calibration_error, fit_temperature, reliability
from genimage_core.comparison import (
    Bools,
    Comparison,
    Families,
    Verdict,
    compare,
    compare_families,
    judge,
)
from genimage_core.intervals import Estimate, over_seeds
from genimage_core.paired_tests import McNemar, decide, holm, mcnemar, probability_of_improvement
from genimage_core.resampling import Floats, Images, average_cells, sum_folds

Logits: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True)
class Tested:
    """What two configurations say of the same images.

    Attributes:
        images: Of G generators, N in all.
        candidate: Logits by seed, fold and image, shape (S, F, N).
        baseline: The same, of the same seeds.
        counted: Of each fold, the generators outside the families that its detectors know.
        families: Of each generator, G.
    """

    images: Images
    candidate: Logits
    baseline: Logits
    counted: tuple[tuple[str, ...], ...]
    families: tuple[str, ...]


@dataclass(frozen=True)
class GeneratorEvidence:
    """One generator.

    Attributes:
        generator: Its name.
        comparison: The paired difference over seeds and images.
        adjusted: Its p-value, by Holm for all generators of the part; None of one seed.
        mcnemar: Test of these very detectors, which knows nothing of other seeds.
    """

    generator: str
    comparison: Comparison
    adjusted: float | None
    mcnemar: McNemar


@dataclass(frozen=True)
class Calibration:
    """How right calibrated probabilities are, on generators of families that the detectors do not know.

    Attributes:
        error: Expected calibration error of a detector, mean over folds and seeds; the interval is over seeds
            (Student's t), and says nothing of one.
        bins: Reliability, images counted once for every detector that was asked.
    """

    error: Estimate
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Claim:
    """What the fresh trainings show on one part of the images.

    Attributes:
        part: `test` (images of the search generators that no trial saw) or `sealed`.
        verdict: Follows from the interval of `overall.difference` alone.
        overall: Off-family accuracy: mean over folds of the mean over their off-family generators.
        families: The same difference where families of generators are drawn too; None of a single family.
        generators: One by one; p-values are corrected for their number.
        improvement: Probability that one training beats the baseline's on one generator.
        candidate_calibration: Of the candidate.
        baseline_calibration: Of the baseline.
        seeds: Fresh seeds that both were trained with.
        images: Images of the generators that count.
        not_counted: Generators that share a family with what every detector knows.
    """

    part: str
    verdict: Verdict
    overall: Comparison
    families: Families | None
    generators: tuple[GeneratorEvidence, ...]
    improvement: Estimate
    candidate_calibration: Calibration
    baseline_calibration: Calibration
    seeds: int
    images: int
    not_counted: tuple[str, ...]


def make_claim(
    part: str,
    tested: Tested,
    temperatures: tuple[Floats, Floats],
    rng: np.random.Generator,
    resamples: int,
) -> Claim:
    """Compare a candidate with the baseline on one part of the images.

    Args:
        part: `test` or `sealed`.
        tested: What they say.
        temperatures: Of the candidate's and the baseline's detectors, each of shape (S, F).
        rng: Draws resamples.
        resamples: How many.

    Raises:
        ValueError: If no generator counts, or the images are too few.
    """
    images, names = tested.images, tested.images.generators
    overall = average_cells(tested.counted, names)
    counted = [name for name in names if overall[:, names.index(name)].any()]
    single = [average_cells([tuple({name} & set(of)) for of in tested.counted], names) for name in counted]
    candidate, baseline = (told_right(logits, images) for logits in (tested.candidate, tested.baseline))
    found = compare(candidate, baseline, images, np.stack([overall, *single]), rng, resamples)
    return Claim(
        part=part,
        verdict=judge(found[0].difference, len(tested.candidate)),
        overall=found[0],
        families=compare_families(candidate, baseline, images, overall, tested.families, rng, resamples),
        generators=_one_by_one(tested, overall, counted, found[1:]),
        improvement=probability_of_improvement(
            _accuracies(candidate, images, single), _accuracies(baseline, images, single)
        ),
        candidate_calibration=_calibration(tested.candidate, temperatures[0], tested),
        baseline_calibration=_calibration(tested.baseline, temperatures[1], tested),
        seeds=len(tested.candidate),
        images=int(sum((images.sources == names.index(name)).sum() for name in counted)),
        not_counted=tuple(name for name in names if name not in counted),
    )


def _one_by_one(
    tested: Tested, weights: Floats, counted: Sequence[str], found: Sequence[Comparison]
) -> tuple[GeneratorEvidence, ...]:
    """Put together what is known of each generator that counts; both corrections are for their number."""
    images = tested.images
    together = (decide(tested.candidate, images, weights), decide(tested.baseline, images, weights))
    tests = mcnemar(*together, images, counted)
    known = [of_name.p_value for of_name in found if of_name.p_value is not None]
    adjusted = holm(known) if len(known) == len(found) else [None] * len(found)
    return tuple(
        GeneratorEvidence(name, of_name, p_value, tests[name])
        for name, of_name, p_value in zip(counted, found, adjusted, strict=True)
    )


def overall_difference(tested: Tested, rng: np.random.Generator, resamples: int) -> Estimate:
    """Off-family accuracy of the candidate less the baseline's, with its interval over seeds and images."""
    images, weights = tested.images, average_cells(tested.counted, tested.images.generators)
    candidate, baseline = (told_right(logits, images) for logits in (tested.candidate, tested.baseline))
    return compare(candidate, baseline, images, weights[None], rng, resamples)[0].difference


def told_right(logits: Logits, images: Images) -> Bools:
    """Whether each logit is on the right side; the last axis of `logits` is that of the images."""
    return np.asarray((logits > 0) == (images.labels == 1))


def _accuracies(right: Bools, images: Images, weights: Sequence[Floats]) -> Floats:
    """Balanced accuracy by seed and generator."""
    return np.stack([sum_folds(right, images, of_cells).sum(1) for of_cells in weights], axis=1)


def fit_temperatures(logits: Logits, images: Images, trained: Sequence[Sequence[str]]) -> Floats:
    """Fit the temperature of every detector on the generators that it was trained on, shape (S, F).

    Args:
        logits: Shape (S, F, N).
        images: Of search generators, N.
        trained: Of each fold, the generators that its detectors were trained on.

    Raises:
        ValueError: If a fold was trained on none of them.
    """
    places = [[images.generators.index(name) for name in names] for names in trained]
    known = [np.isin(images.sources, of_fold) for of_fold in places]
    return np.array(
        [
            [fit_temperature(of_fold[m], images.labels[m]) for of_fold, m in zip(of_seed, known, strict=True)]
            for of_seed in logits
        ]
    )


def _calibration(logits: Logits, temperatures: Floats, tested: Tested) -> Calibration:
    images, probabilities = tested.images, expit(logits / temperatures[:, :, None])
    places = [[images.generators.index(name) for name in names] for names in tested.counted]
    masks = [np.isin(images.sources, of_fold) for of_fold in places]
    errors = [_mean_error(of_seed, images.labels, masks) for of_seed in probabilities]
    asked = np.broadcast_to(np.stack(masks), probabilities.shape)
    labels = np.broadcast_to(images.labels, probabilities.shape)
    return Calibration(_over_seeds(errors), reliability(probabilities[asked], labels[asked]))


def _over_seeds(values: Sequence[float]) -> Estimate:
    mean = float(np.mean(values))
    return over_seeds(values, Estimate(mean, mean, mean)) if len(values) > 1 else Estimate(mean, 0.0, 1.0)


def _mean_error(probabilities: Floats, labels: NDArray[np.integer], masks: Sequence[Bools]) -> float:
    """Mean over the folds that have images to be asked about."""
    pairs = [(of_fold[m], labels[m]) for of_fold, m in zip(probabilities, masks, strict=True) if m.any()]
    return fmean(expected_calibration_error(reliability(values, truth)) for values, truth in pairs)
