"""What the process that searches spends on a trial: CPU seconds, and memory as trials add up.

python -m tests.benchmarks.driver [--trials 2000] [--out FILE]

Runs the project's own search (Ray Tune, Optuna, early stopping, journal, TensorBoard) on trials that only
compute a closed form. Prints JSON. Linux only (memory is read from /proc).
"""

import search  # noqa: F401  # before Ray, which would start every process with `uv run` else

# isort: split

import argparse
import itertools
import os
import resource
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from ray import tune
from rich.console import Console

from genimage_core.metrics import Scores
from search.board import Board
from search.cluster import ray_session
from search.display import Display
from search.job import EpochTable
from search.monitor import Monitor, keep_best
from search.records import METRICS, Records, TrialRecord
from search.scheduler import Deadline
from search.space import Space
from search.study import STATES
from search.tuning import run_parts, search_part
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.results import publish, quartiles

EPOCHS = 3
GENERATORS = ("sd14", "glide", "biggan", "adm")
WARM = 200  # trials after which memory should not grow any more


class ClosedForm(tune.Trainable):  # type: ignore[misc]
    """Reports what a trial of four folds reports, without training anything."""

    def setup(self, config: dict[str, Any]) -> None:
        """Begin a trial."""
        self._config, self._epoch = config, 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial on."""
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Highest where the noise is 0.4, and growing with the epochs."""
        self._epoch += 1
        noise = self._config["params"].get("noise_scale", 0.0)
        value = 0.9 - (noise - 0.4) ** 2 - 0.1 / self._epoch
        scores = Scores(value, value, value, value, value, 1000)
        return {
            **dict.fromkeys(METRICS, value),
            **dict.fromkeys(("train_s", "eval_s", "busy_s", "wait_s", "train_loss"), 0.001),
            "started": time.time(),
            "epoch": self._epoch,
            "done": self._epoch >= EPOCHS,
            "table": EpochTable(
                {fold: {name: asdict(scores) for name in GENERATORS} for fold in GENERATORS},
                dict.fromkeys(GENERATORS, 0.5),
            ),
        }

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Save the epoch."""
        return {"epoch": self._epoch}

    def load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on."""
        self._epoch = checkpoint["epoch"]


class Watched(Records):
    """Records that note CPU seconds and memory of this process at every end of a trial."""

    def __init__(self, run_dir: Path, objective: str) -> None:
        super().__init__(run_dir, objective, EPOCHS)
        self.cpu_s: list[float] = []
        self.memory_mb: list[float] = []

    def finish(self, number: int, **how: Any) -> TrialRecord:
        """Settle a trial."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.cpu_s.append(usage.ru_utime + usage.ru_stime)
        self.memory_mb.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20)
        return super().finish(number, **how)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="driver-") as folder:
        result = measure(Path(folder) / "run", arguments.trials)
    publish(result, arguments.out)


def measure(run_dir: Path, trials: int) -> dict[str, Any]:
    """Run a search and sum up what it cost."""
    machine = describe_machine()
    with ray_session(None, run_dir):
        started, cpu_before = time.time(), time.process_time()
        records = run(run_dir, trials)
        wall_s, cpu_s = time.time() - started, time.process_time() - cpu_before
    return {
        "command": f"python -m tests.benchmarks.driver --trials {trials}",
        "machine": machine,
        "trials": trials,
        "epochs": sum(record.reached for record in records.in_order()),
        "wall_s_per_trial": wall_s / trials,
        "driver_cpu_s_per_trial": cpu_s / trials,
        "driver_cpu_s_of_a_trial": quartiles([b - a for a, b in itertools.pairwise(records.cpu_s)]),
        "driver_cpu_s_per_trial_by_quarter": _quarters(records.cpu_s),
        "memory_mb": {
            "after_200_trials": records.memory_mb[min(WARM, trials) - 1],
            "end": records.memory_mb[-1],
            "kb_per_trial_between": _growth_kb(records.memory_mb),
        },
        "states": {state: records.count(state) for state in ("completed", "stopped", "failed", "running")},
        "study_agrees": _agrees(run_dir, records),
    }


def run(run_dir: Path, trials: int) -> Watched:
    """Run a search, on a Ray that has been started."""
    run_dir.mkdir(parents=True, exist_ok=True)
    space = Space(
        name="driver",
        protocol={"search": GENERATORS},
        detector={"base": "generator:sd14"},
        training={"epochs": EPOCHS},
        search={"trials": trials},
        space={"noise_scale": {"low": 0.0, "high": 1.0}, "phase_perturb_prob": {"low": 0.0, "high": 1.0}},
    )
    records = Watched(run_dir, space.search.objective)
    deadline = Deadline(float("inf"))
    records.open_session(time.time(), 1, 1)
    with Path(os.devnull).open("w") as nowhere:
        display = Display(records, trials, deadline.at, Console(file=nowhere))
        monitor = Monitor(records, Board(run_dir / "tensorboard"), display, deadline, keep_best)
        run_parts(search_part(space, deadline, monitor, lambda: 1), ClosedForm, trials, deadline)
    return records


def _growth_kb(memory_mb: list[float]) -> float | None:
    """Growth of memory by trial after the first `WARM`."""
    after = memory_mb[WARM - 1 :]
    return 1024 * (after[-1] - after[0]) / (len(after) - 1) if len(after) > 1 else None


def _quarters(cpu_s: list[float]) -> list[float]:
    """CPU seconds a trial in each quarter of the search: constant if nothing grows."""
    quarter = len(cpu_s) // 4
    ends = [cpu_s[max(0, part * quarter - 1)] for part in range(5)]
    return [(after - before) / quarter for before, after in itertools.pairwise(ends)]


def _agrees(run_dir: Path, records: Records) -> bool:
    study = optuna.load_study(study_name="driver", storage=f"sqlite:///{run_dir / 'study.db'}")
    found = [(trial.number, trial.state, trial.value) for trial in study.get_trials(deepcopy=False)]
    expected = [(r.number, STATES[r.state], r.value(records.objective)) for r in records.in_order()]
    return found == expected


if __name__ == "__main__":
    main()
