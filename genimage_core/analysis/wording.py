"""PURE: words that several analyses have in common."""

from collections.abc import Iterator

from genimage_core.analysis.seeds import SeedMean
from genimage_core.intervals import Estimate

SEEDS_AND_IMAGES = (
    "95 %, over seeds (Student's t) and over test images, both added up; with one seed over test images only"
)


def interval(found: Estimate, *, signed: bool = False) -> str:
    """Write a number with its interval, such as `0.812 [0.79, 0.83]`, so that tables fit a terminal."""
    sign = "+" if signed else ""
    return f"{found.value:{sign}.3f} [{found.low:{sign}.2f}, {found.high:{sign}.2f}]"


def spread(found: SeedMean) -> str:
    """Write the standard deviation between seeds, a dash for one seed."""
    return "–" if found.sd is None else f"{found.sd:.3f}"


def over_seeds(count: int) -> str:
    """Say what a table's means are over."""
    return f"mean over {count} seeds" if count > 1 else "one seed"


def simulated_images(*, simulated: bool) -> str:
    """Say that images are simulated, for titles; nothing of others."""
    return "SIMULATED images, " if simulated else ""


def one_seed(found: SeedMean, what: str) -> Iterator[str]:
    """Warn of intervals that hold for one seed."""
    if len(found.by_seed) == 1:
        yield f"One seed: the intervals are over test images only; what {what} would give is not in them."
