"""Detectors trained on few and on many images of one generator, tested on all generators."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genimage_core.analysis.learning import Learning, Outcome, train_and_test
from genimage_core.analysis.seeds import Labels, SeedMean, mean_of_seeds
from genimage_core.data.batches import ImageSet
from genimage_core.protocol import Fold

Equal = Literal["steps", "epochs"]
Report = Callable[[int, int], None]  # detectors done, detectors in all


@dataclass(frozen=True)
class CountResult:
    """What detectors that were trained on so many images give.

    Attributes:
        count: Training images of each class, real and fake.
        outcomes: By seed.
        in_domain: Accuracy on the generator of the training.
        off_family: Mean accuracy over the generators outside its family.
        by_generator: Accuracy on each.
    """

    count: int
    outcomes: tuple[Outcome, ...]
    in_domain: SeedMean
    off_family: SeedMean
    by_generator: dict[str, SeedMean]


def nested(labels: NDArray[np.integer], count: int, seed: int) -> NDArray[np.intp]:
    """Choose `count` images of each class, or all there are; a larger choice contains every smaller one."""
    chosen = []
    for label in (0, 1):
        places = np.flatnonzero(labels == label)
        chosen.append(np.random.default_rng([seed, label]).permutation(places)[:count])
    return np.sort(np.concatenate(chosen))


def measure_counts(
    learning: Learning,
    pools: Mapping[int, ImageSet],
    tests: Mapping[str, ImageSet],
    fold: Fold,
    counts: Sequence[int],
    equal: Equal,
    report: Report,
) -> list[CountResult]:
    """Train a detector for every seed and number of images.

    Args:
        learning: How.
        pools: By seed: images to draw from, of each class as many as the largest of `counts`.
        tests: By generator.
        fold: The generator of the pools, and those outside its family.
        counts: Images of each class, ascending.
        equal: What small and large sets have in common: `steps` of the optimiser, those of the largest set
            with the epochs of `learning`, or `epochs`.
        report: Told after every detector.
    """
    found: dict[int, list[Outcome]] = {count: [] for count in counts}
    for place, (seed, pool) in enumerate(pools.items()):
        epoch_images = len(pool.labels) if equal == "steps" else None
        for number, count in enumerate(counts):
            images = pool.select(nested(pool.labels, count, seed))
            found[count].append(train_and_test(learning, images, tests, seed, epoch_images))
            report(place * len(counts) + number + 1, len(pools) * len(counts))
    labels = {name: data.labels for name, data in tests.items()}
    return [_summarise(count, tuple(outcomes), fold, labels) for count, outcomes in found.items()]


def _summarise(count: int, outcomes: tuple[Outcome, ...], fold: Fold, labels: Labels) -> CountResult:
    def mean(names: Sequence[str]) -> SeedMean:
        return mean_of_seeds([[(name, one.right[name]) for name in names] for one in outcomes], labels)

    by_generator = {name: mean([name]) for name in labels}
    return CountResult(count, outcomes, mean(fold.train), mean(fold.off_family), by_generator)
