"""The whole way on a tiny embedded data set: Ray Tune, Ray Train, Optuna, records, TensorBoard, report."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import optuna
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genimage_core.data.layout import find_generators
from genimage_core.data.mini import MiniSettings, ensure_mini
from genimage_core.detectors.checkpoint import load_detector, read_info

REPOSITORY = Path(__file__).parents[2]
EPOCHS = 3
SPACE = {
    "name": "tiny",
    "data": {"image_size": 32, "train_per_class": 24, "val_per_class": 8, "format_alignment": "none"},
    "protocol": {"search": ["sd14", "biggan"], "sealed": ["midjourney", "vqdm"]},
    "detector": {"name": "swin_nano", "base": "generator:sd14"},
    "training": {"epochs": EPOCHS, "batch_size": 16, "learning_rate": 1e-3},
    "base_training": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3},
    "search": {"trials": 2, "scheduler": "none", "objective": "off_family_accuracy"},
    "resources": {"workers_per_trial": 2},
    "space": {
        "mask_kind": "ring",
        "mask_radius": {"low": 0.1, "high": 0.3},
        "noise_scale": {"low": 0.1, "high": 0.3},
        "freeze_depth": {"low": 0, "high": 2, "type": "int"},
    },
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data_root(cache):
    """A tiny embedded data set whose sealed generators cannot be read."""
    root = ensure_mini(cache, MiniSettings(image_size=32, train_per_class=48, val_per_class=16))
    for name, folder in find_generators(root, ["midjourney", "vqdm"]).items():
        for path in folder.rglob("*.*"):
            path.write_bytes(f"sealed {name}".encode())
            path.chmod(0)
    return root


class Run:
    """`search/run.py` as a user starts it, with its output read as it comes."""

    def __init__(self, space: dict, root: Path, out: Path, cache: Path, **variables: str) -> None:
        file = out.with_suffix(".yaml")
        file.write_text(yaml.safe_dump(space))
        command = [sys.executable, "search/run.py", "--space", file, "--data", root, "--out", out]
        environment = {**os.environ, "GENIMAGE_CACHE": str(cache), **variables}
        self.lines: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            list(map(str, command)),
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append((time.time(), line))

    @property
    def text(self) -> str:
        return "".join(line for _, line in self.lines)

    def wait_for(self, pattern: str, seconds: float) -> float:
        """Return when a line matching `pattern` came."""
        limit = time.time() + seconds
        while time.time() < limit:
            for at, line in list(self.lines):
                if re.search(pattern, line):
                    return at
            assert self.process.poll() is None or self._reader.is_alive(), self.text
            time.sleep(0.1)
        raise AssertionError(f"no line matches {pattern!r} within {seconds} s:\n{self.text}")

    def finish(self, seconds: float = 400) -> int:
        code = self.process.wait(seconds)
        self._reader.join(30)
        return code


def descendants(pid: int) -> list[tuple[int, str]]:
    """Every process below `pid` with its command line, from /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            found.append((child, command))
            waiting.append(child)
    return found


def read_records(run_dir: Path) -> list[dict]:
    records = [json.loads(line) for line in (run_dir / "trials.jsonl").read_text().splitlines()]
    return sorted(records, key=lambda record: record["number"])


def study_of(run_dir: Path) -> optuna.Study:
    return optuna.load_study(study_name="tiny", storage=f"sqlite:///{run_dir / 'study.db'}")


@pytest.fixture(scope="module")
def finished(data_root, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "search"
    # Not pytest's folder: Ray's sockets have a limit on the length of their path.
    with tempfile.TemporaryDirectory(prefix="e-") as temporary:
        run = Run(SPACE, data_root, out, cache, TMPDIR=temporary)
        assert run.finish() == 0, run.text
        assert not list(Path(temporary).glob("genimage-*")), "Ray's temporary folder was left behind"
    return out, run


def test_every_trial_is_recorded_alike_everywhere(finished):
    run_dir, _ = finished
    records = read_records(run_dir)
    assert [(r["number"], r["role"], r["state"]) for r in records] == [
        (0, "baseline", "completed"),
        (1, "searched", "completed"),
    ]
    rows = list(csv.DictReader((run_dir / "trials.csv").open()))
    trials = study_of(run_dir).trials
    for record, row, trial in zip(records, rows, trials, strict=True):
        assert [epoch["epoch"] for epoch in record["epochs"]] == [1, 2, 3]
        value = record["epochs"][-1]["off_family_accuracy"]
        assert float(row["off_family_accuracy"]) == value == trial.value
        assert trial.state.name == "COMPLETE"
        assert trial.params == record["config"]
        assert list(trial.intermediate_values.values()) == [
            epoch["off_family_accuracy"] for epoch in record["epochs"]
        ]
    assert records[0]["config"] == {}
    assert 0.1 <= records[1]["config"]["mask_radius"] <= 0.3


def test_the_matrix_covers_the_search_generators_and_only_those(finished):
    run_dir, _ = finished
    for record in read_records(run_dir):
        matrix = record["epochs"][-1]["matrix"]
        assert set(matrix) == {"sd14", "biggan"}
        assert all(set(row) == {"sd14", "biggan"} for row in matrix.values())
        # The base knows sd14, so only sd14's detector has a left-out generator.
        assert record["epochs"][-1]["off_family_accuracy"] == matrix["sd14"]["biggan"]["accuracy"]
        assert matrix["sd14"]["biggan"]["images"] == 16


def test_tensorboard_holds_curves_pictures_and_hyperparameters(finished):
    run_dir, _ = finished
    for name in ("trial_0000", "trial_0001"):
        events = EventAccumulator(str(run_dir / "tensorboard" / name), size_guidance={"tensors": 0})
        events.Reload()
        tags = events.Tags()
        assert [s.step for s in events.Scalars("metric/off_family_accuracy")] == [1, 2, 3]
        assert "accuracy/sd14/biggan" in tags["scalars"]
        assert any(tag.startswith("augmented/") for tag in tags["images"])
        assert "_hparams_/session_start_info" in events.summary_metadata


def test_the_run_directory_is_complete(finished):
    run_dir, run = finished
    for name in ("space.yaml", "environment.json", "timing.json", "best.yaml"):
        assert (run_dir / name).stat().st_size > 0
    timing = json.loads((run_dir / "timing.json").read_text())
    assert 0 < timing["goodput"] <= 1
    assert timing["startup_s"] < timing["first_result_s"] <= timing["wall_s"]
    environment = json.loads((run_dir / "environment.json").read_text())
    assert environment["simulated"] is True
    assert environment["protocol"]["sealed"] == ["midjourney", "vqdm"]
    page = (run_dir / "report" / "index.html").read_text()
    assert "imulated" in page and "<svg" in page
    assert not (run_dir / "checkpoints").exists()
    assert "Traceback" not in run.text


def test_the_winner_can_be_used_and_retrained(finished, data_root, cache, tmp_path):
    run_dir, _ = finished
    info = read_info(run_dir / "best" / "biggan.safetensors")
    assert (info.detector, info.generators, info.simulated) == ("swin_nano", ("sd14", "biggan"), True)
    load_detector(run_dir / "best" / "biggan.safetensors")
    best = yaml.safe_load((run_dir / "best.yaml").read_text())
    run = Run(best, data_root, tmp_path / "again", cache)
    assert run.finish() == 0, run.text
    first, again = read_records(run_dir), read_records(tmp_path / "again")
    winner = max(first, key=lambda r: (r["epochs"][-1]["off_family_accuracy"], -r["number"]))
    assert again[-1]["epochs"][-1]["matrix"] == winner["epochs"][-1]["matrix"]


@pytest.fixture
def long_run(data_root, cache, tmp_path):
    """A search of twelve short epochs per trial, ended with the test whatever happens."""
    space = {**SPACE, "training": {**SPACE["training"], "epochs": 12}}
    run = Run(space, data_root, tmp_path / "killed", cache)
    yield run
    if run.process.poll() is None:
        run.process.terminate()
        run.finish(60)


def test_a_killed_worker_is_noticed_and_its_trial_goes_on(long_run, tmp_path):
    run = long_run
    run.wait_for(r"trial +0 epoch 2/", 300)
    workers = [pid for pid, command in descendants(run.process.pid) if "RayTrainWorker" in command]
    assert len(workers) == 2, descendants(run.process.pid)
    os.kill(workers[0], signal.SIGKILL)
    killed = time.time()
    noticed = run.wait_for(r"trial +\d starts again", 60)
    assert noticed - killed <= 15, f"noticed after {noticed - killed:.1f} s"
    processes = {pid for pid, _ in descendants(run.process.pid)}
    assert run.finish() == 0, run.text
    records = read_records(tmp_path / "killed")
    assert [record["state"] for record in records] == ["completed", "completed"]
    assert sum(record["retries"] for record in records) == 1
    for record in records:
        assert [epoch["epoch"] for epoch in record["epochs"]] == list(range(1, 13))
    assert [trial.state.name for trial in study_of(tmp_path / "killed").trials] == ["COMPLETE"] * 2
    left = [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert not left, f"processes left behind: {left}"
