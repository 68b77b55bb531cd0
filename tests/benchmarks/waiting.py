"""What is lost when trials run side by side: groups of workers, and nodes, on a job that waits.

python -m tests.benchmarks.waiting [--trials 12] [--wait 2.0] [--out FILE]

The project's own search with its warm groups of Ray Train workers, only that a worker sleeps through an
epoch instead of training: what is left is the search's own cost, on as many groups as one likes, whatever
the number of cores. Efficiency is the time that the epochs of all trials sleep, over the time that all
groups together were there for, each from its first epoch to the end of the last trial; with one group it is
what a trial costs beyond its training. How long the last group took to be there stands beside it: two cores
import torch for all of them. Three nodes are three raylets on this machine (`ray.cluster_utils`).
"""

import search  # before Ray, which would start every process with `uv run` else

# isort: split

import argparse
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.cluster_utils import Cluster
from rich.console import Console

import search.workers
from genimage_core.metrics import Scores
from genimage_core.protocol import Fold
from search.board import Board
from search.capacity import GroupShape
from search.checkpoints import secure
from search.cluster import ENVIRONMENT, ray_session
from search.display import Display
from search.job import FoldResult, Job
from search.monitor import Monitor
from search.records import Records, TrialRecord
from search.scheduler import Deadline
from search.space import Space
from search.trial import DetectorTrial
from search.tuning import run_parts, search_part
from search.winner import drop_useless
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.results import publish
from tests.benchmarks.small_search import make_job, make_space

EPOCHS = 3
CPUS = 0.05  # of a worker: it sleeps
LAYOUTS = ((1, 1, 1), (2, 1, 1), (4, 1, 1), (1, 2, 1), (2, 2, 1), (3, 2, 3))  # groups, workers each, nodes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=12, help="of every group")
    parser.add_argument("--wait", type=float, default=2.0, help="seconds of an epoch")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--layout", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.layout:
        groups, workers, nodes = map(int, arguments.layout.split(","))
        print(json.dumps(measure(groups, workers, nodes, arguments.trials, arguments.wait)))
        return
    result = {
        "command": f"python -m tests.benchmarks.waiting --trials {arguments.trials} "
        f"--wait {arguments.wait:g}",
        "machine": describe_machine(),
        "epochs_per_trial": EPOCHS,
        "layouts": [measure_apart(layout, arguments.trials, arguments.wait) for layout in LAYOUTS],
    }
    publish(result, arguments.out)


def measure_apart(layout: tuple[int, int, int], trials: int, wait: float) -> dict[str, Any]:
    """Measure a layout in a process of its own: Ray asks only once in a process how it is secured."""
    options = ["--layout", ",".join(map(str, layout)), "--trials", str(trials), "--wait", str(wait)]
    command = [sys.executable, "-m", "tests.benchmarks.waiting", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(groups: int, workers: int, nodes: int, trials: int, wait: float) -> dict[str, Any]:
    """Run one search and say what share of the groups' time its epochs took."""
    space = make_space(trials * groups, EPOCHS, images=4)
    with tempfile.TemporaryDirectory(prefix="w-") as folder:
        job = make_job(Path(folder), space)
        if nodes == 1:
            with ray_session(None, Path(folder) / "none"):
                journal = run(job, space, GroupShape(workers, CPUS, 0.0), groups, wait)
        else:
            journal = run_on_nodes(nodes, job, space, groups, workers, wait)
    epochs = [event for event in journal if event["event"] == "epoch"]
    if len(epochs) != trials * groups * EPOCHS:
        raise RuntimeError(f"{len(epochs)} epochs instead of {trials * groups * EPOCHS}: {journal[-1]}")
    begun, end = sorted(first_steps(epochs))[:groups], max(event["at"] for event in epochs)
    held, slept = sum(end - begin for begin in begun), wait * len(epochs)
    found = {
        "groups": groups,
        "workers_per_group": workers,
        "nodes": nodes,
        "trials": trials * groups,
        "wall_s": round(end - begun[0], 1),
        "last_group_began_after_s": round(begun[-1] - begun[0], 1),
        "held_s": round(held, 1),
        "efficiency": round(slept / held, 4),
        "beyond_sleep_s_per_trial": round((held - slept) / (trials * groups), 3),
    }
    print(json.dumps(found), file=sys.stderr, flush=True)
    return found


def first_steps(epochs: Sequence[dict[str, Any]]) -> list[float]:
    """When every trial began; as many groups as there are, so many of the first trials began with theirs."""
    starts: dict[int, float] = {}
    for event in epochs:
        starts.setdefault(event["number"], event["started"])
    return list(starts.values())


def run_on_nodes(
    nodes: int, job: Job, space: Space, groups: int, workers: int, wait: float
) -> list[dict[str, Any]]:
    """Run it on a cluster in which every node has room for its share of the groups alone."""
    os.environ.update(ENVIRONMENT)
    os.environ["RAY_AUTH_MODE"] = "disabled"  # a cluster of this process alone, gone with it
    share = -(-groups // nodes) * workers  # a CPU for each worker: Ray knows no node with a part of one
    head = {"num_cpus": 0, "object_store_memory": 10**8}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=share, object_store_memory=10**8)
        cluster.wait_for_nodes()
        ray.init(address=cluster.address, log_to_driver=False, runtime_env={"env_vars": dict(ENVIRONMENT)})
        return run(job, space, GroupShape(workers, 1.0, 0.0), groups, wait)
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.pop("RAY_AUTH_MODE")


def run(job: Job, space: Space, shape: GroupShape, groups: int, wait: float) -> list[dict[str, Any]]:
    """Run the search on a Ray that has been started; its journal."""
    records, deadline = Records(job.run_dir, job.objective, EPOCHS), Deadline(math.inf)
    records.open_session(time.time(), groups * shape.workers, groups)
    display = Display(records, space.search.trials, math.inf, Console(file=io.StringIO()))
    monitor = Monitor(records, Board(job.board), display, deadline, drop_all_but_best)
    trainable = tune.with_parameters(make_trial(wait), job=job, space=space, shape=shape)
    part = search_part(space, deadline, monitor, lambda: groups)
    run_parts(part, trainable, space.search.trials, deadline)
    return [json.loads(line) for line in (job.run_dir / "journal.jsonl").read_text().splitlines()]


def drop_all_but_best(records: Records, ended: TrialRecord) -> None:
    """Keep checkpoints as a search does; there are no scores of images."""
    drop_useless(records, but=records.best)


def make_trial(wait: float) -> type[DetectorTrial]:
    """Make the project's trial with workers that sleep."""

    class WaitingTrial(DetectorTrial):
        def _start_group(self) -> search.workers.WorkerGroup:
            search.workers.serve = partial(wait_for_commands, wait)
            return super()._start_group()

    return WaitingTrial


def wait_for_commands(wait: float, config: dict[str, Any]) -> None:
    """Training function of every worker: answers as one that trains, after a while."""
    from ray import train

    rank, mailbox, job = train.get_context().get_world_rank(), config["mailbox"], config["job"]
    folds = job.folds[rank :: config["shape"].workers]
    while (command := ray.get(mailbox.next.remote(rank))) is not None:
        ray.get(mailbox.answer.remote(rank, answer(command, job, folds, wait)))


def answer(command: tuple[Any, ...], job: Job, folds: Sequence[Fold], wait: float) -> Any:
    """What a worker says."""
    if command[0] == "epoch":
        time.sleep(wait)
        scores = {name: Scores(0.5, 0.5, 0.5, 0.5, 0.5, 8) for name in job.search}
        return {fold.name: FoldResult(scores, 0.7, wait / len(folds), 0.0, math.nan, None) for fold in folds}
    if command[0] == "save":
        command[1].mkdir(parents=True, exist_ok=True)
        written = [command[1] / f"{fold.name}.safetensors" for fold in folds]
        for path in written:
            path.write_bytes(bytes(2**20))
        return {name: checksum for path in written for name, checksum in secure(path).items()}
    return None


if __name__ == "__main__":
    main()
