"""How the cost of a search grows: with images, folds, trials and workers, each with the exponent that fits.

python -m tests.benchmarks.cost [--repeats 3] [--out FILE]

Seconds are proportional to a power of the number: 1 is linear, 2 square; of workers side by side -1 is ideal.
Images and folds: an epoch of a trial in one worker on random images, trained and evaluated on all search
generators. Trials: CPU seconds of the driver until so many trials have ended, whose trainings are a closed
form (see `driver`). Workers: seconds of a search of as many trials, side by side, whose workers sleep instead
of training (see `waiting`). Linux only, as `driver` is. Prints JSON.
"""

import search  # noqa: F401  # before Ray, which would start every process with `uv run` else

# isort: split

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search.cluster import ray_session
from search.folds import FoldWorker
from search.space import Space, settle
from tests.benchmarks import driver, waiting
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.results import publish
from tests.benchmarks.small_search import make_job, make_space

IMAGES = (50, 100, 200, 400)  # of each class of a generator, to train on
FOLDS = (2, 4, 8)
TRIALS = (100, 200, 400, 800)
GROUPS = (1, 2, 4)
VALIDATION = 50
SLEEP_S, SHARED_TRIALS = 2.0, 12


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "command": f"python -m tests.benchmarks.cost --repeats {arguments.repeats}",
        "machine": describe_machine(),
        "images": fitted(
            {n: epoch_s(make_space(1, 1, n, validation=VALIDATION), arguments.repeats) for n in IMAGES}
        ),
        "folds": fitted(
            {n: epoch_s(make_space(1, 1, VALIDATION, generators=n), arguments.repeats) for n in FOLDS}
        ),
        "trials": fitted(driver_s()),
        "workers": fitted({n: search_s(n) for n in GROUPS}),
    }
    publish(result, arguments.out)


def fitted(seconds: Mapping[int, float]) -> dict[str, Any]:
    """Seconds by number, and the power of the number that they go with (least squares of the logarithms)."""
    numbers = np.array(list(seconds), dtype=float)
    exponent = np.polyfit(np.log(numbers), np.log(list(seconds.values())), 1)[0]
    return {
        "seconds": {str(n): round(s, 3) for n, s in seconds.items()},
        "exponent": round(float(exponent), 3),
    }


def epoch_s(space: Space, repeats: int) -> float:
    """Seconds of an epoch of all folds in one worker: the median, after one that warms up."""
    with tempfile.TemporaryDirectory(prefix="cost-") as folder:
        job = make_job(Path(folder), space)
        worker = FoldWorker(job, 0, 1, torch.device("cpu"))
        times = []
        for _ in range(repeats + 1):
            worker.load(settle(space, {"noise_scale": 0.5}), job.seed)
            started = time.perf_counter()
            worker.epoch(0)
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def driver_s() -> dict[int, float]:
    """CPU seconds of the driver from its first trial's end until so many have ended."""
    with tempfile.TemporaryDirectory(prefix="cost-") as folder:
        run_dir = Path(folder) / "run"
        with ray_session(None, run_dir):
            used = driver.run(run_dir, max(TRIALS) + 1).cpu_s
    return {n: used[n] - used[0] for n in TRIALS}


def search_s(groups: int) -> float:
    """Seconds of a search of as many trials on so many groups of one worker."""
    return float(waiting.measure(groups, 1, 1, SHARED_TRIALS // groups, SLEEP_S)["wall_s"])


if __name__ == "__main__":
    main()
