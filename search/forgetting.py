"""What Ray Tune would keep in memory of every trial until the search ends, and nobody reads."""

from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.records import KEPT, METRICS, OPTIONAL

OWN = {*METRICS, *KEPT, *OPTIONAL, "table", "started", "story"}


class Forget(Callback):  # type: ignore[misc]
    """Takes results away from Ray Tune once they have been heard; comes after the callbacks that hear them.

    Tune keeps all trials in memory, each with its last result, another one beside its checkpoint, and
    statistics of every number reported: 75 kB for four folds, and growing with the square of their number;
    and at every step it asks each of them whether it has ended. The records have all of it on the disk.
    """

    def __init__(self, objective: str) -> None:
        """Keep what searcher, scheduler and stopper are told at the end of a trial: epoch and objective."""
        self._forgotten = OWN - {objective, "epoch"}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Change the result in place, as Tune lets its callbacks do, before it is kept."""
        for name in self._forgotten & result.keys():
            del result[name]

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Drop the details of a trial that has come to its end."""
        _forget(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Drop the details of a trial that has failed for good."""
        _forget(trial)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Take trials that have ended off the list, all but the newest: of none Tune would read its files."""
        for trial in [trial for trial in trials[:-1] if trial.is_finished() and not trial.is_saving]:
            trials.remove(trial)
            _strip(trial)


def _forget(trial: Any) -> None:
    trial.metric_analysis.clear()
    trial.metric_n_steps.clear()
    if saved := trial.latest_checkpoint_result:
        saved.metrics.clear()


def _strip(trial: Trial) -> None:
    """Drop what a trial carries beside its name and how it ended; sets inside Tune hold on to it."""
    trial.config.clear()
    trial.evaluated_params.clear()
    trial.run_metadata = type(trial.run_metadata)()
    trial.placement_group_factory = trial.storage = None
    trial._default_result_or_future = None  # a reference to an object that Ray would keep for it
