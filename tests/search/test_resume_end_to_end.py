"""Searches that are cut off for real and go on: as if nothing had happened."""

import json
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from run_process import descendants, read_records, study_of

TIMES = ("train_s", "eval_s", "busy_s", "wait_s")


@pytest.fixture(scope="module")
def longer(space):
    """Five trials, of which early stopping ends some."""
    search = {**space["search"], "trials": 5, "scheduler": "asha", "grace_period": 1, "reduction_factor": 2}
    return {**space, "search": search, "training": {**space["training"], "epochs": 4}}


@pytest.fixture
def temporary():
    # Not pytest's folder: Ray's sockets have a limit on the length of their path.
    with tempfile.TemporaryDirectory(prefix="r-") as folder:
        yield Path(folder)


def without_times(run_dir):
    records = read_records(run_dir)
    for record in records:
        del record["retries"]
        for epoch in record["epochs"]:
            for name in TIMES:
                del epoch[name]
    return records


def outcomes(run_dir):
    """What Optuna knows, but for the time of day."""
    return [
        (trial.number, trial.state.name, trial.value, trial.params, trial.intermediate_values)
        for trial in study_of(run_dir).trials
    ]


def kill(run):
    """End the driver without a word; the processes that were below it, which must end by themselves."""
    below = [pid for pid, _ in descendants(run.process.pid)]
    os.kill(run.process.pid, signal.SIGKILL)
    run.finish(30)
    return below


def wait_for_the_end(pids):
    limit = time.time() + 90  # Ray's agents try for a minute to tell the driver that it is dead
    while left := [pid for pid in pids if alive(pid)]:
        assert time.time() < limit, f"processes left behind: {left}"
        time.sleep(0.2)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_search_that_is_killed_twice_gives_what_an_undisturbed_one_gives(longer, start, launch, temporary):
    straight, straight_dir = start(longer)
    assert straight.finish() == 0, straight.text
    states = {record["state"] for record in read_records(straight_dir)}
    assert states == {"completed", "stopped"}, "the search must stop something early to show anything"

    run, run_dir = start(longer, TMPDIR=str(temporary))
    run.wait_for(r"trial +0 epoch 2/", 300)
    killed = kill(run)
    again = launch("--resume", run_dir, TMPDIR=str(temporary))
    again.wait_for(r"trial +2 epoch 1/", 300)
    killed += kill(again)
    last = launch("--resume", run_dir, TMPDIR=str(temporary))
    assert last.finish() == 0, last.text
    assert without_times(run_dir) == without_times(straight_dir)
    assert outcomes(run_dir) == outcomes(straight_dir)
    assert not list(temporary.glob("genimage-*")), "temporary folders were left behind"
    wait_for_the_end(killed)
    report, undisturbed = (
        json.loads((folder / "report" / "report.json").read_text()) for folder in (run_dir, straight_dir)
    )
    assert report["best"]["trial"] == undisturbed["best"]["trial"]
    assert (run_dir / "best" / "sd14.safetensors").read_bytes() == (
        straight_dir / "best" / "sd14.safetensors"
    ).read_bytes()
    timing = json.loads((run_dir / "timing.json").read_text())
    assert timing["sessions"] == 3 and 0 < timing["goodput"] <= 1
    environment = json.loads((run_dir / "environment.json").read_text())
    assert len(environment["resumed"]) == 2


@pytest.mark.slow
def test_a_search_that_was_ended_goes_on_and_then_is_extended(longer, start, launch):
    undisturbed, undisturbed_dir = start({**longer, "search": {**longer["search"], "trials": 4}})
    assert undisturbed.finish() == 0, undisturbed.text
    run, run_dir = start({**longer, "search": {**longer["search"], "trials": 3}})
    run.wait_for(r"trial +0 epoch 1/", 300)
    run.process.send_signal(signal.SIGINT)
    assert run.finish(60) == 130, run.text
    assert [record["state"] for record in read_records(run_dir)] == ["interrupted"]
    assert launch("--resume", run_dir, "--trials", "3").finish() == 0
    assert not (run_dir / "checkpoints").exists()
    extended = launch("--resume", run_dir, "--trials", "4")
    assert extended.finish() == 0, extended.text
    assert "search.trials: 3 then, 4 now" in extended.text
    assert without_times(run_dir) == without_times(undisturbed_dir)
    assert outcomes(run_dir) == outcomes(undisturbed_dir)
    assert launch("--resume", run_dir).finish() == 0, (
        "nothing is left to do, so only the report is made again"
    )
