"""Several parts of a run to Ray Tune as a single search, so that warm workers go from one to the next."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Union

from optuna.exceptions import StorageInternalError
from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.monitor import Monitor


class Suggester(Protocol):
    """What Ray Tune asks of its searcher."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return a configuration, None while there is no room, `Searcher.FINISHED` when there are no more."""

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Learn of an epoch."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Learn of an end."""


def nothing() -> None:
    """What follows where nothing does."""


@dataclass(frozen=True)
class Part:
    """What is to be run, and who hears of it.

    Attributes:
        searcher: Suggests trials, holds them back while there is no room, and says when there are no more.
        scheduler: Stops them early, or not.
        monitor: Hears of everything.
        at_end: Called once none of its trials is under way any more, whatever ended them.
        then: Called after that: what comes next, None if this was all.
    """

    searcher: Suggester
    scheduler: TrialScheduler
    monitor: Monitor
    at_end: Callable[[], None] = nothing
    then: Callable[[], Union["Part", None]] = nothing

    def end(self, cause: str | None = None) -> None:
        """Note the end of what was running; on a disk that is full `--resume` does so, once there is room.

        Args:
            cause: What has ended the run, if neither its own end nor the user.
        """
        try:
            self.monitor.settle(cause)
            self.at_end()
        except (OSError, StorageInternalError):
            if cause is None:
                raise
        finally:
            self.monitor.close()


class Relay:
    """Knows the part that is under way.

    Attributes:
        part: None once all are over.
    """

    def __init__(self, first: Part) -> None:
        """Begin with the first."""
        self.part: Part | None = first
        first.monitor.open()

    @property
    def monitor(self) -> Monitor:
        """Who hears of the trials that are under way."""
        assert self.part is not None, "a part is over only when all its trials are"
        return self.part.monitor

    @property
    def scheduler(self) -> TrialScheduler:
        """Who stops the trials that are under way."""
        assert self.part is not None, "a part is over only when all its trials are"
        return self.part.scheduler

    def go_on(self) -> None:
        """End the part that is under way and begin what comes next, if anything does."""
        if self.part is not None:
            self.part.end()
            then, self.part = self.part.then, None
            self.part = then()
        if self.part is not None:
            self.part.monitor.open()

    def end(self, cause: str | None) -> None:
        """End the part that is under way, if one is."""
        part, self.part = self.part, None
        if part is not None:
            part.end(cause)


class RelaySearch(Searcher):  # type: ignore[misc]
    """Suggests what the part that is under way suggests; the next one begins when all its trials are over."""

    def __init__(self, relay: Relay, objective: str) -> None:
        super().__init__(metric=objective, mode="max")
        self._relay = relay
        self._under_way: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next configuration; None while there is no room, FINISHED when all parts are over."""
        while (part := self._relay.part) is not None:
            suggestion = part.searcher.suggest(trial_id)
            if suggestion != Searcher.FINISHED:
                self._under_way |= {trial_id} if suggestion else set()
                return suggestion
            if self._under_way:
                return None  # FINISHED would be the end of the workers
            self._relay.go_on()
        return str(Searcher.FINISHED)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Pass an epoch on."""
        if self._relay.part is not None:
            self._relay.part.searcher.on_trial_result(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass an end on."""
        self._under_way.discard(trial_id)
        if self._relay.part is not None:
            self._relay.part.searcher.on_trial_complete(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: all of it is on the disk already, and nothing is ever unpickled."""

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: a run is resumed from its records."""
        raise NotImplementedError("a run is resumed from its records")

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray Tune pickles its arguments for a restore of its own, which is never asked for


class RelayScheduler(FIFOScheduler):  # type: ignore[misc]
    """Decides as the part that is under way does."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as `RelaySearch`

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass a result on."""
        decision: str = self._relay.scheduler.on_trial_result(tune_controller, trial, result)
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Pass the last result on, which Ray Tune tells only here."""
        self._relay.scheduler.on_trial_complete(tune_controller, trial, result)


class RelayMonitor(Callback):  # type: ignore[misc]
    """Tells the monitor of the part that is under way."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as `RelaySearch`

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that a trial starts."""
        self._relay.monitor.note_start(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tell of an epoch."""
        self._relay.monitor.note_result(trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that a trial came to its end."""
        self._relay.monitor.note_end(trial)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that a trial is tried again."""
        self._relay.monitor.note_retry(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell that a trial failed for good."""
        self._relay.monitor.note_loss(trial)
