"""PURE: records in, frozen tables out. Figures and pages show these and compute nothing themselves."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.course import Curve, Rung, climb, follow
from reports.importance import Importance, assess
from reports.matrices import Matrix, cross_generator, judges
from reports.records import Records, Role, Shortcuts, State, Trial
from reports.wording import Standing, limits, notice, verdict

TOP = 5


@dataclass(frozen=True)
class Row:
    """One trial as a line of a table.

    `difference` is to the baseline; `forgetting` is the accuracy lost on the generator of the base.
    """

    trial: int
    role: Role
    state: State
    epochs: int
    objective: float | None
    difference: float | None
    worst_left_out: float | None
    left_out: float | None
    in_domain: float | None
    forgetting: float | None
    config: Mapping[str, Any]
    seconds: float | None
    retries: int
    error: str | None


@dataclass(frozen=True)
class Point:
    """One trial in the optimisation history; `best_so_far` looks at completed trials up to this number."""

    trial: int
    role: Role
    state: State
    value: float | None
    best_so_far: float | None


@dataclass(frozen=True)
class Outcome:
    """How the trials ended.

    Attributes:
        planned: Trials that the search was asked for, if recorded.
        completed: Ran to the last epoch.
        stopped: Ended early by the scheduler.
        failed: Raised an error.
        interrupted: Ended early by the user or by the time budget.
        retries: Second attempts, over all trials.
        epochs_run: Epochs over all trials.
        ended: Epoch and the number of trials that ended after it.
    """

    planned: int | None
    completed: int
    stopped: int
    failed: int
    interrupted: int
    retries: int
    epochs_run: int
    ended: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Report:
    """Everything that a page says, as data.

    `challenger` is the best searched trial, beaten or not; `divided` are trials whose batches did not
    fit into the memory of a device, each with the images that it took at a time.
    """

    name: str
    simulated: bool
    notice: str
    finished: bool
    objective: str
    verdict: str
    shortcuts: Shortcuts | None
    limits: tuple[str, ...]
    best: Row | None
    challenger: Row | None
    baseline: Row | None
    ranking: tuple[Row, ...]
    trials: tuple[Row, ...]
    challenger_matrix: Matrix | None
    baseline_matrix: Matrix | None
    history: tuple[Point, ...]
    curves: tuple[Curve, ...]
    rungs: tuple[Rung, ...]
    importance: Importance
    outcome: Outcome
    divided: tuple[tuple[int, int], ...]
    timing: Mapping[str, float | None]
    finalists_timing: Mapping[str, float | None]
    has_best_file: bool
    sealed: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, Any]


def build(records: Records, *, tested_anew: bool = False) -> Report:
    """Turn the records of a run, finished or not, into the tables of its report.

    Args:
        records: Of the run.
        tested_anew: Whether its best configurations were trained anew and tested.
    """
    environment, trials = records.environment, records.trials
    rows = tabulate(trials, environment.objective)
    ordered = rank(rows)
    best = _first(ordered)
    challenger = _first(row for row in ordered if row.role == "searched")
    baseline = _first(row for row in rows if row.role == "baseline")
    matrices = {
        t.number: cross_generator(t, environment.folds, environment.objective, environment.catalog)
        for t in trials
        if t.state == "completed"
    }
    outcome = tally_up(trials, environment.trials)
    status = standing(records, ordered, outcome, tested_anew=tested_anew)
    return Report(
        name=environment.name,
        simulated=environment.simulated,
        notice=notice(status),
        finished=records.timing is not None,
        objective=environment.objective,
        verdict=verdict(status),
        shortcuts=environment.shortcuts,
        limits=limits(
            status,
            judges(environment.folds, environment.objective, environment.catalog),
            tuple(name for name in environment.sealed if name not in records.opened),
            environment.catalog,
        ),
        best=best,
        challenger=challenger,
        baseline=baseline,
        ranking=ordered[:TOP] + ((baseline,) if baseline and baseline not in ordered[:TOP] else ()),
        trials=rows,
        challenger_matrix=matrices.get(challenger.trial) if challenger else None,
        baseline_matrix=matrices.get(baseline.trial) if baseline else None,
        history=history(rows),
        curves=follow(trials, environment.objective),
        rungs=climb(trials, environment.objective),
        importance=assess(trials, environment.space, environment.objective),
        outcome=outcome,
        divided=_divided(trials),
        timing=records.timing or {},
        finalists_timing=records.finalists_timing or {},
        has_best_file=records.has_best,
        sealed=environment.sealed,
        command=environment.command,
        environment=environment.details,
    )


def _divided(trials: Sequence[Trial]) -> tuple[tuple[int, int], ...]:
    """Trials whose batches did not fit into the memory of a device, and images at a time."""
    sizes = {trial.number: trial.final("micro_batch") for trial in trials}
    return tuple((number, int(size)) for number, size in sizes.items() if size is not None)


def _first(rows: Iterable[Row]) -> Row | None:
    return next(iter(rows), None)


def tabulate(trials: Sequence[Trial], objective: str) -> tuple[Row, ...]:
    """Make one row per trial; differences are taken to the completed baseline."""
    finals = (t.final(objective) for t in trials if t.role == "baseline" and t.state == "completed")
    baseline = next(finals, None)
    return tuple(_row(trial, objective, baseline) for trial in trials)


def _row(trial: Trial, objective: str, baseline: float | None) -> Row:
    value = trial.final(objective)
    spent = [s for epoch in trial.epochs for s in epoch.seconds.values() if s is not None]
    return Row(
        trial=trial.number,
        role=trial.role,
        state=trial.state,
        epochs=trial.epochs[-1].epoch if trial.epochs else 0,
        objective=value,
        difference=_difference(value, baseline) if trial.state == "completed" else None,
        worst_left_out=trial.final("worst_left_out"),
        left_out=trial.final("left_out_accuracy"),
        in_domain=trial.final("in_domain_accuracy"),
        forgetting=trial.final("forgetting"),
        config=trial.config,
        seconds=sum(spent) if spent else None,
        retries=trial.retries,
        error=trial.error,
    )


def _difference(value: float | None, baseline: float | None) -> float | None:
    return None if value is None or baseline is None else value - baseline


def rank(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Order completed trials by value; a tie goes to the baseline, then to the earlier trial."""
    usable = [(row.objective, row) for row in rows if row.state == "completed" and row.objective is not None]
    usable.sort(key=lambda pair: (-pair[0], pair[1].role != "baseline", pair[1].trial))
    return tuple(row for _, row in usable)


def standing(
    records: Records, ordered: Sequence[Row], outcome: Outcome, *, tested_anew: bool = False
) -> Standing:
    """Collect what the verdict may rest on from the ranked rows."""
    best = _first(ordered)
    challenger = _first(row for row in ordered if row.role == "searched")
    baseline = _first(row for row in ordered if row.role == "baseline")
    environment = records.environment
    return Standing(
        objective=environment.objective,
        planned=outcome.planned,
        completed=outcome.completed,
        stopped=outcome.stopped,
        failed=outcome.failed,
        interrupted=outcome.interrupted,
        compared=len(ordered),
        best=best.trial if best else None,
        best_value=best.objective if best else None,
        challenger=challenger.trial if challenger else None,
        challenger_value=challenger.objective if challenger else None,
        baseline=baseline.objective if baseline else None,
        baseline_interrupted=any(t.role == "baseline" and t.state == "interrupted" for t in records.trials),
        finished=records.timing is not None,
        simulated=environment.simulated,
        base_simulated=environment.base.simulated,
        alignment=environment.format_alignment,
        base_alignment=environment.base.format_alignment,
        tested_anew=tested_anew,
    )


def history(rows: Sequence[Row]) -> tuple[Point, ...]:
    """Follow the value of every trial and the best completed one so far, by trial number."""
    points: list[Point] = []
    best: float | None = None
    for row in rows:
        if row.state == "completed" and row.objective is not None:
            best = row.objective if best is None else max(best, row.objective)
        points.append(Point(row.trial, row.role, row.state, row.objective, best))
    return tuple(points)


def tally_up(trials: Sequence[Trial], planned: int | None) -> Outcome:
    """Count how the trials ended and how far they came."""
    states = Counter(trial.state for trial in trials)
    lengths = [trial.epochs[-1].epoch if trial.epochs else 0 for trial in trials]
    return Outcome(
        planned=planned,
        completed=states["completed"],
        stopped=states["stopped"],
        failed=states["failed"],
        interrupted=states["interrupted"],
        retries=sum(trial.retries for trial in trials),
        epochs_run=sum(lengths),
        ended=tuple(sorted(Counter(lengths).items())),
    )
