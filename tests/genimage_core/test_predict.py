"""`predict` as a user types it: calls, rows, calibration, alignment, and files that would stop it."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import expit

from genimage_core import prediction
from genimage_core.__main__ import main
from genimage_core.commands.predict import split_paths
from genimage_core.data.alignment import quality_of_unknown, target_quality
from genimage_core.data.pixels import decode
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import build_detector, load_detector
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.settings import ALIGNMENTS
from genimage_core.training import to_batch

pytestmark = pytest.mark.usefixtures("one_thread")
INFO = CheckpointInfo("swin_nano", 32, ("glide",), temperature=2.0)


def save(path, seed=0, **changes):
    save_checkpoint(path, build_detector("swin_nano", image_size=32, seed=seed), replace(INFO, **changes))
    return path


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / "glide.safetensors")


def paint(path, seed=0, **options):
    """A picture with strong structure, so that what is done to it shows in the logit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path, **options)
    return path


@pytest.fixture
def images(tmp_path):
    """Five images, two of them a folder deeper; what is hidden or no image by its name is passed over."""
    root = tmp_path / "images"
    names = ("b.png", "a.jpg", "z.PNG", "deep/c.png", "deep/er/d.png")
    for seed, name in enumerate((*names, ".hidden.png", "._b.png", ".git/e.png")):
        paint(root / name, seed)
    (root / "notes.txt").write_text("no image")
    return root


def run(capsys, *arguments, code=0):
    assert main(["predict", *map(str, arguments)]) == code
    return capsys.readouterr()


def rows(capsys, *arguments, code=0):
    return [json.loads(line) for line in run(capsys, *arguments, code=code).out.splitlines()]


def logit_of(checkpoint, pixels):
    with torch.no_grad():
        return float(load_detector(checkpoint).eval()(to_batch(pixels[None], torch.device("cpu"))))


# What is called, and what is written


def test_a_folder_is_scored_in_order_and_what_is_hidden_passed_over(capsys, checkpoint, images):
    found = rows(capsys, checkpoint, images)
    names = [Path(row["path"]).relative_to(images).as_posix() for row in found]
    assert names == ["a.jpg", "b.png", "z.PNG", "deep/c.png", "deep/er/d.png"]
    for row in found:
        logit = logit_of(checkpoint, decode(Path(row["path"]), 32)) / 2.0
        assert row["logit"] == pytest.approx(logit, abs=1e-5)
        assert row["probability"] == pytest.approx(expit(logit), abs=1e-5)
        assert row["verdict"] == ("fake" if logit > 0 else "real") and row["error"] is None


@pytest.mark.parametrize(
    ("given", "checkpoints", "paths"),
    [
        ("one x y", "one", "x y"),
        ("a.safetensors b.safetensors x", "a.safetensors b.safetensors", "x"),
        ("best x", "best/1.safetensors best/2.safetensors", "x"),
        ("best a.safetensors x", "best/1.safetensors best/2.safetensors a.safetensors", "x"),
    ],
)
def test_checkpoints_come_first(tmp_path, monkeypatch, given, checkpoints, paths):
    monkeypatch.chdir(tmp_path)
    Path("best").mkdir()
    for name in ("2.safetensors", "1.safetensors", "trial.json"):
        (Path("best") / name).touch()
    first, *others = map(Path, given.split())
    assert split_paths(first, others) == ([*map(Path, checkpoints.split())], [*map(Path, paths.split())])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a.safetensors b.safetensors", "PATH is missing"),
        ("a.safetensors x b.safetensors", "b.safetensors is a checkpoint; name it before"),
        ("empty x", "empty holds no checkpoint"),
        ("run x", "its detectors are in run/best"),
    ],
)
def test_a_call_that_is_not_clear_is_refused(capsys, tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    (Path("run") / "best").mkdir(parents=True)
    (Path("run") / "base.safetensors").touch()
    refused = run(capsys, *given.split(), code=2).err
    assert said in refused and refused.count("\n") == 1


def test_a_checkpoint_that_is_none_is_refused_before_any_row(capsys, images):
    refused = run(capsys, images / "notes.txt", images, code=2)
    assert "not a detector checkpoint" in refused.err and refused.out == ""


def test_the_three_formats_say_the_same(capsys, checkpoint, images, tmp_path):
    (images / "bad.png").write_bytes(b"")
    lines = rows(capsys, checkpoint, images, code=1)
    table = list(csv.DictReader(io.StringIO(run(capsys, checkpoint, images, "--format", "csv", code=1).out)))
    text = {key: "" if value is None else str(value) for key, value in lines[0].items()}
    assert table[0] == text and len(table) == len(lines) == 6
    shown = run(capsys, checkpoint, images, "--format", "table", code=1).out.splitlines()
    assert shown[0].split() == ["verdict", "probability", "image"] and len(shown) == 7
    assert shown[1].split() == [lines[0]["verdict"], f"{lines[0]['probability']:.4f}", lines[0]["path"]]
    assert f"error                 {images / 'bad.png'}: zero bytes" in shown


def test_a_terminal_is_shown_a_table(capsys, checkpoint, images, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run(capsys, checkpoint, images).out.startswith("verdict")


def test_a_file_is_written_in_the_format_of_its_name(capsys, checkpoint, images, tmp_path):
    said = run(capsys, checkpoint, images, "--out", tmp_path / "a.csv")
    assert said.out == "" and f"5 images scored, 0 not: {tmp_path / 'a.csv'}" in said.err
    assert (tmp_path / "a.csv").read_text().startswith("path,verdict,probability,logit,error\n")
    run(capsys, checkpoint, images, "--out", tmp_path / "a.jsonl")
    assert len([json.loads(line) for line in (tmp_path / "a.jsonl").open()]) == 5


# What the numbers mean


def test_an_ensemble_is_the_mean_of_its_members_calibrated_logits(capsys, images, tmp_path):
    best = tmp_path / "best"
    for number, temperature in enumerate((1.0, 2.0, 4.0)):
        save(best / f"{number}.safetensors", number, temperature=temperature)
    single = [rows(capsys, path, images) for path in sorted(best.iterdir())]
    said = run(capsys, best, images)
    for row, *members in zip(map(json.loads, said.out.splitlines()), *single, strict=True):
        mean = sum(member["logit"] for member in members) / 3
        assert row["logit"] == pytest.approx(mean, abs=1e-5)
    assert "mean of calibrated logits, itself not calibrated: temperature 1, 2, 4" in said.err
    assert "3 detectors" in said.err


def test_without_every_temperature_the_raw_logit_counts_and_that_is_said(capsys, images, tmp_path):
    hot, raw = save(tmp_path / "hot.safetensors", 1), save(tmp_path / "raw.safetensors", temperature=None)
    pixels = decode(images / "b.png", 32)
    said = run(capsys, raw, images / "b.png")
    assert json.loads(said.out)["logit"] == pytest.approx(logit_of(raw, pixels), abs=1e-5)
    assert said.err.count("not calibrated") == 1
    said = run(capsys, hot, raw, images / "b.png")
    mean = (logit_of(raw, pixels) + logit_of(hot, pixels)) / 2
    assert json.loads(said.out)["logit"] == pytest.approx(mean, abs=1e-5)
    assert said.err.count("not calibrated") == 1


def test_what_the_detector_is_and_expects_is_said_once(capsys, images, tmp_path):
    path = save(
        tmp_path / "a.safetensors",
        format_alignment="jpeg96",
        simulated=True,
        crop="resize",
        real_size=(8, 64),
    )
    said = run(capsys, path, images).err
    for text in (
        "detector: swin_nano, 32 px",
        "made with images of: glide (SIMULATED",
        "sides of 8 to 64 px",
        "crop: centre after the short side",
        "format alignment: jpeg96, applied",
        "probability: calibrated: temperature 2, fitted on validation images",
    ):
        assert said.count(text) == 1, text
    assert "SIMULATED" not in run(capsys, save(tmp_path / "b.safetensors"), images).err


def test_the_temperature_is_said_to_be_of_the_generators_that_it_was_fitted_on(capsys, images, tmp_path):
    tuned = {"generators": ("sd14", "adm"), "calibrated_on": ("adm",)}
    said = run(capsys, save(tmp_path / "a.safetensors", **tuned), images).err
    assert "made with images of: sd14, adm" in said and "fitted on validation images of adm, half" in said
    other = save(tmp_path / "b.safetensors", **{**tuned, "calibrated_on": ("sd14",)})
    said = run(capsys, tmp_path / "a.safetensors", other, images).err
    assert "fitted on validation images of adm, sd14, half" in said


def test_what_a_checkpoint_says_does_not_command_the_terminal(capsys, images, tmp_path):
    said = run(capsys, save(tmp_path / "a.safetensors", generators=("\x1b[31mred",)), images).err
    assert "\x1b" not in said and "\\x1b[31mred" in said


@pytest.mark.parametrize("changes", [{"real_size": (5,)}, {"real_size": ("a", "b")}, {"generators": "sd14"}])
def test_a_description_without_sense_is_refused_in_a_line(capsys, images, tmp_path, changes):
    said = run(capsys, save(tmp_path / "a.safetensors", **changes), images, code=2).err
    assert "is not a detector checkpoint" in said and said.count("\n") == 1


def test_members_that_see_other_images_are_refused(capsys, checkpoint, images, tmp_path):
    other = save(tmp_path / "other.safetensors", format_alignment="jpeg96_both")
    refused = run(capsys, checkpoint, other, images, code=2).err
    assert "format_alignment jpeg96_both" in refused and "other.safetensors" in refused


# Alignment


@pytest.mark.parametrize("alignment", ["none", "jpeg96", "jpeg96_both"])
@pytest.mark.parametrize(("label", "file_format"), [(0, "JPEG"), (1, "PNG")])
def test_files_as_genimage_has_them_are_aligned_as_in_evaluation(alignment, label, file_format):
    assert quality_of_unknown(alignment, file_format) == target_quality(alignment, "a", label)


def test_unknown_alignments_have_no_quality_and_all_known_ones_have():
    assert {quality_of_unknown(alignment, "WEBP") for alignment in ALIGNMENTS} == {None, 96}
    with pytest.raises(ValueError, match="png"):
        quality_of_unknown("png", "PNG")


@pytest.mark.parametrize("crop", ["centre", "random", "resize"])
@pytest.mark.parametrize(
    ("alignment", "name", "quality"),
    [
        ("none", "b.png", None),
        ("jpeg96", "b.png", 96),
        ("jpeg96", "a.jpg", None),
        ("jpeg96", "jpeg.png", None),  # what a file is, not what it is called
        ("jpeg96_both", "a.jpg", 96),
        ("match_quality", "b.png", 96),
    ],
)
def test_a_prediction_sees_what_evaluation_sees(capsys, images, tmp_path, alignment, name, quality, crop):
    paint(images / "jpeg.png", 9, format="JPEG")
    path = save(tmp_path / "a.safetensors", format_alignment=alignment, crop=crop)
    [row] = rows(capsys, path, images / name)
    seen = decode(images / name, 32, quality=quality, resize=crop == "resize")
    other = decode(images / name, 32, quality=None if quality else 96, resize=crop == "resize")
    assert row["logit"] == pytest.approx(logit_of(path, seen) / 2, abs=1e-6)
    assert abs(logit_of(path, other) / 2 - row["logit"]) > 1e-5  # so that the wrong one would be noticed


# Files that would stop it


def test_bad_files_have_a_row_each_and_the_good_ones_are_scored(capsys, checkpoint, images, monkeypatch):
    (images / "empty.png").touch()
    (images / "text.png").write_text("no image")
    os.mkfifo(images / "pipe.png")
    (images / "nowhere.png").symlink_to(images / "missing.png")
    (images / "loop").symlink_to(images)
    (images / "itself.png").symlink_to(images / "itself.png")
    found = rows(capsys, checkpoint, images, images / "gone.png", "/dev/zero", images / "nil" / "x", code=1)
    errors = {Path(row["path"]).name: row["error"] for row in found if row["error"]}
    assert errors == {
        "empty.png": "zero bytes",
        "text.png": "not an image",
        "pipe.png": "not an image",
        "nowhere.png": "No such file or directory",
        "itself.png": "Too many levels of symbolic links",
        "gone.png": "No such file or directory",
        "zero": "not an image",
        "x": "No such file or directory",
    }
    assert sum(row["probability"] is not None for row in found) == 5


def test_a_folder_without_an_image_is_told(capsys, checkpoint, images, tmp_path):
    (tmp_path / "none" / "inner").mkdir(parents=True)
    found = rows(capsys, checkpoint, tmp_path / "none", images / "b.png", code=1)
    assert [row["error"] for row in found] == ["a folder without an image", None]


def test_a_folder_that_cannot_be_read_is_told(capsys, checkpoint, images, monkeypatch):
    real = os.scandir

    def refusing(folder):
        if Path(folder).name == "deep":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    found = rows(capsys, checkpoint, images, code=1)
    assert [row["error"] for row in found] == [None] * 3 + ["a folder that cannot be read: Permission denied"]


@pytest.mark.parametrize("error", [MemoryError("all gone"), PermissionError(13, "Permission denied")])
def test_whatever_one_file_does_the_others_are_scored(capsys, checkpoint, images, monkeypatch, error):
    def failing(path, *arguments, **options):
        if path.name == "b.png":
            raise error
        return decode(path, *arguments, **options)

    monkeypatch.setattr(prediction, "decode", failing)
    found = rows(capsys, checkpoint, images, code=1)
    said = "MemoryError: all gone" if isinstance(error, MemoryError) else "Permission denied"
    assert [row["error"] for row in found] == [None, said, None, None, None]


def test_a_huge_file_is_not_read(capsys, checkpoint, images):
    with (images / "huge.png").open("wb") as file:
        file.truncate(2**40)  # takes no room on the disk
    assert rows(capsys, checkpoint, images / "huge.png", code=1)[0]["error"] == "larger than 1024 MiB"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_logit_that_is_not_finite_is_no_verdict(capsys, images, tmp_path, value):
    detector = build_detector("swin_nano", image_size=32)
    with torch.no_grad():
        detector.head.fc.bias.fill_(value)
    save_checkpoint(tmp_path / "a.safetensors", detector, INFO)
    [row] = rows(capsys, tmp_path / "a.safetensors", images / "b.png", code=1)
    assert row["error"] == f"the detector's logit is {value}"
    assert (row["verdict"], row["probability"], row["logit"]) == ("error", None, None)


def test_names_that_are_no_text_come_back_byte_for_byte(capsys, checkpoint, images, tmp_path):
    name = b"caf\xe9\n\x1b[31m.png"
    (images / "b.png").rename(os.fsdecode(os.fsencode(images) + b"/" + name))
    found = [os.fsencode(row["path"]) for row in rows(capsys, checkpoint, images)]
    assert os.fsencode(images) + b"/" + name in found
    shown = run(capsys, checkpoint, images, "--format", "table").out
    assert "caf\\xdce9\\n\\x1b[31m.png" in shown and shown.count("\n") == 6
    assert "\x1b" not in shown
    run(capsys, checkpoint, images, "--out", tmp_path / "a.csv")
    table = list(csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8", newline="")))
    assert len(table) == 5 and any("caf\\udce9\n" in row["path"] for row in table)


def test_links_that_lead_round_are_followed_once(capsys, checkpoint, images):
    (images / "deep" / "up").symlink_to(images)
    (images / "deep" / "er" / "over").symlink_to(images / "deep")
    assert len(rows(capsys, checkpoint, images)) == 5


def test_a_reader_that_has_read_enough_ends_it_quietly(checkpoint, images):
    for number in range(300):
        (images / f"{number}.png").touch()
    call = [sys.executable, "-m", "genimage_core", "predict", str(checkpoint), str(images)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 0
    assert first["path"].endswith("0.png") and "Error" not in said and "failed" not in said


# Any number of files


def test_files_are_looked_for_only_as_far_as_they_are_needed(checkpoint, images):
    """The first result comes although the files never end."""
    asked = 0

    def endless():
        nonlocal asked
        while True:
            asked += 1
            yield images / "b.png", ""

    threads, detector = prediction.usable_cores(), load_detector(checkpoint)
    scored = prediction.predict_files(endless(), detector, INFO, batch_size=4)
    next(scored)
    ahead = 2 * 4 + threads
    assert asked <= ahead + 1
    for _ in range(40):
        next(scored)
    assert asked <= 41 + 4 + ahead
    scored.close()


def test_the_batch_changes_no_result(checkpoint, images):
    found = [(path, "") for path in sorted(images.glob("*.png"))] * 5
    detector = load_detector(checkpoint)
    one, many = (list(prediction.predict_files(found, detector, INFO, size)) for size in (1, 16))
    assert [p.path for p in one] == [p.path for p in many] == [path for path, _ in found]
    assert [p.logit for p in one] == pytest.approx([p.logit for p in many], abs=1e-5)
