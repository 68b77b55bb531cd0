"""How soon a search has found a good configuration, against plain random search on the same machine and time.

python -m tests.benchmarks.time_to_good [--seeds 3] [--minutes 6] [--out FILE]

Ours is the space file as it is: TPE, early stopping, trials that start from weights trained on one generator
(their training counts), stages of the detector frozen or not as the search likes. Plain is the same space
searched at random, every trial from random weights, for as many epochs as base and trial have together, with
nothing frozen and none stopped early. Both start with the images decoded and nothing else. What counts is the
accuracy on generators of families that neither the detector nor the base has seen, on the same cells of the
matrix for both, of the trial that led its search at the time. Simulated data. Prints JSON.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean, median
from typing import Any

import yaml

from tests.benchmarks.goodput import first, read_journal
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.results import publish

SPACE = Path("spaces/fft.yaml")
ENDLESS = 10_000  # trials: the time ends it
Curve = list[tuple[float, float]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=6.0, help="from the start of the command")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="good-") as folder:
        result = {
            "command": f"python -m tests.benchmarks.time_to_good --seeds {arguments.seeds} "
            f"--minutes {arguments.minutes:g}",
            "machine": describe_machine(),
            "simulated": True,
            **measure(arguments.seeds, 60 * arguments.minutes, Path(folder)),
        }
    publish(result, arguments.out)


def measure(seeds: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Run both searches for every seed, in turn, and sum up."""
    space = yaml.safe_load(SPACE.read_text())
    sides = {"ours": space, "plain": plain(space)}
    run("warm-up", {**space, "embedded": {**space["embedded"], "search": {"trials": 1}}}, 0, 1.0, folder)
    shutil.rmtree(folder / "cache" / "bases", ignore_errors=True)  # the images stay
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    cells: dict[str, list[str]] = {}
    for seed in range(seeds):
        for name, content in sides.items():
            started = time.time()
            run_dir = run(f"{name}-{seed}", content, seed, seconds, folder)
            cells = cells or off_family(run_dir)  # ours comes first and knows the base
            found[name].append(follow(run_dir, started, seconds, cells))
            shutil.rmtree(folder / "cache" / "bases", ignore_errors=True)
    return {"seconds": seconds, "searches": found, "median": compare(found)}


def plain(space: dict[str, Any]) -> dict[str, Any]:
    """The same space without what is to be judged."""
    embedded = space["embedded"]
    epochs = embedded["training"]["epochs"] + embedded["base_training"]["epochs"]
    parameters = {name: entry for name, entry in space["space"].items() if name != "freeze_depth"}
    return {
        **space,
        "space": parameters,
        "search": {**space["search"], "sampler": "random", "scheduler": "none"},
        "embedded": {
            **embedded,
            "detector": {**embedded["detector"], "base": "scratch"},
            "training": {**embedded["training"], "epochs": epochs},
        },
    }


def run(name: str, space: dict[str, Any], seed: int, seconds: float, folder: Path) -> Path:
    """Run one search without finalists; where it is."""
    file, run_dir = folder / f"{name}.yaml", folder / name
    file.write_text(yaml.safe_dump(space))
    command = [sys.executable, "search/run.py", "--space", str(file), "--out", str(run_dir), "--no-finalists"]
    if name != "warm-up":
        command += ["--seed", str(seed), "--trials", str(ENDLESS), "--time-budget", f"{seconds:.0f}s"]
    environment = {**os.environ, "GENIMAGE_CACHE": str(folder / "cache")}
    with (folder / f"{name}.txt").open("w") as output:
        subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    if not (run_dir / "journal.jsonl").exists():
        raise RuntimeError((folder / f"{name}.txt").read_text())
    return run_dir


def off_family(run_dir: Path) -> dict[str, list[str]]:
    """Generators that count, by fold."""
    protocol = json.loads((run_dir / "environment.json").read_text())["protocol"]
    return {fold["name"]: fold["off_family"] for fold in protocol["folds"]}


def follow(run_dir: Path, started: float, seconds: float, cells: dict[str, list[str]]) -> dict[str, Any]:
    """What the search had at every time, and how many trials that took."""
    journal = read_journal(run_dir)
    objective = json.loads((run_dir / "environment.json").read_text())["objective"]
    last: dict[int, dict[str, Any]] = {}
    curve: Curve = []
    best = 0.0
    for event in journal:
        if event["event"] == "epoch":
            last[event["number"]] = event["epoch"]
        if event["event"] != "end" or event["state"] != "completed" or event["at"] > started + seconds:
            continue
        epoch = last[event["number"]]
        if epoch[objective] > best:
            best = epoch[objective]
            curve.append((round(event["at"] - started, 1), round(judge(epoch["matrix"], cells), 4)))
    states = [event["state"] for event in journal if event["event"] == "end"]
    return {
        "first_step_s": round(first(journal, "epoch")["started"] - started, 1),
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "curve": curve,
    }


def judge(matrix: dict[str, dict[str, dict[str, float]]], cells: dict[str, list[str]]) -> float:
    """Mean over folds of the mean accuracy on the generators that count."""
    return fmean(
        fmean(matrix[fold][name]["accuracy"] for name in names) for fold, names in cells.items() if names
    )


def compare(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians over seeds: value at the end, and when ours had what plain had at its end."""
    ends = {name: [_last(one["curve"]) for one in searches] for name, searches in found.items()}
    reached = [
        next((at for at, value in ours["curve"] if value >= goal), None)
        for ours, goal in zip(found["ours"], ends["plain"], strict=True)
    ]
    return {
        **{f"{name}_at_the_end": median(values) for name, values in ends.items()},
        "ours_has_what_plain_ends_with_after_s": reached,
    }


def _last(curve: Curve) -> float:
    return curve[-1][1] if curve else 0.5  # nothing completed: chance


if __name__ == "__main__":
    main()
