"""Finalists of a real search: nothing sealed is needed before the end, and nothing is done twice."""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from run_process import write_space

from genimage_core.data.layout import find_layout
from genimage_core.data.mini import MiniSettings, ensure_mini
from genimage_core.degrade import DEGRADATIONS

SEALED = ("midjourney", "vqdm")
TESTS = 6


@pytest.fixture(scope="module")
def small(space):
    training = {**space["training"], "epochs": 2}
    finalists = {"top": 1, "seeds": 2, "test_per_class": TESTS}
    return {**space, "training": training, "finalists": finalists}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A tiny embedded data set of which everything can be read."""
    folder = tmp_path_factory.mktemp("whole")
    return ensure_mini(folder, MiniSettings(image_size=32, train_per_class=48, val_per_class=16))


@pytest.fixture
def temporary():
    # Not pytest's folder: Ray's sockets have a limit on the length of their path.
    with tempfile.TemporaryDirectory(prefix="f-") as folder:
        yield Path(folder)


def break_sealed(root):
    for place in find_layout(root, SEALED).places:
        for path in place.folder.iterdir():
            path.write_bytes(b"sealed")


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.parquet"))
    }


def test_the_seal_is_opened_last_and_what_is_done_stays_done(launch, small, whole, temporary, tmp_path):
    broken, out = tmp_path / "GenImage", tmp_path / "run"
    shutil.copytree(whole, broken)
    break_sealed(broken)
    options = ("--space", write_space(small, tmp_path / "a.yaml"), "--data", broken, "--out", out)
    first = launch(*options, TMPDIR=str(temporary))
    assert first.finish() == 1, first.text
    assert "midjourney val: 6 of 6 nature images cannot be decoded" in first.text
    summary = json.loads((out / "finalists.json").read_text())
    assert [run["state"] for run in summary["runs"]] == ["completed"] * 4
    assert summary["seal"]["generators"] == [*SEALED]
    journal = (out / "finalists" / "journal.jsonl").read_text()

    shutil.copytree(whole, broken, dirs_exist_ok=True)
    again = launch("--resume", out, TMPDIR=str(temporary))
    assert again.finish() == 0, again.text
    assert (out / "finalists" / "journal.jsonl").read_text() == journal, "nothing is trained again"
    assert json.loads((out / "finalists.json").read_text())["seal"] == summary["seal"]
    check_scores(out, summary)
    assert (out / "best" / "sd14.safetensors").read_bytes() == (
        out / "finalists" / "best" / "sd14.safetensors"
    ).read_bytes()

    code_of_more = launch("--resume", out, "--trials", "9", TMPDIR=str(temporary))
    assert code_of_more.finish() == 2 and "--warm-start" in code_of_more.text


def check_scores(out, summary):
    images = pd.read_parquet(out / "scores" / "images.parquet")
    tested = images[images.part != "val"]
    assert set(tested[tested.part == "sealed"].generator) == {*SEALED}
    assert (tested.groupby(["part", "generator", "label"]).size() == TESTS).all()
    assert not set(images[images.part == "val"].path) & set(tested.path)
    assert images.cluster.str.match(r"\d{6}_\w+").all(), "images of one scene belong together"
    scores = {path.stem: pd.read_parquet(path) for path in (out / "finalists" / "scores").glob("*.parquet")}
    winner = summary["configurations"][1]["name"]
    assert set(scores) == {f"{name}_seed_{draw}" for name in ("baseline", winner) for draw in (0, 1)}
    keys = ["fold", "generator", "part", "image"]
    for table in scores.values():
        assert table[keys].equals(scores["baseline_seed_0"][keys]) and table.logit.notna().all()
        assert len(table) == 2 * len(tested) == 2 * 4 * 2 * TESTS
    assert not scores["baseline_seed_0"].logit.equals(scores["baseline_seed_1"].logit)
    check_robustness(out / "finalists" / "robustness", set(scores))
    for trial in (0, 1):
        table = pd.read_parquet(out / "scores" / f"trial_000{trial}.parquet")
        assert len(table) == 2 * (images.part == "val").sum() and set(table.epoch) == {2}


def check_robustness(folder, trainings):
    """Every detector on degraded test images of the generator that it was trained on."""
    tables = {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    assert set(tables) == trainings
    for table in tables.values():
        assert (table.fold == table.generator).all() and table.logit.notna().all()
        assert set(table.degradation) == set(DEGRADATIONS)
        assert len(table) == 2 * len(DEGRADATIONS) * 2 * TESTS


@pytest.mark.slow
def test_finalists_that_are_killed_go_on_to_the_same_scores(launch, small, whole, temporary, tmp_path):
    one_at_a_time = {**small, "resources": {"workers_per_trial": 2, "cpus_per_worker": 1}}
    space = write_space(one_at_a_time, tmp_path / "a.yaml")
    options = ("--space", space, "--data", whole, "--out")
    straight = launch(*options, tmp_path / "straight", TMPDIR=str(temporary))
    assert straight.finish() == 0, straight.text
    killed = launch(*options, tmp_path / "killed", TMPDIR=str(temporary))
    killed.wait_for(r"training   2 epoch 1", 300)
    killed.process.kill()
    killed.finish(60)
    again = launch("--resume", tmp_path / "killed", TMPDIR=str(temporary))
    assert again.finish() == 0, again.text
    assert digests(tmp_path / "killed/finalists/scores") == digests(tmp_path / "straight/finalists/scores")


@pytest.mark.slow
def test_finalists_can_be_had_later(launch, small, whole, temporary, tmp_path):
    space, out = write_space(small, tmp_path / "a.yaml"), tmp_path / "run"
    search = launch("--space", space, "--data", whole, "--out", out, "--no-finalists", TMPDIR=str(temporary))
    assert search.finish() == 0 and not (out / "finalists.json").exists()
    timing = (out / "timing.json").read_text()
    records = (out / "trials.jsonl").read_text()
    later = launch("--finalists-only", out, TMPDIR=str(temporary))
    assert later.finish() == 0, later.text
    check_scores(out, json.loads((out / "finalists.json").read_text()))
    assert (out / "timing.json").read_text() == timing and (out / "trials.jsonl").read_text() == records
