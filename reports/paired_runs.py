"""Winner against winner of two runs, image by image; only where both were tested on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from genimage_core.comparison import Comparison, Verdict, compare, judge
from genimage_core.resampling import RESAMPLES, average_cells
from reports.claim_wording import PARTS
from reports.claims import told_right
from reports.comparability import listed
from reports.compared_runs import ComparedRun
from reports.finalist_files import IMAGE_COLUMNS, Part, select
from reports.finished_run import FinishedRun, read_seeds
from reports.wording import count, generator_title, interval, signed_interval

SEED = 0  # of the resampling: records that are the same give numbers that are the same
WORDS: dict[Verdict, str] = {
    "improves": "is better than",
    "worse": "is worse than",
    "no evidence": "cannot be told from",
}


@dataclass(frozen=True)
class Pair:
    """Two winners on one part of the images.

    Attributes:
        one: Label of the run that stands in for the baseline.
        other: Label of the run that is compared with it.
        part: `test` or `sealed`.
        comparison: Off-family accuracy: `candidate` is the other's, `baseline` the one's.
        verdict: None where several pairs are compared: the best of several looks better than it is.
        seeds: Fresh seeds that both were trained with.
        images: How many.
        sentence: The same in words.
    """

    one: str
    other: str
    part: Part
    comparison: Comparison
    verdict: Verdict | None
    seeds: int
    images: int
    sentence: str


@dataclass(frozen=True)
class Pairing:
    """The second and every later run against the first, and why some cannot be paired."""

    pairs: tuple[Pair, ...]
    obstacles: tuple[str, ...]


def pair_winners(runs: Sequence[ComparedRun], comparable: bool | None, resamples: int = RESAMPLES) -> Pairing:
    """Compare the winners of later runs with that of the first, paired by seed and image.

    Args:
        runs: As they are named.
        comparable: Whether data, protocol, base, detector and objective are the same.
        resamples: Of the bootstrap.

    Raises:
        ValueError: If a file of scores is missing or not whole.
    """
    if not comparable:
        return Pairing((), ("The winners are not compared with each other either.",))
    pairs: list[Pair] = []
    obstacles: list[str] = []
    for other in runs[1:]:
        found = _compare(runs[0], other, len(runs) == 2, resamples)
        if isinstance(found, str):
            obstacles.append(f"The winners of {runs[0].label} and {other.label} are not compared: {found}.")
        else:
            pairs += found
    return Pairing(tuple(pairs), tuple(obstacles))


def _compare(one: ComparedRun, other: ComparedRun, only: bool, resamples: int) -> list[Pair] | str:
    """Compare two runs on every part of the images, or say why that is not possible."""
    first, second, labels = one.finished, other.finished, (one.label, other.label)
    if first is None or second is None:
        lacking = [run.label for run in (one, other) if run.finished is None]
        return f"{listed(lacking)} {'has' if len(lacking) == 1 else 'have'} no tested finalists"
    why = _obstacle(first, second)
    return why or [_pair(labels, (first, second), part, only, resamples) for part in first.parts()]


def _obstacle(one: FinishedRun, other: FinishedRun) -> str:
    """Say why detectors of two runs cannot be paired; empty if they can."""
    if one.finalists.seeds != other.finalists.seeds:
        return "their finalists were trained with other fresh seeds, so that trainings do not pair up"
    if not _seeds(one, other):
        return "no fresh seed completed with both"
    if one.parts() != other.parts() or not all(_same_images(one, other, part) for part in one.parts()):
        return "their finalists were tested on other images"
    return ""


def _same_images(one: FinishedRun, other: FinishedRun, part: Part) -> bool:
    if one.generators(part) != other.generators(part) or one.counted(part) != other.counted(part):
        return False
    columns = [*IMAGE_COLUMNS, *(["path"] if "path" in one.images and "path" in other.images else [])]
    tables = [select(run.images, part, run.generators(part))[columns] for run in (one, other)]
    return tables[0].reset_index(drop=True).equals(tables[1].reset_index(drop=True))


def _seeds(one: FinishedRun, other: FinishedRun) -> tuple[int, ...]:
    of_other = other.finalists.seeds_of([_winner(other)])
    return tuple(seed for seed in one.finalists.seeds_of([_winner(one)]) if seed in of_other)


def _winner(run: FinishedRun) -> str:
    return run.finalists.configurations[1].name


def _pair(
    labels: tuple[str, str], runs: tuple[FinishedRun, FinishedRun], part: Part, only: bool, resamples: int
) -> Pair:
    images, seeds = runs[0].images_of(part), _seeds(*runs)
    one, other = (told_right(read_seeds(run, _winner(run), part, seeds), images) for run in runs)
    weights = average_cells(runs[0].counted(part), images.generators)
    rng = np.random.default_rng([SEED, get_args(Part).index(part)])
    found = compare(other, one, images, weights[None], rng, resamples)[0]
    counted = [place for place in range(len(images.generators)) if weights[:, place].any()]
    shown = int(np.isin(images.sources, counted).sum())
    catalog = runs[0].records.environment.catalog
    titles = ", ".join(generator_title(images.generators[place], catalog) for place in counted)
    verdict = judge(found.difference, len(seeds)) if only else None
    where = f"{PARTS[part]} ({titles}; {shown:,} images)"
    sentence = _sentence(labels, where, found, verdict, len(seeds))
    simulated = " The images are simulated." if any(run.finalists.simulated for run in runs) else ""
    return Pair(*labels, part, found, verdict, len(seeds), shown, sentence + simulated)


def _sentence(
    labels: tuple[str, str], where: str, found: Comparison, verdict: Verdict | None, seeds: int
) -> str:
    one, other = labels
    claim = f"The winner of {other} {WORDS[verdict]} that of {one}" if verdict else f"{other} beside {one}"
    said = (
        f"{claim} on {where}: off-family accuracy {interval(found.candidate)} against "
        f"{interval(found.baseline)}, paired difference {signed_interval(found.difference)}, 95 % intervals "
        f"over {count(seeds, 'seed')} and images."
    )
    return said + ("" if seeds > 1 else " One seed shows no difference beyond its own luck.")
