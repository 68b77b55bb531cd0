"""What a trial costs beyond its training and evaluation: this search, and the documented nesting.

python -m tests.benchmarks.overhead [--trials 6] [--rounds 2] [--out FILE]

Both do the same work: two folds of a small detector on random images, one worker, one trial at a time, no
early stopping. Each side runs in a process of its own, with a Ray of its own, the two taking turns. The first
trial of a run, in which Ray's workers start, is told apart. Prints JSON to stdout. Linux only (processes and
memory are read from /proc).
"""

import argparse
import io
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import describe_machine
from tests.benchmarks.results import publish, quartiles

SIDES = ("warm", "nested")
SAMPLE_S = 0.2
EPOCHS = 2
IMAGES = 24  # of each class; an epoch of both folds then takes about half a second


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run_side(arguments.side, arguments.trials)))
        return
    machine = describe_machine()
    rounds = [{side: start(side, arguments.trials) for side in SIDES} for _ in range(arguments.rounds)]
    publish(summarise(rounds, arguments.trials) | {"machine": machine}, arguments.out)


def start(side: str, trials: int) -> dict[str, Any]:
    """Run one side in a process of its own, watching it and all below it."""
    command = [sys.executable, "-m", "tests.benchmarks.overhead", "--side", side, "--trials", str(trials)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with watch(process.pid) as seen:
        output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the side {side!r} failed with exit code {process.returncode}")
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found | {"processes": len(seen["pids"]), "peak_memory_mb": seen["peak_mb"]}


@contextmanager
def watch(pid: int) -> Iterator[dict[str, Any]]:
    """Note every process below `pid` and the most memory that they had together (proportional set size)."""
    seen: dict[str, Any] = {"pids": set(), "peak_mb": 0.0}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(SAMPLE_S):
            pids = below(pid)
            seen["pids"] |= pids
            seen["peak_mb"] = max(seen["peak_mb"], sum(map(memory_mb, pids)))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield seen
    ended.set()
    thread.join()


def below(pid: int) -> set[int]:
    """Every process below one."""
    found, waiting = set(), [pid]
    while waiting:
        for path in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                children = [int(child) for child in path.read_text().split()]
            except OSError:
                continue  # ended meanwhile
            found.update(children)
            waiting += children
    return found


def memory_mb(pid: int) -> float:
    """Proportional set size of a process."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def run_side(side: str, trials: int) -> dict[str, Any]:
    """Run all trials of one side: seconds of each beyond its training and evaluation."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        ends, busy = (run_warm if side == "warm" else run_nested)(Path(folder), trials)
    spent = [end - begin for begin, end in itertools.pairwise(ends)]
    of_trial = [sum(busy[i * EPOCHS : (i + 1) * EPOCHS]) for i in range(trials)]
    beyond = [wall - work for wall, work in zip(spent, of_trial, strict=True)]
    return {"beyond_s": beyond, "busy_s": of_trial}


def run_warm(folder: Path, trials: int) -> tuple[list[float], list[float]]:
    """Run this project's search."""
    import math

    from ray import tune
    from rich.console import Console

    from search.board import Board
    from search.capacity import GroupShape
    from search.cluster import ray_session
    from search.display import Display
    from search.monitor import Monitor, keep_best
    from search.records import Records
    from search.scheduler import Deadline
    from search.trial import DetectorTrial
    from search.tuning import run_parts, search_part
    from tests.benchmarks.small_search import make_job, make_space

    space = make_space(trials, EPOCHS, IMAGES)
    with ray_session(None, folder / "none"):
        job = make_job(folder, space)
        records = Records(job.run_dir, job.objective, EPOCHS)
        deadline = Deadline(math.inf)
        display = Display(records, trials, math.inf, Console(file=io.StringIO()))
        monitor = Monitor(records, Board(job.board), display, deadline, keep_best)
        shape = GroupShape(1, 1.0, 0.0)
        started = time.time()
        records.open_session(started, 1, 1)
        trainable = tune.with_parameters(DetectorTrial, job=job, space=space, shape=shape)
        run_parts(search_part(space, deadline, monitor, lambda: 1), trainable, trials, deadline)
    events = [json.loads(line) for line in (job.run_dir / "journal.jsonl").read_text().splitlines()]
    ends = [event["at"] for event in events if event["event"] == "end"]
    busy = [event["epoch"]["busy_s"] for event in events if event["event"] == "epoch"]
    return [started, *ends], busy


def run_nested(folder: Path, trials: int) -> tuple[list[float], list[float]]:
    """Run the same with stock Ray."""
    import ray

    from search.space import settle
    from tests.benchmarks.nested_trials import read_numbers, search
    from tests.benchmarks.small_search import make_job, make_space

    space = make_space(trials, EPOCHS, IMAGES)
    with tempfile.TemporaryDirectory(prefix="o-") as temporary:
        ray.init(_temp_dir=temporary, log_to_driver=False, logging_level="ERROR")
        try:
            job = make_job(folder, space)
            ends = search(job, settle(space, {}, baseline=True), trials)
        finally:
            ray.shutdown()
    return ends, read_numbers(job.run_dir / "busy.jsonl")


def summarise(rounds: list[dict[str, Any]], trials: int) -> dict[str, Any]:
    """Sum up both sides over all rounds."""
    sides = {}
    for side in SIDES:
        later = sorted(seconds for one in rounds for seconds in one[side]["beyond_s"][1:])
        sides[side] = {
            "beyond_training_s": quartiles(later),
            "first_trial_beyond_s": [round(one[side]["beyond_s"][0], 2) for one in rounds],
            "training_and_evaluation_s": round(
                statistics.median(s for one in rounds for s in one[side]["busy_s"]), 3
            ),
            "processes": [one[side]["processes"] for one in rounds],
            "peak_memory_mb": [round(one[side]["peak_memory_mb"]) for one in rounds],
        }
    warm, nested = (sides[side]["beyond_training_s"]["median"] for side in SIDES)
    return {
        "command": f"python -m tests.benchmarks.overhead --trials {trials} --rounds {len(rounds)}",
        "trials": trials,
        "epochs": EPOCHS,
        **sides,
        "nested_over_warm": round(nested / warm, 1),
    }


if __name__ == "__main__":
    main()
