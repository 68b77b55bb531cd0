"""`evaluate` on small trees, as a user types it."""

import json

import numpy as np
import pytest
from PIL import Image

from genimage_core.__main__ import main
from genimage_core.baseline_tables import describe_cell
from genimage_core.commands import evaluate as command
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import build_detector, load_detector
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.evaluation import predict
from genimage_core.metrics import score
from genimage_core.settings import DataSettings

METRICS = ("accuracy", "real_accuracy", "fake_accuracy", "average_precision", "auroc")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path, write_tree):
    write_tree(tmp_path / "data", ["adm"], val=5)
    return write_tree(tmp_path / "data", ["glide"], val=7)


@pytest.fixture
def checkpoint(tmp_path):
    def write(size=32, **facts):
        path = tmp_path / f"{size}.safetensors"
        info = CheckpointInfo("swin_nano", size, ("glide",), **facts)
        save_checkpoint(path, build_detector("swin_nano", image_size=size), info)
        return path

    return write


def run(capsys, *words, code=0):
    assert main(["evaluate", *map(str, words)]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_every_score_has_its_interval(capsys, root, cache, checkpoint, tmp_path):
    path, out = checkpoint(), tmp_path / "scores.json"
    said = run(capsys, path, "--data", root, "--out", out)
    row = json.loads(out.read_text())[str(path)]["none"]["glide"]
    images = load_images(find_layout(root), "glide", "val", DataSettings(32, 3, 5, "none"), 0, cache)
    logits = predict(load_detector(path), images)
    expected, plain = describe_cell(logits, images.labels, 0), score(logits, images.labels)
    for name in METRICS:
        found = getattr(expected, name)
        assert (row[name], row[f"{name}_low"], row[f"{name}_high"]) == (found.value, found.low, found.high)
        assert row[name] == pytest.approx(getattr(plain, name))
        assert f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]" in said
    assert "AUROC" in said and "AP" in said and "95 %" in said


def test_by_default_it_takes_what_every_generator_has(capsys, root, checkpoint, tmp_path, monkeypatch):
    out = tmp_path / "scores.json"
    assert "5 images of each class" in run(capsys, checkpoint(), "--data", root, "--out", out)
    assert {row["images"] for row in scores_of(out).values()} == {10}
    monkeypatch.setattr(command, "PER_CLASS", 4)
    assert "of each class" not in run(capsys, checkpoint(), "--data", root, "--out", out)
    assert {row["images"] for row in scores_of(out).values()} == {8}


def scores_of(out):
    [tracks] = json.loads(out.read_text()).values()
    return tracks["none"]


def test_by_default_it_counts_the_reals_of_the_sizes_of_its_training(capsys, root, checkpoint, tmp_path):
    for number in range(2):
        folder = root / "ADM" / "imagenet_ai_0508_adm" / "val" / "nature"
        Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(folder / f"{number:03d}.png")
    out = tmp_path / "scores.json"
    run(capsys, checkpoint(real_size=(30, 50)), "--data", root, "--out", out)
    assert {row["images"] for row in scores_of(out).values()} == {6}


def test_too_many_images_name_the_option(capsys, root, checkpoint):
    said = run(capsys, checkpoint(), "--data", root, "--per-class", 6, code=2)
    assert "adm has 5 val images" in said and "--per-class" in said and said.count("\n") == 1
    assert "--per-class must be at least 2" in run(
        capsys, checkpoint(), "--data", root, "--per-class", 1, code=2
    )


def test_simulated_images_and_detectors_are_called_so(capsys, root, checkpoint, tmp_path):
    out = tmp_path / "scores.json"
    assert "SIMULATED" not in run(capsys, checkpoint(), "--data", root, "--out", out)
    assert not any(row["simulated"] or row["trained_on_simulated"] for row in scores_of(out).values())
    (root / "CARD.md").write_text("# mini: a SIMULATED data set")
    said = run(capsys, checkpoint(simulated=True), "--data", root, "--out", out)
    assert "trained on SIMULATED glide; tested on SIMULATED" in " ".join(said.split())
    assert all(row["simulated"] and row["trained_on_simulated"] for row in scores_of(out).values())
    (root / "CARD.md").unlink()
    said = run(capsys, checkpoint(simulated=True), "--data", root)
    assert "SIMULATED glide" in said and "tested on" not in said


def test_members_of_several_sizes_are_refused_before_anything_is_scored(
    capsys, root, checkpoint, cache, monkeypatch
):
    monkeypatch.setattr(command, "_score", lambda *_: pytest.fail("scored"))
    said = run(capsys, checkpoint(32), checkpoint(64), "--ensemble", "--data", root, code=2)
    assert "image_size 64" in said and not cache.exists()
