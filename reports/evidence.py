"""What the finalists of a run show: read from its records, judged by intervals, ready for a page."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from genimage_core.intervals import LEVEL, Estimate
from genimage_core.resampling import RESAMPLES
from genimage_core.selection import Selection, correct_selection, expected_best
from reports.claim_wording import (
    base_sentence,
    claim_sentence,
    opened_sentence,
    scope_sentence,
    selection_sentence,
)
from reports.claims import Claim, make_claim, overall_difference
from reports.finalist_files import Configuration, Part
from reports.finished_run import FinishedRun, read_finished, read_search, read_temperatures, read_tested
from reports.records import Records

SEED = 0  # of the resampling: records that are the same give numbers that are the same


@dataclass(frozen=True)
class Verdict:
    """One part of the images: the claim, what it says in words, and how far it reaches."""

    claim: Claim
    sentence: str
    scope: str


@dataclass(frozen=True)
class Other:
    """A finalist of which nothing is claimed: the best of several looks better than it is.

    Attributes:
        name: Of the configuration.
        trial: Its number in the search.
        part: `test` or `sealed`.
        seeds: Fresh seeds that it and the baseline were trained with.
        difference: Off-family accuracy less the baseline's, 95 % for this one alone; None without a seed.
    """

    name: str
    trial: int
    part: str
    seeds: int
    difference: Estimate | None


@dataclass(frozen=True)
class Evidence:
    """Everything that the fresh trainings of a run show.

    Attributes:
        winner: Name of the finalist with the best value in the search; fixed before the seal was opened.
        trial: Its number in the search.
        simulated: The images are those of the embedded set.
        seeds: Fresh seeds that were planned.
        level: Of all intervals.
        resamples: Of the bootstrap.
        verdicts: Of the winner; sealed generators first, if there are any.
        others: The other finalists, without a claim.
        selection: The search's own value, corrected; None for an objective that is no mean of accuracies.
        selection_sentence: The same in words; empty for None.
        expected_best: Objective that the best of n completed trials is expected to reach, n = 1, 2, …
        notes: What else must be known.
    """

    winner: str
    trial: int
    simulated: bool
    seeds: int
    level: float
    resamples: int
    verdicts: tuple[Verdict, ...]
    others: tuple[Other, ...]
    selection: Selection | None
    selection_sentence: str
    expected_best: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def headline(self) -> Verdict:
        """The one that counts: of sealed generators, if there are any."""
        return self.verdicts[0]


def read_evidence(run_dir: Path, records: Records, resamples: int = RESAMPLES) -> Evidence | None:
    """Read what the finalists of a run show.

    Args:
        run_dir: Of the run.
        records: What `read_run` read from it.
        resamples: Of the bootstrap.

    Returns:
        None if the run has no finalists, or they have not been tested yet.

    Raises:
        ValueError: If a file is missing or not whole; the message names it, and the column.
    """
    run = read_finished(run_dir, records)
    if run is None:
        return None
    winner, others = run.finalists.configurations[1], run.finalists.configurations[2:]
    parts, (selection, obstacle) = run.parts(), _correct_selection(run)
    return Evidence(
        winner=winner.name,
        trial=winner.trial,
        simulated=run.finalists.simulated,
        seeds=len(run.finalists.seeds),
        level=LEVEL,
        resamples=resamples,
        verdicts=_verdicts(run, winner, resamples),
        others=tuple(_other(run, other, part, resamples) for other in others for part in parts),
        selection=selection,
        selection_sentence=selection_sentence(selection) if selection else "",
        expected_best=_expected_best(records),
        notes=(*_notes(run), *obstacle),
    )


def to_json(evidence: Evidence) -> str:
    """Write all numbers and sentences as JSON."""
    return json.dumps(asdict(evidence), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _verdicts(run: FinishedRun, winner: Configuration, resamples: int) -> tuple[Verdict, ...]:
    read = {part: read_tested(run, winner.name, part) for part in run.parts()}
    tested = {part: found for part, found in read.items() if found is not None}
    temperatures = read_temperatures(run, tested["test"])
    return tuple(
        _verdict(run, winner.trial, make_claim(part, found, temperatures, _rng(part), resamples))
        for part, found in tested.items()
    )


def _verdict(run: FinishedRun, trial: int, claim: Claim) -> Verdict:
    catalog = run.records.environment.catalog
    planned = len(run.finalists.seeds)
    sentence = claim_sentence(claim, trial, planned, run.finalists.simulated, catalog)
    return Verdict(claim, sentence, scope_sentence(claim, catalog))


def _rng(part: Part) -> np.random.Generator:
    return np.random.default_rng([SEED, get_args(Part).index(part)])


def _other(run: FinishedRun, other: Configuration, part: Part, resamples: int) -> Other:
    tested = read_tested(run, other.name, part)
    if tested is None:
        return Other(other.name, other.trial, part, 0, None)
    difference = overall_difference(tested, _rng(part), resamples)
    return Other(other.name, other.trial, part, len(tested.candidate), difference)


def _correct_selection(run: FinishedRun) -> tuple[Selection | None, tuple[str, ...]]:
    """Correct the search's own value, or say why that is impossible; no verdict depends on it."""
    found = read_search(run)
    try:
        return (None if found is None else correct_selection(*found, _rng("val"))), ()
    except ValueError as error:
        return None, (f"The best value of the search is not corrected for having been chosen: {error}.",)


def _expected_best(records: Records) -> tuple[float, ...]:
    objective = records.environment.objective
    finals = [t.final(objective) for t in records.trials if t.state == "completed" and t.role == "searched"]
    values = [value for value in finals if value is not None]
    return expected_best(values) if values else ()


def _notes(run: FinishedRun) -> tuple[str, ...]:
    environment = run.records.environment
    kind = str(environment.details.get("base", {}).get("kind", ""))
    notes = (opened_sentence(run.finalists.opened_before, environment.catalog), base_sentence(kind))
    return tuple(note for note in notes if note)
