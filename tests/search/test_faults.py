"""What goes wrong for real: killed workers, a training that cannot be, Ctrl-C, and time that runs out."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from run_process import descendants, matrices, read_records, study_of, write_space

from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import build_detector
from genimage_core.detectors.info import CheckpointInfo


def states(run_dir):
    return [record["state"] for record in read_records(run_dir)]


def test_a_killed_worker_is_noticed_and_its_trial_goes_on(finished, space, start):
    run, run_dir = start(space)
    run.wait_for(r"trial +0 epoch 2/", 300)
    workers = run.workers()
    assert len(workers) == 2, descendants(run.process.pid)
    os.kill(workers[0], signal.SIGKILL)
    killed = time.time()
    noticed = run.wait_for(r"trial +\d starts again", 60)
    assert noticed - killed <= 15, f"noticed after {noticed - killed:.1f} s"
    processes = {pid for pid, _ in descendants(run.process.pid)}
    assert run.finish() == 0, run.text
    assert states(run_dir) == ["completed", "completed"]
    assert sum(record["retries"] for record in read_records(run_dir)) == 1
    assert matrices(run_dir) == matrices(finished[0]), "not what an undisturbed search gives"
    assert [trial.state.name for trial in study_of(run_dir).trials] == ["COMPLETE"] * 2
    left = [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert not left, f"processes left behind: {left}"


@pytest.mark.slow
def test_a_worker_killed_between_two_trials(finished, space, start):
    run, run_dir = start(space)
    run.wait_for(r"trial +0 epoch 6/", 300)
    os.kill(run.workers()[1], signal.SIGKILL)
    assert run.finish() == 0, run.text
    assert states(run_dir) == ["completed", "completed"]
    assert matrices(run_dir) == matrices(finished[0])


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_ends_after_the_epoch_and_reports_what_there_is(finished, space, start, number):
    run, run_dir = start(space)
    run.wait_for(r"trial +1 starts", 300)
    processes = {pid for pid, _ in descendants(run.process.pid)}
    run.process.send_signal(number)
    assert run.finish(60) == 130, run.text
    assert "Traceback" not in run.text and "***" not in run.text
    assert states(run_dir) == ["completed", "interrupted"]
    cut_off = matrices(run_dir)[1]
    assert matrices(run_dir)[0] == matrices(finished[0])[0]
    assert 1 <= len(cut_off) < 6 and cut_off == matrices(finished[0])[1][: len(cut_off)]
    assert [trial.state.name for trial in study_of(run_dir).trials] == ["COMPLETE", "PRUNED"]
    report = json.loads((run_dir / "report" / "report.json").read_text())
    assert report["best"]["trial"] == 0 and (run_dir / "best" / "sd14.safetensors").exists()
    left = [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert not left, f"processes left behind: {left}"


@pytest.mark.slow
def test_ctrl_c_twice_ends_at_once(space, start):
    run, run_dir = start({**space, "training": {**space["training"], "epochs": 1000}})
    run.wait_for(r"trial +0 epoch 1/", 300)
    run.process.send_signal(signal.SIGINT)
    run.wait_for("once more: at once", 10)
    run.process.send_signal(signal.SIGINT)
    assert run.finish(60) == 130, run.text
    assert "Traceback" not in run.text
    assert states(run_dir) == ["interrupted"]
    assert [trial.state.name for trial in study_of(run_dir).trials] in (["FAIL"], ["PRUNED"])
    assert (run_dir / "report" / "index.html").exists()


@pytest.mark.slow
def test_training_that_cannot_be_fails_each_trial_and_keeps_the_workers(space, start, tmp_path):
    detector = build_detector("swin_nano", image_size=32)
    with torch.no_grad():
        next(detector.parameters()).fill_(torch.nan)
    broken = tmp_path / "broken.safetensors"
    # Of a generator that is not read here, so that nobody tests the base before it is trained.
    save_checkpoint(broken, detector, CheckpointInfo("swin_nano", 32, ("adm",), "none", True))
    run, run_dir = start({**space, "detector": {"name": "swin_nano", "base": f"checkpoint:{broken}"}})
    run.wait_for(r"trial +0 failed", 300)
    workers = set(run.workers())
    run.wait_for(r"trial +1 failed", 60)
    assert len(workers) == 2 and workers >= set(run.workers()), "the workers were started again"
    assert run.finish() == 1, run.text
    for record in read_records(run_dir):
        assert (record["state"], record["retries"], record["epochs"]) == ("failed", 0, [])
        assert re.search(r"loss is not finite at step \d+ of epoch 1", record["error"])
        assert "detector of sd14" in record["error"] and "detector of biggan" in record["error"]
        assert "Traceback" in (run_dir / "errors" / f"trial_{record['number']:04d}.log").read_text()
    assert re.search(r"  with .*mask_radius 0\.\d+.*\n  the full story: .*trial_0001.log", run.text)
    assert [trial.state.name for trial in study_of(run_dir).trials] == ["FAIL", "FAIL"]
    assert "no trial completed" in run.text and (run_dir / "report" / "index.html").exists()


@pytest.mark.slow
def test_the_time_budget_ends_trials_between_epochs(space, start):
    longer = {**space, "training": {**space["training"], "epochs": 1000}}
    run, run_dir = start(longer, "--time-budget", "40s")
    assert run.finish() == 1, run.text
    [record] = read_records(run_dir)
    assert record["state"] == "interrupted" and record["epochs"]
    [trial] = study_of(run_dir).trials
    assert trial.state.name == "PRUNED"
    assert list(trial.intermediate_values) == [epoch["epoch"] for epoch in record["epochs"]]
    assert "interrupted" in (run_dir / "report" / "report.md").read_text()


def process_of(run, name):
    [pid] = [pid for pid, command in descendants(run.process.pid) if name in command]
    return pid


@pytest.mark.slow
def test_a_killed_trial_gives_its_workers_back_and_goes_on(finished, space, start):
    run, run_dir = start(space)
    run.wait_for(r"trial +0 epoch 2/", 300)
    os.kill(process_of(run, "ray::ResourceTrainable"), signal.SIGKILL)
    killed = time.time()
    assert run.wait_for(r"trial +0 starts again", 60) - killed <= 15
    assert run.finish() == 0, run.text
    assert states(run_dir) == ["completed", "completed"]
    assert matrices(run_dir) == matrices(finished[0])


@pytest.mark.slow
def test_a_worker_that_hangs_is_taken_for_dead_after_the_limit(finished, space, start):
    limited = {**space, "resources": {**space["resources"], "hang_limit_s": 20}}
    run, run_dir = start(limited)
    run.wait_for(r"trial +0 epoch 2/", 300)
    hanging = run.workers()[0]
    os.kill(hanging, signal.SIGSTOP)
    stopped = time.time()
    noticed = run.wait_for(r"trial +0 starts again: .*hang: no sign of life for 2\d s", 120)
    assert 20 <= noticed - stopped <= 35
    assert run.finish() == 0, run.text
    assert states(run_dir) == ["completed", "completed"]
    assert matrices(run_dir) == matrices(finished[0])
    assert not Path(f"/proc/{hanging}").exists(), "the worker that hangs is still there"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with room for the records and few checkpoints."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=800m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("only root can mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder, leave):
    """Leave so many bytes, whatever the search writes or removes meanwhile."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while shutil.disk_usage(folder).free > leave:
            file.write(bytes(2**18 if leave else 2**12))
    return path


@pytest.mark.slow
def test_a_disk_that_fills_up_ends_the_search_and_it_goes_on_with_room(
    finished, space, launch, small_disk, data_root, tmp_path
):
    file, run_dir = write_space(space, tmp_path / "space.yaml"), small_disk / "run"
    run = launch("--space", file, "--data", data_root, "--out", run_dir)
    run.wait_for(r"trial +0 epoch 2/", 300)
    ballast = fill(small_disk, leave=120 * 2**20)  # two more checkpoints, not three
    assert run.finish(60) == 1, run.text
    assert re.search("no room for another checkpoint|No space left", run.text) and "--resume" in run.text
    assert states(run_dir)[-1] == "interrupted" and "failed" not in states(run_dir)
    ballast.unlink()
    again = launch("--resume", run_dir)
    assert again.finish() == 0, again.text
    assert states(run_dir) == ["completed", "completed"]
    assert matrices(run_dir) == matrices(finished[0])


@pytest.mark.slow
def test_a_disk_that_is_full_at_once_loses_nothing_that_was_noted(
    finished, space, launch, small_disk, data_root, tmp_path
):
    file, run_dir = write_space(space, tmp_path / "space.yaml"), small_disk / "run"
    run = launch("--space", file, "--data", data_root, "--out", run_dir)
    run.wait_for(r"trial +0 epoch 2/", 300)
    ballast = fill(small_disk, leave=0)
    assert run.finish(120) == 1, run.text
    assert "No space left" in run.text or "no room" in run.text
    ballast.unlink()
    again = launch("--resume", run_dir)
    assert again.finish() == 0, again.text
    assert states(run_dir) == ["completed", "completed"]
    assert matrices(run_dir) == matrices(finished[0])
