"""Ray itself: its own instance on one machine or an existing cluster, and how many trials fit on it."""

import logging
import math
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants

from search.capacity import GroupShape, fitting_workers, living_nodes
from search.errors import last_line
from search.project_code import gather_code
from search.scratch import scratch_folder
from search.sections import ResourcesSection

OBJECT_STORE_BYTES = 256 * 2**20  # configurations and scores; images travel through the page cache
TRIAL_MEMORY_BYTES = 64 * 2**20  # a trial actor reserves memory instead of a CPU: it only waits
MAX_CPU_TRIALS = 4
ROOM_FOR_LOGS_BYTES = 256 * 2**20
CONNECT_S = 30.0
START_ATTEMPTS = 3

# Ray reads these in every process, so they go into the driver and into the runtime environment.
ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "1",  # a dead worker is noticed within two of these
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less per group
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "180",  # importing torch on a slow disk takes its time
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that spin while they wait starve the other processes
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # paths stay what the user wrote
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our own records and TensorBoard stand in
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # nobody reads Ray Tune's own state: a search resumes from its records
    "TUNE_ONLY_STORE_CHECKPOINT_SCORE_ATTRIBUTE": "1",  # not the whole result beside each checkpoint
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is the search's own to handle
    "TUNE_WARN_THRESHOLD_S": "60",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "PYTHONWARNINGS": "ignore",
}


@dataclass(frozen=True)
class ResourcePlan:
    """How a search spreads over the machines.

    Attributes:
        shape: What the worker group of one trial occupies.
        concurrent: Trials at the same time, at least one; as many groups fit for certain.
        base_cpus: CPUs that a task on one machine can have before the first trial starts.
    """

    shape: GroupShape
    concurrent: int
    base_cpus: float = 1.0


@contextmanager
def ray_session(address: str | None, run_dir: Path) -> Iterator[list[dict[str, float]]]:
    """Start Ray on this machine, or join the cluster at `address`, and leave it at the end.

    An instance of its own has its own temporary folder, listens on loopback only, also when another Ray runs
    beside it, and wants a token that its own processes know. The logs go to `run_dir/logs` at the end, if
    there is such a run directory by then.

    Yields:
        The resources of every living node.

    Raises:
        ConnectionError: If there is no cluster at `address`, or one of another Ray or Python.
    """
    os.environ.update(ENVIRONMENT)
    if address:
        _require_ray(os.environ.get("RAY_ADDRESS", address) if address == "auto" else address)
    with scratch_folder() as folder:
        try:
            if address:
                _join(address, folder)
            else:
                _start_own(folder)
            _log_to_file(folder / "driver.log")
            yield living_nodes()
        finally:
            try:
                ray.shutdown()
            finally:
                if run_dir.exists():
                    with suppress(OSError):
                        _keep_logs(folder, run_dir / "logs")


def _start(where: Mapping[str, Any], **environment: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    ray.init(runtime_env={"env_vars": dict(ENVIRONMENT), **environment}, **where, **quiet)


def _start_own(folder: Path) -> None:
    """Start our own instance; once more where the machine was too busy for the 30 s that Ray grants."""
    for attempts_left in reversed(range(START_ATTEMPTS)):
        try:
            return _start(_own_instance(folder))
        except Exception as error:  # Ray has no class of its own for it
            if not attempts_left or "timed out during startup" not in str(error):
                raise
            ray.shutdown()


def _join(address: str, folder: Path) -> None:
    try:
        _start({"address": address}, working_dir=str(gather_code(folder / "code")))
    except RuntimeError as error:  # Ray tells on several lines that versions differ
        reason = " ".join(str(error).split())
        raise ConnectionError(f"cannot join Ray at --address {address}: {reason}") from error


def _require_ray(address: str) -> None:
    # Joining what is not there, Ray would try for minutes and talk about it.
    if reason := status_error(address):
        raise ConnectionError(
            f"cannot join Ray at --address {address} (write auto or HOST:PORT of a running cluster): {reason}"
        )


def status_error(address: str, **variables: str) -> str:
    """Ask a cluster how it is; empty if it answers, else why not.

    Args:
        address: `auto` or HOST:PORT.
        variables: Put into the environment of the one that asks.
    """
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    environment = {**os.environ, **variables}
    try:
        subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=CONNECT_S
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {CONNECT_S:.0f} s"
    except subprocess.CalledProcessError as error:
        return last_line(error.stderr)
    return ""


def _own_instance(folder: Path) -> dict[str, Any]:
    # On Linux, Ray replaces the loopback address by the machine's own and listens on every interface. The
    # switch that it has for other systems keeps it to loopback; it was read when ray was imported.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    _require_token()
    return {
        "address": "local",
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_temp_dir": str(folder),
        "_node_ip_address": "127.0.0.1",
    }


def _require_token() -> None:
    """Let an instance of its own obey only who knows a token, whatever was set for other clusters.

    Ray itself would write one into the home folder, where every user of the machine can read it.
    """
    os.environ.pop("RAY_AUTH_MODE", None)  # where nothing is said, a new instance wants a token
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def _log_to_file(path: Path) -> None:
    # Ray talks a lot; the terminal belongs to the search's own display.
    logger = logging.getLogger("ray")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(logging.FileHandler(path))
    logger.propagate = False


def _keep_logs(folder: Path, log_folder: Path) -> None:
    if shutil.disk_usage(log_folder.parent).free < ROOM_FOR_LOGS_BYTES:
        return  # the report matters more
    log_folder.mkdir(exist_ok=True)
    for logs in folder.glob("session_2*/logs"):
        shutil.copytree(logs, log_folder, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    if (log := folder / "driver.log").exists():
        shutil.copy(log, log_folder)


def plan_resources(
    nodes: Sequence[Mapping[str, float]], section: ResourcesSection, folds: int, trials: int
) -> ResourcePlan:
    """Decide how many workers a trial gets, how big, and how many trials run at the same time.

    `auto`: with GPUs, one worker on one GPU per trial, and several workers side by side only when there are
    at least twice as many GPUs as trials; without, one worker per fold as far as the cores go.

    Args:
        nodes: Resources of every node (`CPU`, `GPU`).
        section: What the space file asks for.
        folds: Detectors per trial.
        trials: Trials of the search.

    Raises:
        ValueError: If not even one trial fits.
    """
    cpus, gpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU"))
    gpus_per_worker = _given(section.gpus_per_worker, 1.0 if gpus >= 1 else 0.0)
    useful = [node for node in nodes if node.get("GPU", 0.0) >= gpus_per_worker]
    useful_cpus = int(sum(node.get("CPU", 0.0) for node in useful))
    slots = int(gpus / gpus_per_worker) if gpus_per_worker else useful_cpus
    automatic = max(1, min(folds, slots // trials if gpus_per_worker else slots))
    workers = int(_given(section.workers_per_trial, automatic))
    side_by_side = max(1, min(trials, MAX_CPU_TRIALS, slots // workers))
    fair = _fair_cpus(useful, gpus_per_worker, max(1, slots) if gpus_per_worker else workers * side_by_side)
    shape = GroupShape(workers, _given(section.cpus_per_worker, fair), gpus_per_worker)
    groups = min(trials, fitting_workers(nodes, shape) // workers)
    if groups < 1:
        raise ValueError(
            f"one trial needs {workers} workers with {shape.cpus:g} CPUs and {shape.gpus:g} GPUs each, but "
            f"the machines have {cpus:g} CPUs and {gpus:g} GPUs; lower resources in the space file"
        )
    most = max(node.get("CPU", 0.0) for node in useful)
    return ResourcePlan(shape, groups, shape.cpus if shape.gpus else min(most, shape.cpus * workers))


def _given(value: str | float, automatic: float) -> float:
    return automatic if isinstance(value, str) else float(value)


def _fair_cpus(nodes: Sequence[Mapping[str, float]], gpus_per_worker: float, wanted: int) -> float:
    """The most whole CPUs a worker can have when `wanted` of them are to fit; no worker spans two nodes."""
    average = math.floor(sum(node.get("CPU", 0.0) for node in nodes) / wanted)
    fits = (
        cpus
        for cpus in range(average, 1, -1)
        if fitting_workers(nodes, GroupShape(wanted, cpus, gpus_per_worker)) >= wanted
    )
    return float(next(fits, 1))
