"""PURE: how far the trials of a search came, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from reports.records import Role, State, Trial


@dataclass(frozen=True)
class Curve:
    """The objective of one trial, by epoch; an epoch without a finite value is left out."""

    trial: int
    role: Role
    state: State
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Rung:
    """What the trials had reached after an epoch.

    Attributes:
        epoch: Counted from 1.
        reached: Trials that finished it.
        stopped: Those of them that early stopping ended there.
        lost: Those of them that ended there for another reason, before their last epoch.
        best: Highest objective; None if no trial has a finite one.
        median: Median objective, as `best`.
    """

    epoch: int
    reached: int
    stopped: int
    lost: int
    best: float | None
    median: float | None


def follow(trials: Sequence[Trial], objective: str) -> tuple[Curve, ...]:
    """Return the curve of every trial that has finished an epoch."""
    return tuple(
        Curve(trial.number, trial.role, trial.state, _points(trial, objective))
        for trial in trials
        if trial.epochs
    )


def _points(trial: Trial, objective: str) -> tuple[tuple[int, float], ...]:
    values = ((epoch.epoch, epoch.metrics.get(objective)) for epoch in trial.epochs)
    return tuple((epoch, value) for epoch, value in values if value is not None)


def climb(trials: Sequence[Trial], objective: str) -> tuple[Rung, ...]:
    """Count for every epoch who reached it and who went no further."""
    last = {trial.number: trial.epochs[-1].epoch if trial.epochs else 0 for trial in trials}
    return tuple(_rung(epoch, trials, last, objective) for epoch in range(1, max([0, *last.values()]) + 1))


def _rung(epoch: int, trials: Sequence[Trial], last: dict[int, int], objective: str) -> Rung:
    ended = [trial.state for trial in trials if last[trial.number] == epoch]
    values = [value for trial in trials for reached, value in _points(trial, objective) if reached == epoch]
    return Rung(
        epoch=epoch,
        reached=sum(length >= epoch for length in last.values()),
        stopped=ended.count("stopped"),
        lost=ended.count("failed") + ended.count("interrupted"),
        best=max(values, default=None),
        median=median(values) if values else None,
    )
