"""The search itself: Ray Tune with the study's suggestions, early stopping and warm worker groups."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from optuna.exceptions import StorageInternalError
from ray import tune
from ray.tune.execution import class_cache
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.board import Board
from search.checkpoints import trial_name
from search.cluster import TRIAL_MEMORY_BYTES
from search.display import Display
from search.errors import one_line
from search.forgetting import Forget
from search.monitor import Monitor, keep_best
from search.records import Records
from search.resume import Configuration
from search.scheduler import Deadline, build_scheduler
from search.searcher import StudySearch
from search.space import Space

RETRIES = 2


def run_search(
    space: Space,
    trainable: Any,
    deadline: Deadline,
    *,
    limit: Callable[[], int],
    records: Records,
    board: Board,
    display: Display,
    first: Sequence[Configuration] = (),
) -> None:
    """Run every trial of a search; results reach records, board and display as they come.

    Args:
        space: What is searched.
        trainable: `DetectorTrial` with its parameters, or another that reports what it does.
        deadline: When no trial starts any more and none goes on to another epoch.
        limit: Trials that fit side by side now; nodes may join and leave.
        records: Where trials are written down; their run directory is the search's.
        board: TensorBoard.
        display: What the user sees.
        first: Configurations to try right after the baseline.
    """
    ahead = space.search.trials - sum(record.state != "running" for record in records.in_order())
    if ahead <= 0:
        return
    searcher = StudySearch(space, records.run_dir / "study.db", deadline, records, first, limit)
    monitor = Monitor(records, board, display, deadline, keep_best)
    scheduler = build_scheduler(space, records)
    run_trials(trainable, ahead, searcher, scheduler, monitor, deadline, at_end=searcher.settle)


def run_trials(
    trainable: Any,
    trials: int,
    searcher: Searcher,
    scheduler: TrialScheduler,
    monitor: Monitor,
    deadline: Deadline,
    *,
    at_end: Callable[[], None] = lambda: None,
) -> None:
    """Let Ray Tune run what a searcher suggests, until it has no more or the user wants no more.

    Args:
        trainable: As of `run_search`.
        trials: How many are suggested at most.
        searcher: Suggests them, and holds them back while there is no room.
        scheduler: Stops them early, or not.
        monitor: Hears of everything; its records say where all is kept.
        deadline: When no trial goes on to another epoch.
        at_end: Called once no trial is under way any more, whatever ended them.
    """
    _keep_secrets()
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"memory": TRIAL_MEMORY_BYTES}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=trials,
            max_concurrent_trials=trials,  # the searcher knows better; without, trials would start in turn
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=lambda trial: f"{_name(trial)}_{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(monitor.records.run_dir),
            callbacks=[monitor, Forget(monitor.records.objective)],
            stop=deadline,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
            verbose=0,
        ),
    )
    cause = None
    try:
        with _ending_on_signals(deadline):
            tuner.fit()
    except Exception as error:
        cause = one_line(error)
        raise
    finally:
        _settle(monitor, at_end, cause)


def _keep_secrets() -> None:
    """Keep Tune from handing AWS's keys to every trial: none needs them, and Ray would log them."""
    passed_on = class_cache.ENV_VARS_TO_PROPAGATE
    passed_on -= {name for name in passed_on if name.startswith("AWS_")}


def _settle(monitor: Monitor, at_end: Callable[[], None], cause: str | None) -> None:
    """Note the end of what was running; on a disk that is full `--resume` does so, once there is room."""
    try:
        monitor.settle(cause)
        at_end()
    except (OSError, StorageInternalError):
        if cause is None:
            raise


def _name(trial: Any) -> str:
    return trial_name(trial.config.get("number", 0))


@contextmanager
def _ending_on_signals(deadline: Deadline) -> Iterator[None]:
    """Let a first Ctrl-C, or SIGTERM, end the search after the epoch that runs, and a second one at once."""

    def end(number: int, frame: FrameType | None) -> None:
        if deadline.called:
            raise KeyboardInterrupt
        deadline.called = True
        # Not through the display: it may be in the middle of a line of its own.
        os.write(sys.stderr.fileno(), b"\nending after this epoch; once more: at once\n")

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
