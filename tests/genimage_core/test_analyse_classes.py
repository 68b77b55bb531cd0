"""Image-class generalisation on a small tree named as GenImage's is."""

import csv
import json
import shlex

import numpy as np
import pytest
from PIL import Image

from genimage_core.__main__ import main
from genimage_core.analysis import learning
from genimage_core.data.imagenet_class import synsets

SMALL = ["--detector", "swin_nano", "--base", "scratch", "--image-size", 32, "--epochs", 1, "--batch-size", 4]
SIZES = ["--classes", "1,2", "--train-images", 4, "--test-images", 4]
INDICES = (3, 207, 594, 999)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Four classes of ImageNet, each of its own brightness; reals that tell none are brighter still."""
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "GenImage" / "stable_diffusion_v_1_4" / "imagenet_ai_0419_sdv4" / "train"
    rng = np.random.default_rng(0)
    for label in ("nature", "ai"):
        (folder / label).mkdir(parents=True)
        for place, index in enumerate(INDICES):
            for number in range(8):
                name = (
                    f"{synsets()[index]}_{number}.png"
                    if label == "nature"
                    else f"{index:03d}_sdv4_{number}.png"
                )
                pixels = 50 * place + rng.integers(0, 20, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / label / name)
    Image.new("RGB", (32, 32), "white").save(folder / "nature" / "ILSVRC2012_val_00000001.png")
    return tmp_path / "GenImage"


@pytest.fixture
def call(root, tmp_path, capsys):
    def call(*more, code=0):
        out = tmp_path / "out"
        words = [
            "analyse",
            "classes",
            "--data",
            root,
            "--train-on",
            "sd14",
            *SMALL,
            *SIZES,
            "--out",
            out,
            *more,
        ]
        assert main([*map(str, words)]) == code
        captured = capsys.readouterr()
        return (captured.out if code == 0 else captured.err), out

    return call


def classes_in(images):
    """The class of every image, by its brightness."""
    means = images.take(range(len(images.labels))).mean((1, 2, 3))
    return {synsets()[INDICES[round((mean - 10) / 50)]] for mean in means}


def test_pixels_of_other_classes_are_tested_and_equally_many_are_trained_on(call, monkeypatch):
    seen, real = [], learning.train_and_test

    def spy(settings, images, tests, seed, *rest):
        seen.append((seed, images, tests))
        return real(settings, images, tests, seed, *rest)

    monkeypatch.setattr("genimage_core.analysis.image_classes.train_and_test", spy)
    said, out = call("--seeds", 2)
    drawn = {one["seed"]: one for one in json.loads((out / "classes.json").read_text())["drawn"]}
    assert [seed for seed, _, _ in seen] == [0, 0, 1, 1]
    for place, (seed, images, tests) in enumerate(seen):
        count = (1, 2)[place % 2]
        assert classes_in(images) == classes_in(tests["seen"]) == set(drawn[seed]["seen"][:count])
        assert classes_in(tests["unseen"]) == set(drawn[seed]["unseen"])
        assert not set(drawn[seed]["seen"]) & set(drawn[seed]["unseen"])
        for one in (images, *tests.values()):
            assert np.bincount(one.labels).tolist() == [4, 4]
        assert not set(images.rows) & {*tests["seen"].rows, *tests["unseen"].rows}
    assert "Left out because their files tell no class: 1 reals, 0 fakes" in said


def test_the_numbers_are_those_of_the_detectors_and_can_be_made_again(call):
    said, out = call("--seeds", 2)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(first) == {"classes.csv", "classes.json", "classes.svg"}
    record = json.loads(first["classes.json"])
    for one in record["results"]:
        by_seed = [run["scores"] for run in one["by_seed"]]
        gaps = [scores["seen"]["accuracy"] - scores["unseen"]["accuracy"] for scores in by_seed]
        assert one["difference"]["by_seed"] == pytest.approx(gaps, abs=1e-4)
        assert one["difference"]["low"] <= one["difference"]["value"] <= one["difference"]["high"]
    with (out / "classes.csv").open(encoding="utf-8") as file:
        rows = {(row["classes"], row["tested_on"]): float(row["value"]) for row in csv.DictReader(file)}
    assert len(rows) == 6
    assert rows["2", "seen"] - rows["2", "unseen"] == pytest.approx(rows["2", "seen − unseen"], abs=2e-4)
    assert "in 2 steps" in said and "trained on 4 reals and 4 fakes" in said
    assert "--split train" in record["command"]
    assert main(shlex.split(record["command"])[3:]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_unreadable_images_are_left_out_or_too_many(call, root):
    for path in root.rglob("*_sdv4_0.png"):
        path.write_bytes(b"")
    call_of_one = ("--classes", 1, "--seeds", 1)  # which takes all images of its class
    assert "ai images cannot be decoded" in call(*call_of_one, code=2)[0]
    _, out = call(*call_of_one, "--max-bad-share", 0.5)
    record = json.loads((out / "classes.json").read_text())
    assert any("_sdv4_0.png: zero bytes" in bad for bad in record["data"]["left_out"])


def test_seeds_that_drew_the_same_classes_are_told(call, root):
    for index in INDICES[2:]:
        for path in root.rglob(f"{index:03d}_sdv4_*.png"):
            path.unlink()
    said, _ = call("--classes", 1, "--seeds", 2)
    assert "All seeds drew the same classes" in said
    said, _ = call("--classes", 1, "--seeds", 2, "--seed", 2)
    assert "All seeds drew the same classes" not in said


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--classes", "4"], "needs at least 5 image classes"),
        (["--train-images", 5], "the fullest has 8"),
        (["--classes", "1,5"], "--train-images must be at least 2, and one for every class"),
        (["--classes", "0"], "--classes must be whole numbers of at least 1"),
        (["--test-images", 1], "--test-images must be at least 2"),
        (["--split", "val"], "no val images"),
        (["--train-on", "adm"], "lacks adm"),
    ],
)
def test_a_wrong_call_is_one_line(call, more, named):
    error, out = call(*more, code=2)
    assert named in error and error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()


def test_files_that_tell_no_class_are_refused(tmp_path, write_tree, capsys):
    root = write_tree(tmp_path / "plain", ["adm"])
    words = ["analyse", "classes", "--data", str(root), "--train-on", "adm", *SMALL, *SIZES]
    assert main([*map(str, words), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "tell no image class that reals and fakes have in common" in error and error.count("\n") == 1
