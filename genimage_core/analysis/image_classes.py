"""Detectors trained on images of few and of many classes, tested on those classes and on others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genimage_core.analysis.class_draw import Chosen, Draw
from genimage_core.analysis.learning import Learning, Outcome, train_and_test
from genimage_core.analysis.seeds import SeedMean, mean_of_seeds
from genimage_core.data.batches import ImageSet
from genimage_core.data.recipe import Recipe

SEEN, UNSEEN = "seen", "unseen"
Report = Callable[[int, int], None]  # detectors done, detectors in all


@dataclass(frozen=True)
class ClassResult:
    """What detectors that were trained on so many image classes give.

    Attributes:
        classes: How many.
        outcomes: By seed.
        seen: Accuracy on other images of the same classes.
        unseen: Accuracy on images of classes that were not trained on.
    """

    classes: int
    outcomes: tuple[Outcome, ...]
    seen: SeedMean
    unseen: SeedMean

    @property
    def difference(self) -> SeedMean:
        """Seen less unseen, seed by seed: what is lost on other classes."""
        return self.seen - self.unseen


@dataclass(frozen=True)
class Pool:
    """The images of one draw, decoded.

    Attributes:
        draw: Which serve for what.
        images: All of them.
        rows: File -> its place in `images`; files that cannot be decoded are not there.
    """

    draw: Draw
    images: ImageSet
    rows: Mapping[Path, int]

    @classmethod
    def of(cls, draw: Draw, recipe: Recipe, images: ImageSet) -> "Pool":
        """Find the files of a recipe in what was decoded of it."""
        bad = {file.path for file in images.bad}
        there = [file.path for file in recipe.files if file.name not in bad]
        return cls(draw, images, {path: row for row, path in enumerate(there)})

    def select(self, chosen: Chosen) -> ImageSet:
        """Return the images among `chosen` that could be decoded."""
        return self.images.select([self.rows[path] for path, _ in chosen if path in self.rows])


def measure_classes(
    learning: Learning, pools: Mapping[int, Pool], counts: Sequence[int], report: Report
) -> list[ClassResult]:
    """Train a detector for every seed and number of image classes.

    Args:
        learning: How.
        pools: By seed.
        counts: Numbers of image classes, as they were drawn.
        report: Told after every detector.
    """
    found: dict[int, list[Outcome]] = {count: [] for count in counts}
    for place, (seed, pool) in enumerate(pools.items()):
        for number, count in enumerate(counts):
            found[count].append(
                train_and_test(learning, pool.select(pool.draw.train[count]), _tests(pool, count), seed)
            )
            report(place * len(counts) + number + 1, len(pools) * len(counts))
    return [_summarise(count, outcomes, list(pools.values())) for count, outcomes in found.items()]


def _tests(pool: Pool, count: int) -> dict[str, ImageSet]:
    return {SEEN: pool.select(pool.draw.test_seen[count]), UNSEEN: pool.select(pool.draw.test_unseen)}


def _summarise(count: int, outcomes: Sequence[Outcome], pools: Sequence[Pool]) -> ClassResult:
    # Every seed has test images of its own, so its set has a name of its own.
    labels = {
        f"{kind} {place}": images.labels
        for place, pool in enumerate(pools)
        for kind, images in _tests(pool, count).items()
    }

    def mean(kind: str) -> SeedMean:
        cells = [[(f"{kind} {place}", one.right[kind])] for place, one in enumerate(outcomes)]
        return mean_of_seeds(cells, labels)

    return ClassResult(count, tuple(outcomes), mean(SEEN), mean(UNSEEN))
