"""Early stopping."""

import time
from typing import Any

from ray.tune import Stopper
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from search.space import Space


class BaselineKeepingASHA(AsyncHyperBandScheduler):  # type: ignore[misc]
    """Asynchronous successive halving that lets the baseline run to its end, whatever its value.

    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Record the result on its rung and decide."""
        decision: str = super().on_trial_result(tune_controller, trial, result)
        return TrialScheduler.CONTINUE if trial.config["role"] == "baseline" else decision


class Deadline(Stopper):  # type: ignore[misc]
    """Stops each trial at the end of its epoch once the time is up, or the user wants no more.

    Attributes:
        at: Unix time.
        called: Whether the user has ended the search.
        interrupted: Trials that would have gone on.
    """

    def __init__(self, at: float) -> None:
        self.at = at
        self.called = False
        self.interrupted: set[str] = set()

    @property
    def passed(self) -> bool:
        """Whether no further epoch is to start."""
        return self.called or time.time() >= self.at

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial that gave `result` should stop."""
        if self.passed:
            self.interrupted.add(trial_id)
        return self.passed

    def stop_all(self) -> bool:
        """Never: the searcher suggests nothing new, and running epochs are finished."""
        return False


def build_scheduler(space: Space) -> TrialScheduler:
    """Build the scheduler of a space file; it counts our own `epoch`, which a retry does not restart."""
    if space.search.scheduler == "none":
        return FIFOScheduler()
    return BaselineKeepingASHA(
        time_attr="epoch",
        metric=space.search.objective,
        mode="max",
        max_t=space.training.epochs,
        grace_period=min(space.search.grace_period, space.training.epochs),
        reduction_factor=space.search.reduction_factor,
    )
