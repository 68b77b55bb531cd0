"""PURE: what detectors of several seeds give together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genimage_core.intervals import Estimate, difference, mean_accuracy, over_seeds

Cells = Sequence[tuple[str, NDArray[np.bool_]]]  # test set, and whether each of its images was told right
Labels = Mapping[str, NDArray[np.integer]]


@dataclass(frozen=True)
class SeedMean:
    """A number that was measured with several seeds.

    Attributes:
        by_seed: In the order of the seeds.
        images: The mean with its interval over test images alone.
        lowest: Least value that there is.
    """

    by_seed: tuple[float, ...]
    images: Estimate
    lowest: float = 0.0

    @property
    def estimate(self) -> Estimate:
        """The mean with its 95 % interval over seeds and test images; of one seed, over test images."""
        return over_seeds(self.by_seed, self.images, self.lowest)

    @property
    def sd(self) -> float | None:
        """Standard deviation between seeds; None for one."""
        return float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None

    def __sub__(self, other: "SeedMean") -> "SeedMean":
        """Difference, seed by seed; where both were tested on the same images, its interval is too wide."""
        by_seed = tuple(a - b for a, b in zip(self.by_seed, other.by_seed, strict=True))
        return SeedMean(by_seed, difference(self.images, other.images), lowest=-1.0)

    def numbers(self) -> dict[str, float | None]:
        """Return value, ends of the interval and sd, rounded, as tables hold them."""
        found, sd = self.estimate, self.sd
        return {
            "value": round(found.value, 4),
            "low": round(found.low, 4),
            "high": round(found.high, 4),
            "sd": None if sd is None else round(sd, 4),
        }

    def record(self) -> dict[str, Any]:
        """As `numbers`, with the value of every seed."""
        return {**self.numbers(), "by_seed": [round(value, 4) for value in self.by_seed]}


def mean_of_seeds(cells: Sequence[Cells], labels: Labels) -> SeedMean:
    """Mean balanced accuracy over the test sets of each seed, then over seeds.

    Args:
        cells: By seed: the test sets and hits of its detector. Sets of one name hold the same images.
        labels: Of the images of each set.
    """
    by_seed = tuple(mean_accuracy(one, dict(labels)).value for one in cells)
    return SeedMean(by_seed, mean_accuracy([cell for one in cells for cell in one], dict(labels)))
