"""Early stopping."""

import time
from typing import Any

from ray.tune import Stopper
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.halving import Rungs
from search.records import Records
from search.space import Space


class SuccessiveHalving(FIFOScheduler):  # type: ignore[misc]
    """Stops poor trials between two epochs, but lets the baseline run to its end, whatever its value.

    Its rungs follow from the records, so a search that is resumed decides as if it had never ended; Ray
    Tune's own scheduler would begin with empty ones. It counts our own `epoch`, which no retry restarts.
    """

    def __init__(self, space: Space, records: Records) -> None:
        self._records = records
        self._objective, self._last = space.search.objective, space.training.epochs
        first = min(space.search.grace_period, self._last)
        self._rungs = Rungs(first, self._last, space.search.reduction_factor)
        for record in records.in_order():
            for epoch in record.epochs:
                self._rungs.keeps(record.number, epoch["epoch"], epoch[self._objective])

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Note the result on its rung and decide."""
        goes_on = self._keeps(trial, result) and result["epoch"] < self._last
        decision: str = TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Note the last result, which Ray Tune tells only here where it asks nobody: the user ended it."""
        if "error" not in result:
            self._keeps(trial, result)

    def _keeps(self, trial: Any, result: dict[str, Any]) -> bool:
        """Whether the trial is good enough; if not, that is noted: Tune saves it before it stops it."""
        number, epoch, value = trial.config["number"], result["epoch"], result[self._objective]
        if self._records.is_stopped(number, epoch):
            return False  # a worker died before it was, so that the epoch came again
        kept = self._rungs.keeps(number, epoch, value) or trial.config["role"] == "baseline"
        if not kept and epoch < self._last:
            self._records.note_stop(number, epoch)
        return kept


class Deadline(Stopper):  # type: ignore[misc]
    """Stops each trial at the end of its epoch once the time is up, or the user wants no more.

    Attributes:
        at: Unix time.
        called: Whether the user has ended the search.
        full: Whether there is no room on the disk to go on.
        interrupted: Trials that would have gone on.
    """

    def __init__(self, at: float) -> None:
        self.at = at
        self.called = self.full = False
        self.interrupted: set[str] = set()

    @property
    def passed(self) -> bool:
        """Whether no further epoch is to start."""
        return self.called or self.full or time.time() >= self.at

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Whether the trial that gave `result` should stop."""
        if self.passed:
            self.interrupted.add(trial_id)
        return self.passed

    def stop_all(self) -> bool:
        """Never: the searcher suggests nothing new, and running epochs are finished."""
        return False


def build_scheduler(space: Space, records: Records) -> TrialScheduler:
    """Build the scheduler of a space file, as far as the records say it had come."""
    return FIFOScheduler() if space.search.scheduler == "none" else SuccessiveHalving(space, records)
