"""`export` as a user types it: what it writes, what it says, and that nothing wrong is kept."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from genimage_core.__main__ import main
from genimage_core.detectors import onnx_graph
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import build_detector
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.detectors.onnx_check import open_session, run_session

pytestmark = pytest.mark.usefixtures("one_thread")
INFO = CheckpointInfo("swin_nano", 32, ("glide",), temperature=0.5)


def save(path, seed=0, **changes):
    save_checkpoint(path, build_detector("swin_nano", image_size=32, seed=seed), replace(INFO, **changes))
    return path


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / "glide.safetensors")


@pytest.fixture
def images(tmp_path):
    """Six images in two folders."""
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.jpg", "c.png", "deep/d.png", "deep/e.jpg", "deep/f.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    return tmp_path / "images"


def run(capsys, *arguments, code=0):
    assert main(["export", *map(str, arguments)]) == code
    return capsys.readouterr()


def test_the_file_scores_as_predict_does(capsys, images, tmp_path):
    best, out = tmp_path / "best", tmp_path / "made" / "a.onnx"
    for seed in (1, 2):
        save(best / f"{seed}.safetensors", seed, temperature=0.1 * seed)
    said = run(capsys, best, "--out", out, "--data", images)
    assert "2 detectors, the mean of their logits" in said.out and "temperature 0.1, 0.2" in said.out
    assert f"6 images of {images}, each alone and all together" in said.out and said.err == ""
    session, pngs = open_session(out), sorted(images.rglob("*.png"))
    pixels = np.stack([np.asarray(Image.open(path))[4:36, 4:36] for path in pngs])
    logits, _ = run_session(session, pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    assert main(["predict", str(best), *map(str, pngs)]) == 0
    expected = [json.loads(line)["logit"] for line in capsys.readouterr().out.splitlines()]
    assert np.ptp(expected) > 1e-2
    assert logits == pytest.approx(expected, abs=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["temperature"]) == [0.1, 0.2]


@pytest.mark.slow
def test_several_checkpoints_may_be_named(capsys, checkpoint, tmp_path):
    other = save(tmp_path / "adm.safetensors", 3, generators=("adm",), temperature=None, simulated=True)
    said = run(capsys, checkpoint, other, "--out", tmp_path / "a.onnx", "--images", 2).out
    assert "made with images of: glide, adm (SIMULATED" in said and said.count("not calibrated") == 1
    found = open_session(tmp_path / "a.onnx").get_modelmeta().custom_metadata_map
    assert (found["generators"], found["simulated"], found["temperature"]) == (
        '["glide", "adm"]',
        "true",
        "null",
    )


def test_that_no_image_was_given_is_said(capsys, checkpoint, tmp_path):
    said = run(capsys, checkpoint, "--out", tmp_path / "a.onnx", "--images", 3).out
    assert "3 images of random pixels, not of --data" in said


@pytest.mark.slow
def test_as_many_images_as_are_asked_for_are_drawn_and_bad_ones_told(capsys, checkpoint, images, tmp_path):
    said = run(capsys, checkpoint, "--out", tmp_path / "a.onnx", "--data", images, "--images", 4)
    assert f"4 images of {images}" in said.out
    (images / "bad.png").touch()
    said = run(capsys, checkpoint, "--out", tmp_path / "a.onnx", "--data", images)
    assert f"6 images of {images}" in said.out and said.err == f"left out: {images / 'bad.png'}: zero bytes\n"


@pytest.mark.slow
def test_what_differs_is_not_kept_and_what_was_there_is(capsys, checkpoint, tmp_path, monkeypatch):
    out = tmp_path / "out" / "a.onnx"
    run(capsys, checkpoint, "--out", out, "--images", 2)
    before = out.read_bytes()

    def wrong(self, images):
        logits = self.detector(images) + 0.01
        return logits, torch.sigmoid(logits)

    monkeypatch.setattr(onnx_graph._Scorer, "forward", wrong)
    for path in (out, out.with_name("new.onnx")):
        error = run(capsys, checkpoint, "--out", path, "--images", 2, code=1).err
        assert "not kept: its logits differ from PyTorch's by up to 0.01" in error and error.count("\n") == 1
    assert [path.name for path in out.parent.iterdir()] == ["a.onnx"] and out.read_bytes() == before
    run(capsys, checkpoint, "--out", out, "--images", 2, "--tolerance", 0.1)


def test_without_its_libraries_it_is_one_clear_line(capsys, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    error = run(capsys, checkpoint, "--out", tmp_path / "a.onnx", code=2).err
    assert error.count("\n") == 1 and "onnxruntime" in error and "uv run --extra onnx" in error


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--out", "a.safetensors"), "--out must be a file called .onnx"),
        (("--out", "a.onnx", "--images", "0"), "--images must be at least 1"),
        (("--out", "a.onnx", "--seed", "-1"), "--seed must be 0 or more"),
        (("--out", "a.onnx", "--tolerance", "nan"), "--tolerance must be above 0"),
        (("--out", "a.onnx", "--data", "nowhere"), "none could be read in nowhere"),
    ],
)
def test_a_call_that_is_not_possible_is_refused(capsys, checkpoint, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    assert said in run(capsys, checkpoint, *given, code=2).err
    assert not (tmp_path / "a.onnx").exists()
    assert "its detectors are in" in run(capsys, _run_folder(tmp_path), "--out", "a.onnx", code=2).err


def _run_folder(tmp_path):
    (tmp_path / "run" / "best").mkdir(parents=True)
    return tmp_path / "run"
