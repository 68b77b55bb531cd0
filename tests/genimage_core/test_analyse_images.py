"""The effect of the number of training images on a small tree, as a user asks for it."""

import csv
import json
import shlex

import numpy as np
import pytest

from genimage_core.__main__ import main
from genimage_core.analysis import learning
from genimage_core.analysis.image_counts import nested

SMALL = ["--detector", "swin_nano", "--base", "scratch", "--image-size", 32, "--epochs", 2, "--batch-size", 4]
COUNTS = ["--counts", "2,3,6"]


@pytest.fixture
def root(tmp_path, write_tree, monkeypatch):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    return write_tree(tmp_path / "GenImage", ["sd14", "sd15", "adm", "glide"], train=6, val=4)


@pytest.fixture
def call(root, tmp_path, capsys):
    def call(*more, code=0):
        out = tmp_path / "out"
        words = [
            "analyse",
            "images",
            "--data",
            root,
            "--train-on",
            "sd14",
            *SMALL,
            *COUNTS,
            "--out",
            out,
            *more,
        ]
        assert main([*map(str, words)]) == code
        captured = capsys.readouterr()
        return (captured.out if code == 0 else captured.err), out

    return call


@pytest.fixture
def learnt(monkeypatch):
    """Labels and rows of what every detector learns, epoch by epoch, in place of training it."""
    seen, real = [], learning.train_detector

    def spy(name, images, training, **options):
        seen.append((options["seed"], options["epoch_images"], images))
        return real(name, images, training, **options)

    monkeypatch.setattr(learning, "train_detector", spy)
    return seen


def test_detectors_of_all_numbers_take_the_same_steps_on_nested_images(call, learnt):
    said, out = call("--seeds", 2, "--epochs", 1)
    assert [(seed, len(images.labels)) for seed, _, images in learnt] == [
        (seed, size) for seed in (0, 1) for size in (4, 6, 12)
    ]
    for start in (0, 3):
        few, more, most = (set(images.rows.tolist()) for _, _, images in learnt[start : start + 3])
        assert few < more < most and all(images.labels.mean() == 0.5 for _, _, images in learnt)
    assert {asked for _, asked, _ in learnt} == {12}
    record = json.loads((out / "images.json").read_text())
    runs = [run for one in record["counts"] for run in one["by_seed"]]
    assert {run["steps"] for run in runs} == {3} and sorted({run["passes"] for run in runs}) == [1, 2, 3]
    assert "Every detector took 3 steps" in said and "sd14" in said and "SIMULATED" not in said


def test_with_equal_epochs_fewer_images_mean_fewer_steps_and_that_is_said(call, learnt):
    said, out = call("--seeds", 1, "--equal", "epochs")
    assert {asked for _, asked, _ in learnt} == {None}
    record = json.loads((out / "images.json").read_text())
    steps = {one["images_per_class"]: one["by_seed"][0]["steps"] for one in record["counts"]}
    assert steps == {2: 2, 3: 4, 6: 6} and {one["by_seed"][0]["passes"] for one in record["counts"]} == {2}
    assert "are not told apart here" in said and "One seed: the intervals are over test images only" in said


def test_the_numbers_are_those_of_the_detectors_and_can_be_made_again(call):
    _, out = call("--seeds", 2, "--epochs", 1, "--counts", "2,6")
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(first) == {"images.csv", "images.json", "images.svg"}
    record = json.loads(first["images.json"])
    assert record["off_family"] == ["adm", "glide"] and record["data"]["simulated"] is False
    for one in record["counts"]:
        scores = [run["scores"] for run in one["by_seed"]]
        assert one["in_domain"]["by_seed"] == pytest.approx([s["sd14"]["accuracy"] for s in scores])
        off = [np.mean([s[name]["accuracy"] for name in ("adm", "glide")]) for s in scores]
        assert one["off_family"]["by_seed"] == pytest.approx(off, abs=1e-4)
        assert one["off_family"]["low"] <= one["off_family"]["value"] <= one["off_family"]["high"]
    with (out / "images.csv").open(encoding="utf-8") as file:
        rows = {(row["images_per_class"], row["tested_on"]): row for row in csv.DictReader(file)}
    assert len(rows) == 2 * 6
    assert float(rows["6", "sd15"]["value"]) == record["counts"][1]["by_generator"]["sd15"]["value"]
    words = shlex.split(record["command"])
    assert all(word in record["command"] for word in ("--equal steps", "--test-per-class 4", "--crop centre"))
    assert main(words[3:]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_a_choice_of_images_has_equally_many_reals_and_fakes():
    labels = np.repeat([0, 1], [30, 20])
    for count in (1, 7, 20):
        chosen = nested(labels, count, seed=0)
        assert np.bincount(labels[chosen]).tolist() == [count, count] and len(set(chosen)) == 2 * count
    assert nested(labels, 5, 0).tolist() != nested(labels, 5, 1).tolist()


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--counts", "2,7"], "--counts must be at most 6: so many images there are"),
        (["--counts", "1,2"], "--counts must be whole numbers of at least 2, separated by commas"),
        (["--counts", "2,x"], "--counts must be whole numbers"),
        (["--train-on", "vqdm"], "lacks vqdm"),
        (["--test-per-class", 5], "--test-per-class must be at least 2 and at most 4"),
        (["--seeds", 0], "--seeds must be at least 1"),
        (["--detector", "swin"], "detector.name must be one of"),
        (["--base", "imagenet"], "base imagenet exists for"),
        (["--generators", "sd14,sd15"], "no off-family generator"),
        (["--epochs", 0], "epochs must be at least 1"),
    ],
)
def test_a_wrong_call_is_one_line(call, more, named):
    error, out = call(*more, code=2)
    assert named in error and error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()
