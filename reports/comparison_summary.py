"""PURE: what is shown of several runs side by side, as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genimage_core.intervals import Estimate
from reports.claims import Claim
from reports.compared_runs import ComparedRun
from reports.matrices import Matrix
from reports.tables import Row
from reports.wording import generator_title

PARTS = ("sealed", "test", "validation")


@dataclass(frozen=True)
class Accuracy:
    """Balanced accuracy on a generator; `low` and `high` are None where one seed alone was trained."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class GeneratorRow:
    """Winner and baseline of every run on one generator; None where a run has not measured it.

    Attributes:
        part: `sealed` or `test` (trained anew, images that no trial saw), or `validation` (of the search).
        generator: Its title.
        winners: Run by run.
        baselines: Run by run.
    """

    part: str
    generator: str
    winners: tuple[Accuracy | None, ...]
    baselines: tuple[Accuracy | None, ...]


@dataclass(frozen=True)
class Summary:
    """What a reader asks first of a run; `comparison.json` holds it.

    Attributes:
        label: Letter of the run.
        folder: Its directory.
        name: Of its space file.
        simulated: Whether its images are simulated.
        status: How far it has come.
        verdict: What its own report says.
        objective: Name of the metric.
        trial: The winner: the best searched trial that completed; None if there is none.
        config: Of the winner.
        winner: Objective that the winner reached in the search: one seed, the best of several.
        baseline: Objective of the baseline in the search.
        sealed: Winner's accuracy on sealed generators, trained anew, with its 95 % interval.
        sealed_difference: To the baseline, paired.
        unseen: The same on unseen images of the search generators.
        unseen_difference: To the baseline, paired.
        planned: Trials that were asked for.
        completed: Trials that ran to the last epoch.
        stopped: By the scheduler.
        failed: With an error.
        interrupted: By the user or the time budget.
        search_device_hours: Training and evaluation of the trials that have ended, all devices together.
        finalists_device_hours: The same of the finalists.
        commit: Of the code.
    """

    label: str
    folder: str
    name: str
    simulated: bool
    status: str
    verdict: str
    objective: str
    trial: int | None
    config: Mapping[str, Any]
    winner: float | None
    baseline: float | None
    sealed: Estimate | None
    sealed_difference: Estimate | None
    unseen: Estimate | None
    unseen_difference: Estimate | None
    planned: int | None
    completed: int
    stopped: int
    failed: int
    interrupted: int
    search_device_hours: float
    finalists_device_hours: float | None
    commit: str | None


def summarise(run: ComparedRun) -> Summary:
    """Take from a run what is shown beside others."""
    report, winner, outcome = run.report, run.report.challenger, run.report.outcome
    sealed, unseen = _claim(run, "sealed"), _claim(run, "test")
    commit = report.environment.get("commit")
    return Summary(
        label=run.label,
        folder=run.folder,
        name=report.name,
        simulated=report.simulated,
        status=run.status,
        verdict=run.evidence.headline.sentence if run.evidence else report.verdict,
        objective=report.objective,
        trial=winner.trial if winner else None,
        config=winner.config if winner else {},
        winner=winner.objective if winner else None,
        baseline=_value(report.baseline),
        sealed=sealed.overall.candidate if sealed else None,
        sealed_difference=sealed.overall.difference if sealed else None,
        unseen=unseen.overall.candidate if unseen else None,
        unseen_difference=unseen.overall.difference if unseen else None,
        planned=outcome.planned,
        completed=outcome.completed,
        stopped=outcome.stopped,
        failed=outcome.failed,
        interrupted=outcome.interrupted,
        search_device_hours=run.search_s / 3600,
        finalists_device_hours=None if run.finalists_s is None else run.finalists_s / 3600,
        commit=None if commit is None else str(commit),
    )


def _value(baseline: Row | None) -> float | None:
    return baseline.objective if baseline and baseline.state == "completed" else None


def _claim(run: ComparedRun, part: str) -> Claim | None:
    verdicts = run.evidence.verdicts if run.evidence else ()
    return next((verdict.claim for verdict in verdicts if verdict.claim.part == part), None)


def by_generator(runs: Sequence[ComparedRun]) -> tuple[GeneratorRow, ...]:
    """Lay out what winner and baseline of every run reach on every generator that counts for it."""
    rows = []
    for part in PARTS:
        found = [_measured(run, part) for run in runs]
        for name in dict.fromkeys(name for of_run in found for name in of_run):
            title = next(
                generator_title(name, r.catalog) for r, f in zip(runs, found, strict=True) if name in f
            )
            pairs = [of_run.get(name, (None, None)) for of_run in found]
            rows.append(GeneratorRow(part, title, tuple(w for w, _ in pairs), tuple(b for _, b in pairs)))
    return tuple(rows)


def _measured(run: ComparedRun, part: str) -> dict[str, tuple[Accuracy | None, Accuracy | None]]:
    """Winner and baseline by generator."""
    if part == "validation":
        winner, baseline = (_columns(m) for m in (run.report.challenger_matrix, run.report.baseline_matrix))
        return {name: (winner.get(name), baseline.get(name)) for name in (*winner, *baseline)}
    claim = _claim(run, part)
    return {
        of.generator: (_accuracy(of.comparison.candidate), _accuracy(of.comparison.baseline))
        for of in (claim.generators if claim else ())
    }


def _columns(matrix: Matrix | None) -> dict[str, Accuracy]:
    if matrix is None:
        return {}
    means = zip(matrix.generators, matrix.column_means, strict=True)
    return {name: Accuracy(mean) for name, mean in means if mean is not None}


def _accuracy(found: Estimate) -> Accuracy:
    return Accuracy(found.value, found.low, found.high)
