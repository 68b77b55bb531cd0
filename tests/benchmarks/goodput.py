"""Where every second of a search goes, from the command to the report.

python -m tests.benchmarks.goodput [--space spaces/fft.yaml] [--epochs N] [--cache DIR] [--out FILE]

Runs `search/run.py` in a process of its own and reads what it wrote down; all phases follow one another and
add up to the whole. Without --cache data and base weights are made first, in a folder of its own; with
`--epochs 1` every trial has one epoch, where what is not training hurts most. Prints JSON to stdout.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.machine import describe_machine
from tests.benchmarks.results import publish

Journal = list[dict[str, Any]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", type=Path, default=Path("spaces/fft.yaml"))
    parser.add_argument("--epochs", type=int, help="of every trial; default: as the space says")
    parser.add_argument("--cache", type=Path, help="folder of data and base weights that are there already")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="goodput-") as folder:
        result = measure(arguments.space, arguments.epochs, arguments.cache, Path(folder))
    epochs = f" --epochs {arguments.epochs}" if arguments.epochs else ""
    cached = " --cache CACHE" if arguments.cache else ""
    result = {
        "command": f"python -m tests.benchmarks.goodput --space {arguments.space}{epochs}{cached}",
        **result,
    }
    publish(result, arguments.out)


def measure(space: Path, epochs: int | None, cache: Path | None, folder: Path) -> dict[str, Any]:
    """Run the search and take its time apart."""
    run_dir = folder / "run"
    command = [
        sys.executable,
        "search/run.py",
        "--space",
        str(adapt(space, epochs, folder)),
        "--out",
        str(run_dir),
    ]
    environment = {**os.environ, "GENIMAGE_CACHE": str(cache or folder / "cache")}
    started = time.time()
    with (folder / "output.txt").open("w") as output:
        subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=True)
    ended = time.time()
    search, finalists = (read_journal(run_dir / part) for part in (".", "finalists"))
    summary = run_dir / "finalists.json"
    seal = json.loads(summary.read_text())["seal"] if summary.exists() else None
    opened = datetime.fromisoformat(seal["opened"]).timestamp() if seal else None
    report = (run_dir / "report" / "index.html").stat().st_mtime
    timing = json.loads((run_dir / "timing.json").read_text())
    return {
        "machine": describe_machine(),
        "wall_s": round(ended - started, 1),
        "phases_s": phases(started, ended, search, finalists, opened, report),
        "search": work(search) | {"goodput": round(timing["goodput"], 4)},
        "finalists": work(finalists),
        "first_result_s": round(first(search, "epoch")["at"] - started, 1),
        "beyond_training_s_per_trial": round(timing["overhead_per_trial_s"], 3),
        "trials": len([event for event in search if event["event"] == "end"]),
    }


def adapt(space: Path, epochs: int | None, folder: Path) -> Path:
    """Write the space with another number of epochs, if one is asked for."""
    if epochs is None:
        return space
    content = yaml.safe_load(space.read_text())
    for part in (content, content.get("embedded", {})):
        part.setdefault("training", {})["epochs"] = epochs
    path = folder / space.name
    path.write_text(yaml.safe_dump(content))
    return path


def read_journal(run_dir: Path) -> Journal:
    """Read every event; none if there are none."""
    path = run_dir / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def first(journal: Journal, kind: str) -> dict[str, Any]:
    """The first event of a kind."""
    return next(event for event in journal if event["event"] == kind)


def phases(
    started: float,
    ended: float,
    search: Journal,
    finalists: Journal,
    opened: float | None,
    report: float,
) -> dict[str, float]:
    """Seconds of what follows one another; together the whole."""
    marks = [
        ("until the first step: Python, Ray, data, base weights, workers", first(search, "epoch")["started"])
    ]
    marks.append(("search", search[-1]["at"]))
    if finalists:
        marks.append(("until the first step of the finalists", first(finalists, "epoch")["started"]))
        marks.append(("finalists", finalists[-1]["at"]))
    if opened:
        marks.append(("until the seal is opened", max(opened, marks[-1][1])))
    marks.append(("tests, end of Ray, report", report))
    marks.append(("end of Python", ended))
    times = [started, *(at for _, at in marks)]
    return {name: round(end - begin, 1) for (name, end), begin in zip(marks, times, strict=False)}


def work(journal: Journal) -> dict[str, float]:
    """Seconds of training and evaluation of all workers, and how many epochs these were."""
    epochs = [event["epoch"] for event in journal if event["event"] == "epoch"]
    return {
        "epochs": len(epochs),
        "train_s": round(sum(epoch["train_s"] for epoch in epochs), 1),
        "eval_s": round(sum(epoch["eval_s"] for epoch in epochs), 1),
    }


if __name__ == "__main__":
    main()
