"""Optuna's suggestions for Ray Tune, with states that tell the truth in `study.db`."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import Trial, TrialState
from ray.tune.search import Searcher

from search.records import Records, TrialRecord
from search.scheduler import Deadline
from search.sections import Choices, Parameter, Range, Value
from search.space import Space
from search.study import build_sampler, open_study, settle_study


class StudySearch:
    """Asks a study on disk, in which trial 0 is the baseline, for one trial after the other.

    Ray's own `OptunaSearch` would call a trial that was stopped early COMPLETE, leave one without a finite
    value RUNNING for ever, and forget on a resume which trials it knew. Here a stopped trial is PRUNED with
    its last value, one without a finite value FAILs, intermediate values count epochs, trials that were cut
    off go on under their old numbers, and nothing new is suggested after the deadline.
    """

    def __init__(
        self,
        space: Space,
        storage: Path,
        deadline: Deadline,
        records: Records,
        first: Sequence[dict[str, Value]] = (),
        limit: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """Open the study.

        Args:
            space: What is searched.
            storage: SQLite file; it agrees with the records.
            deadline: When nothing is suggested any more.
            records: Where a trial is noted before it begins; those that are running there go on first.
            first: Values to try right after the baseline, before the sampler's.
            limit: How many trials may be under way now; asked before each.
        """
        self._space, self._deadline, self._records, self._first = space, deadline, records, first
        self._objective, self._epochs = space.search.objective, space.training.epochs
        self._limit = limit
        self._study = open_study(storage, space.name)
        self._cut_off = deque(record for record in records.in_order() if record.state == "running")
        self._under_way: dict[str, Trial] = {}
        self._reported: dict[str, set[int]] = {}  # epochs by trial

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next configuration; None while there is no room for it, FINISHED when there is none."""
        if self._deadline.passed:
            return str(Searcher.FINISHED)
        if len(self._under_way) >= self._limit():
            return None
        if self._cut_off:
            return self._go_on(trial_id, self._cut_off.popleft())
        number = len(self._records.trials)
        if number >= self._space.search.trials:
            return str(Searcher.FINISHED)
        self._study.sampler = build_sampler(self._space.search, number)
        if 0 < number <= len(self._first):
            self._study.enqueue_trial(self._first[number - 1])
        trial = self._under_way[trial_id] = self._study.ask()
        assert trial.number == number, "study and records agree"
        self._reported[trial_id] = set()
        params = {} if number == 0 else suggest_parameters(self._space, trial)
        role = "searched" if number else "baseline"
        trial.set_user_attr("role", role)
        self._records.begin(number, role, params)
        return {"number": number, "role": role, "params": params, "from_epoch": 0}

    def _go_on(self, trial_id: str, record: TrialRecord) -> dict[str, Any]:
        frozen = self._study.get_trials(deepcopy=False)[record.number]
        self._under_way[trial_id] = Trial(self._study, frozen._trial_id)
        self._reported[trial_id] = set(frozen.intermediate_values)
        return {
            "number": record.number,
            "role": record.role,
            "params": record.config,
            "from_epoch": record.reached,
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep the objective of an epoch; one that a retry went through again changes nothing."""
        trial, value = self._under_way.get(trial_id), result[self._objective]
        if trial and math.isfinite(value) and result["epoch"] not in self._reported[trial_id]:
            trial.report(value, result["epoch"])
            self._reported[trial_id].add(result["epoch"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Settle the trial's state: COMPLETE at full length, PRUNED when stopped, else FAIL."""
        if trial_id not in self._under_way:
            return
        value = (result or {}).get(self._objective, math.nan)
        trial = self._under_way[trial_id]
        if result:
            self.on_trial_result(trial_id, result)  # Ray Tune tells the last epoch only here
        if error or not math.isfinite(value):
            self._study.tell(trial, state=TrialState.FAIL)
        elif (result or {}).get("epoch", 0) < self._epochs:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, value)
        del self._under_way[trial_id], self._reported[trial_id]

    def settle(self) -> None:
        """Settle what the search has left running."""
        settle_study(self._study, self._epochs)


def suggest_parameters(space: Space, trial: optuna.trial.BaseTrial) -> dict[str, Value]:
    """Sample every parameter whose condition holds; unconditional ones come first."""
    chosen: dict[str, Value] = {}
    for name, parameter in space.parameters.items():
        conditions = (parameter.when or {}).items()
        if all(chosen.get(other) in values for other, values in conditions):
            chosen[name] = _suggest(trial, name, parameter)
    return chosen


def _suggest(trial: optuna.trial.BaseTrial, name: str, parameter: Parameter) -> Value:
    if isinstance(parameter, Choices):
        return trial.suggest_categorical(name, parameter.choices)  # type: ignore[return-value]
    assert isinstance(parameter, Range), parameter
    if parameter.type == "int":
        step = int(parameter.step or 1)
        return trial.suggest_int(name, int(parameter.low), int(parameter.high), step=step, log=parameter.log)
    return trial.suggest_float(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
