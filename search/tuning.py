"""Ray Tune, told what to run: trials that hand their warm worker groups on, early stopping, Ctrl-C."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ray import tune
from ray.tune.execution import class_cache

from search.checkpoints import trial_name
from search.cluster import TRIAL_MEMORY_BYTES
from search.errors import disk_is_full, one_line
from search.forgetting import Forget
from search.monitor import Monitor
from search.relay import Part, Relay, RelayMonitor, RelayScheduler, RelaySearch, nothing
from search.scheduler import Deadline, build_scheduler
from search.searcher import StudySearch
from search.space import Space
from search.warm_start import Configuration

RETRIES = 2


def search_part(
    space: Space,
    deadline: Deadline,
    monitor: Monitor,
    limit: Callable[[], int],
    *,
    first: Sequence[Configuration] = (),
    then: Callable[[], Part | None] = nothing,
) -> Part:
    """Describe the search: every trial of the study beside the run's records.

    Args:
        space: What is searched.
        deadline: When no trial starts any more and none goes on to another epoch.
        monitor: Hears of everything; its records' run directory is the search's.
        limit: Trials that fit side by side now; nodes may join and leave.
        first: Configurations to try right after the baseline.
        then: What comes after the search.
    """
    records = monitor.records
    searcher = StudySearch(space, records.run_dir / "study.db", deadline, records, first, limit)
    return Part(searcher, build_scheduler(space, records), monitor, searcher.settle, then)


def run_parts(first: Part, trainable: Any, most: int, deadline: Deadline) -> None:
    """Let Ray Tune run one part after the other, until there are no more or the user wants no more.

    Args:
        first: Its records say where all is kept.
        trainable: `DetectorTrial` with its parameters, or another that reports what it does.
        most: Trials of all parts together at most.
        deadline: When no trial goes on to another epoch.
    """
    _keep_secrets()
    relay, records = Relay(first), first.monitor.records
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"memory": TRIAL_MEMORY_BYTES}),
        tune_config=tune.TuneConfig(
            search_alg=RelaySearch(relay, records.objective),
            scheduler=RelayScheduler(relay),
            num_samples=most,
            max_concurrent_trials=most,  # the searcher knows better; without, trials would start in turn
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=lambda trial: f"{_name(trial)}_{trial.trial_id}",
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(records.run_dir),
            callbacks=[RelayMonitor(relay), Forget(records.objective)],
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
    except KeyboardInterrupt:
        first.monitor.note("ended at once; once more ends without a report")
    except Exception as error:
        cause = one_line(error)
        deadline.full = deadline.full or disk_is_full(str(error))
        raise
    finally:
        relay.end(cause)


def _keep_secrets() -> None:
    """Keep Tune from handing AWS's keys to every trial: none needs them, and Ray would log them."""
    passed_on = class_cache.ENV_VARS_TO_PROPAGATE
    passed_on -= {name for name in passed_on if name.startswith("AWS_")}


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
