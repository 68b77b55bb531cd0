"""Optuna's suggestions, with states that tell the truth in `study.db`."""

import math
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from search.scheduler import Deadline
from search.space import Choices, Parameter, Range, SearchSection, Space, Value


class StudySearch(OptunaSearch):  # type: ignore[misc]
    """`OptunaSearch` on a study on disk, in which trial 0 is the baseline.

    What differs from Ray's class: the baseline is asked without parameters, so it need not lie within the
    ranges; a trial stopped early is PRUNED with its last value, not COMPLETE; one without a finite value
    FAILs instead of staying RUNNING; intermediate values count epochs; and nothing new is suggested after
    the deadline.
    """

    def __init__(self, space: Space, storage: Path, deadline: Deadline) -> None:
        self._searched, self._epochs, self._deadline = space, space.training.epochs, deadline
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        backend = optuna.storages.RDBStorage(f"sqlite:///{storage}")
        super().__init__(
            space=partial(suggest_parameters, space),
            metric=space.search.objective,
            mode="max",
            study_name=space.name,
            storage=backend,
            sampler=build_sampler(space.search),
        )

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Ask the study for the next configuration; FINISHED after the deadline."""
        if self._deadline.passed:
            return str(Searcher.FINISHED)
        trial = self._ot_study.ask()
        self._ot_trials[trial_id] = trial
        baseline = trial.number == 0
        params = {} if baseline else suggest_parameters(self._searched, trial)
        role = "baseline" if baseline else "searched"
        trial.set_user_attr("role", role)
        return {"number": trial.number, "role": role, "params": params}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep the objective of an epoch; one that a retry went through again changes nothing."""
        trial, value = self._ot_trials[trial_id], result[self._metric]
        known = self._ot_study.get_trials(deepcopy=False)[trial.number].intermediate_values
        if math.isfinite(value) and result["epoch"] not in known:
            trial.report(value, result["epoch"])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Settle the trial's state: COMPLETE at full length, PRUNED when stopped, else FAIL."""
        if trial_id in self._completed_trials or trial_id not in self._ot_trials:
            return
        value = (result or {}).get(self._metric, math.nan)
        trial = self._ot_trials[trial_id]
        if result:
            self.on_trial_result(trial_id, result)  # Ray Tune tells the last epoch only here
        if error or not math.isfinite(value):
            self._ot_study.tell(trial, state=TrialState.FAIL)
        elif (result or {}).get("epoch", 0) < self._epochs:
            self._ot_study.tell(trial, state=TrialState.PRUNED)
        else:
            self._ot_study.tell(trial, value)
        self._completed_trials.add(trial_id)

    def settle(self) -> None:
        """Settle every trial that a search which was cut off has left RUNNING, by its last epoch if any."""
        for trial in self._ot_study.get_trials(states=[TrialState.RUNNING]):
            known = trial.intermediate_values
            full = known.get(self._epochs)
            state = TrialState.COMPLETE if full is not None else TrialState.FAIL
            self._ot_study.tell(trial.number, full, state=state)


def build_sampler(section: SearchSection) -> optuna.samplers.BaseSampler:
    """Build the sampler of a space file.

    TPE groups parameters (`group=True`), so that conditional ones, and the baseline that has none, do not
    hide the joint structure of the others; a third of the trials, three to ten, is drawn at random first.
    """
    if section.sampler == "random":
        return optuna.samplers.RandomSampler(seed=section.seed)
    startup = min(10, max(3, section.trials // 3))
    with warnings.catch_warnings():
        # Optuna calls `group` experimental; the dependency is bound to the versions it was tried with.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=section.seed, multivariate=True, group=True, n_startup_trials=startup
        )


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
