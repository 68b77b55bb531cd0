"""Content generalisation of a kept detector on small trees."""

import csv
import json
import shlex

import numpy as np
import pytest
from PIL import Image

from genimage_core.__main__ import main
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import build_detector
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.intervals import difference, share


def write(folder, count, seed, size=40, kind="png"):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.{kind}")


@pytest.fixture
def roots(tmp_path, monkeypatch):
    """Own: adm and glide, PNG. Another: adm alone, larger, reals JPEG."""
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    for seed, name in enumerate(("adm", "glide")):
        for label in ("nature", "ai"):
            write(tmp_path / "own" / name / "val" / label, 12, [seed, len(label)])
    for label, kind in (("nature", "jpeg"), ("ai", "png")):
        write(tmp_path / "faces" / "adm" / "val" / label, 10, [9, len(label)], size=60, kind=kind)
    return tmp_path / "own", tmp_path / "faces"


@pytest.fixture
def checkpoint(tmp_path):
    def keep(**fields):
        path = tmp_path / "adm.safetensors"
        info = CheckpointInfo("swin_nano", 32, **{"generators": ("adm",), **fields})
        save_checkpoint(path, build_detector("swin_nano", image_size=32), info)
        return path

    return keep


@pytest.fixture
def call(roots, tmp_path, capsys):
    def call(checkpoint, *more, code=0):
        out = tmp_path / "out"
        words = [
            "analyse",
            "content",
            checkpoint,
            "--data",
            roots[0],
            "--other",
            roots[1],
            "--out",
            out,
            *more,
        ]
        assert main([*map(str, words)]) == code
        captured = capsys.readouterr()
        return (captured.out if code == 0 else captured.err), out

    return call


def test_the_scores_are_those_of_evaluate_and_their_difference(call, checkpoint, roots, tmp_path, capsys):
    path = checkpoint()
    said, out = call(path)
    record = json.loads((out / "content.json").read_text())
    assert record["own"]["images"] == 20 and record["own"]["generators"] == ["adm"]
    [other] = record["others"]
    for root, found in zip(roots, (record["own"], other), strict=True):
        words = ["evaluate", path, "--data", root, "--generators", "adm", "--per-class", 10]
        assert main([*map(str, words), "--out", str(tmp_path / "scores.json")]) == 0
        [tracks] = json.loads((tmp_path / "scores.json").read_text()).values()
        assert found["scores"]["accuracy"]["value"] == pytest.approx(tracks["none"]["adm"]["accuracy"])
        assert found["scores"]["AUROC"]["value"] == pytest.approx(tracks["none"]["adm"]["auroc"])
    hits = [round(10 * one["scores"]["on real"]["value"]) for one in (other, record["own"])]
    expected = difference(*(share(hit, 10) for hit in hits))
    assert other["difference"]["on real"]["low"] == pytest.approx(expected.low)
    assert "difference [95 %]" in said and "SIMULATED" not in said


def test_what_else_differs_is_said(call, checkpoint):
    said, out = call(checkpoint())
    assert "other: adm differs in its files" in said and "reals JPEG 100%, 60 px, quality 75" in said
    assert "different file formats (JPEG and PNG)" in said and "a shortcut" in said
    assert "continued by reflection" not in said and "not trained on" not in said
    record = json.loads((out / "content.json").read_text())
    assert record["others"][0]["files"]["nature"]["formats"] == {"JPEG": 1.0}
    assert record["notes"] and all(note in said for note in record["notes"])


def test_reals_outside_the_bounds_of_the_checkpoint_do_not_count(call, checkpoint, roots):
    write(roots[0] / "adm" / "val" / "more", 3, 5, size=200)
    for number, path in enumerate(sorted((roots[0] / "adm" / "val" / "more").iterdir())):
        path.rename(roots[0] / "adm" / "val" / "nature" / f"large_{number}.png")
    for path in sorted((roots[0] / "adm" / "val" / "nature").glob("00[0-4]*")):
        path.unlink()
    _, out = call(checkpoint(real_size=(30, 100)))
    assert json.loads((out / "content.json").read_text())["own"]["images"] == 2 * 7


def test_a_file_where_the_folder_is_to_be_is_refused_at_once(call, checkpoint, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(SystemExit):
        call(checkpoint())


def test_a_strange_generator_and_small_images_are_told(call, checkpoint, tmp_path):
    for label in ("nature", "ai"):
        write(tmp_path / "small" / "biggan" / "val" / label, 4, [3, len(label)], size=20)
    said, _ = call(checkpoint(), "--other", tmp_path / "small")
    assert "not trained on biggan" in said
    assert "reals and fakes smaller than 32 px, which are continued by reflection" in said
    said, _ = call(checkpoint(crop="resize"), "--other", tmp_path / "small")
    assert "continued by reflection" not in said and "crop resize" in said


def test_the_alignment_of_the_checkpoint_is_applied_to_both(call, checkpoint, tmp_path):
    said, _ = call(checkpoint(format_alignment="jpeg96_both"))
    assert "format_alignment jpeg96_both" in said
    manifests = [json.loads(p.read_text()) for p in (tmp_path / "cache" / "decoded").glob("*/manifest.json")]
    assert [m["recipe"]["format_alignment"] for m in manifests] == ["jpeg96_both"] * 2


def test_every_generator_of_the_other_domain_has_a_table_and_rows(call, checkpoint, roots, tmp_path):
    for label in ("nature", "ai"):
        write(roots[1] / "glide" / "val" / label, 10, [5, len(label)])
    said, out = call(checkpoint(generators=("adm", "glide")), "--per-class", 6)
    assert said.count("difference [95 %]") == 2
    with (out / "content.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["domain"] for row in rows[::5]] == ["own domain", "other: adm", "other: glide"]
    assert {row["images"] for row in rows} == {"24", "12"} and rows[0]["difference_value"] == ""
    gap = float(rows[5]["value"]) - float(rows[0]["value"])
    assert float(rows[5]["difference_value"]) == pytest.approx(gap, abs=2e-4)


def test_the_command_on_record_gives_the_same_again(call, checkpoint):
    _, out = call(checkpoint())
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(first) == {"content.csv", "content.json", "content.svg"}
    command = json.loads(first["content.json"])["command"]
    assert "--per-class 10" in command and main(shlex.split(command)[3:]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_simulated_images_are_called_so(call, checkpoint, roots):
    (roots[1] / "CARD.md").write_text("These images are SIMULATED.")
    said, out = call(checkpoint(simulated=True))
    assert "(SIMULATED images: other)" in said and "trained on SIMULATED images" in said
    assert "SIMULATED" in (out / "content.svg").read_text(encoding="utf-8")
    record = json.loads((out / "content.json").read_text())
    assert record["other"]["simulated"] is True and record["data"]["simulated"] is False


def test_files_of_the_own_domain_are_not_another(call, checkpoint, roots):
    error, _ = call(checkpoint(), "--other", roots[0], "--other-generators", "adm", code=2)
    assert "24 files that were chosen are byte for byte in --data too" in error


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--other", "nowhere"], "nowhere"),
        (["--per-class", 11], "--per-class must be at least 2 and at most 10"),
        (["--other-generators", "glide"], "lacks glide"),
        (["--other-layout", "nowhere.yaml"], "nowhere.yaml"),
        (["--seed", -1], "--seed"),
    ],
)
def test_a_wrong_call_is_one_line(call, checkpoint, more, named):
    error, out = call(checkpoint(), *more, code=2)
    assert named in error and error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()


def test_a_root_without_the_generators_of_the_training_is_refused(call, checkpoint):
    error, _ = call(checkpoint(generators=("biggan",)), code=2)
    assert "has none of the generators" in error and "(biggan)" in error and "--generators" in error
    said, _ = call(checkpoint(generators=("biggan",)), "--generators", "glide")
    assert "not trained on adm" in said


def test_a_file_that_is_no_checkpoint_is_refused(call, tmp_path):
    (tmp_path / "no.safetensors").write_text("no")
    assert "is not a detector checkpoint" in call(tmp_path / "no.safetensors", code=2)[0]
