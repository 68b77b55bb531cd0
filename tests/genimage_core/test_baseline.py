"""The paper's tables on a small tree: resumed, refused, compared with what was published."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from genimage_core import baseline
from genimage_core.__main__ import main
from genimage_core.baseline import UNCHANGED
from genimage_core.baseline_tables import (
    compare_published,
    describe_cell,
    describe_degraded,
    describe_detector,
)
from genimage_core.calibration import fit_temperature
from genimage_core.commands import files
from genimage_core.commands.baseline_print import write_markdown
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.data.mini import MiniSettings
from genimage_core.degrade import DEGRADATIONS
from genimage_core.detectors.detector import load_detector
from genimage_core.detectors.info import read_info
from genimage_core.evaluation import evaluate, predict
from genimage_core.generators import GENIMAGE
from genimage_core.metrics import score
from genimage_core.protocol import Protocol
from genimage_core.published import DEGRADATIONS as PUBLISHED_DEGRADATIONS
from genimage_core.published import published_row
from genimage_core.settings import DataSettings

pytestmark = pytest.mark.usefixtures("one_thread")
DATA = DataSettings(32, 6, 4, "none")


@pytest.fixture
def root(tmp_path, write_tree, monkeypatch):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    return write_tree(tmp_path / "GenImage", ["sd14", "adm"], train=6, val=4)


def call(root, out, *more, detectors="swin_nano", code=0):
    arguments = f"--detectors {detectors} --base scratch --image-size 32 --epochs 1 --batch-size 4".split()
    counts = ["--train-per-class", "6", "--val-per-class", "4"]
    assert main(["baseline", "--data", str(root), *arguments, *counts, "--out", str(out), *more]) == code


@pytest.fixture
def trained(monkeypatch):
    """What was trained, in order."""
    names, real = [], baseline._train

    def counted(bench, name, fold, *arguments):
        names.append(f"{name} {fold.name}")
        return real(bench, name, fold, *arguments)

    monkeypatch.setattr(baseline, "_train", counted)
    return names


def test_every_detector_is_trained_on_every_generator_and_kept(root, tmp_path, trained, capsys):
    call(root, tmp_path / "out", detectors="swin_nano,spec")
    assert trained == ["swin_nano sd14", "swin_nano adm", "spec sd14", "spec adm"]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["detectors"]) == ["swin_nano", "spec"]
    layout = find_layout(root)
    for name in ("swin_nano", "spec"):
        for fold in ("sd14", "adm"):
            path = tmp_path / "out" / "detectors" / name / f"{fold}.safetensors"
            assert read_info(path).generators == (fold,) and read_info(path).detector == name
            sets = {g: load_images(layout, g, "val", DATA, 0, tmp_path / "cache") for g in ("sd14", "adm")}
            own = fit_temperature(predict(load_detector(path), sets[fold]), sets[fold].labels)
            assert read_info(path).temperature == pytest.approx(own, rel=1e-4)
            for generator, expected in evaluate(load_detector(path), sets).items():
                cell = results["detectors"][name]["matrix"][fold][generator]
                assert cell["accuracy"]["value"] == pytest.approx(expected.accuracy)
                assert cell["auroc"]["value"] == pytest.approx(expected.auroc)
    assert (
        main(
            [
                "analyse",
                "generators",
                str(tmp_path / "out" / "matrix_spec.json"),
                "--out",
                str(tmp_path / "related"),
            ]
        )
        == 0
    )
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert len(table) == 8 and {"real_accuracy_low", "auroc_high"} <= set(table.columns)
    said = capsys.readouterr().out
    assert "spec: balanced accuracy" in said and "degraded test images" in said


def test_what_is_finished_is_not_done_again(root, tmp_path, trained, monkeypatch):
    def broken(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(
        baseline, "_write", lambda path, *a: broken() if path.stem == "adm" else write(path, *a)
    )
    write = baseline_write
    call(root, tmp_path / "out", code=130)
    assert trained == ["swin_nano sd14", "swin_nano adm"]
    monkeypatch.setattr(baseline, "_write", baseline_write)
    call(root, tmp_path / "out")
    assert trained[2:] == ["swin_nano adm"]
    first = (tmp_path / "out" / "results.json").read_text()
    call(root, tmp_path / "again")
    undisturbed = json.loads((tmp_path / "again" / "results.json").read_text())
    assert (
        json.loads(first)["detectors"]["swin_nano"]["matrix"]
        == undisturbed["detectors"]["swin_nano"]["matrix"]
    )
    trained.clear()
    call(root, tmp_path / "out", detectors="swin_nano,spec")
    assert trained == ["spec sd14", "spec adm"]


baseline_write = baseline._write


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--seed", "1"), "seed"),
        (("--alignment", "jpeg96_both"), "data"),
        (("--generators", "sd14,adm", "--train-on", "all_but_one"), "train_on"),
        (("--learning-rate", "0.5"), "training"),
    ],
)
def test_results_of_other_settings_are_not_mixed(root, tmp_path, capsys, more, named):
    call(root, tmp_path / "out")
    before = (tmp_path / "out" / "settings.json").read_text()
    call(root, tmp_path / "out", *more, code=2)
    assert named in capsys.readouterr().err and (tmp_path / "out" / "settings.json").read_text() == before


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--detectors", "vgg"), "swin_nano"),
        (("--generators", "sd14,glide"), "glide"),
        (("--base", "checkpoint:nowhere"), "nowhere"),
        (("--base", "generator:sd14"), "checkpoint:PATH"),
        (("--epochs", "0"), "epochs"),
    ],
)
def test_a_wrong_call_is_one_line(root, tmp_path, capsys, trained, more, named):
    call(root, tmp_path / "out", *more, code=2)
    error = capsys.readouterr().err
    assert named in error and error.startswith("error: ") and error.count("\n") == 1 and not trained


def test_the_embedded_data_set_has_settings_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    small = MiniSettings(image_size=32, train_per_class=6, val_per_class=4)
    monkeypatch.setattr(files, "MiniSettings", lambda: small)
    arguments = [
        "--image-size",
        "32",
        "--train-per-class",
        "6",
        "--val-per-class",
        "4",
        "--epochs",
        "1",
        "--generators",
        "sd14,adm",
    ]
    assert main(["baseline", "--data", "mini", *arguments, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "swin_nano: balanced accuracy, % (SIMULATED images, format_alignment none)" in said
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    training = settings["training"]["swin_nano"]
    assert training["flip"] is False and training["batch_size"] == 32 and training["epochs"] == 1
    assert settings["base"] == "scratch" and settings["simulated"] is True
    assert read_info(tmp_path / "out" / "detectors" / "swin_nano" / "adm.safetensors").simulated


PROTOCOL = Protocol("one", GENIMAGE.names)
LABELS = {name: np.repeat([0, 1], 40) for name in GENIMAGE.names}


def made_up(seed=0):
    """Logits of eight detectors that know their own family and guess elsewhere."""
    rng, tests = np.random.default_rng(seed), {}
    for fold in PROTOCOL.folds:
        tests[fold.name] = {
            name: rng.normal((2 * LABELS[name] - 1) * (0.2 if name in fold.off_family else 3.0))
            for name in GENIMAGE.names
        }
    return tests


def test_means_are_those_of_their_cells():
    tests = made_up()
    described = describe_detector(PROTOCOL.folds, tests, LABELS, seed=0)
    accuracy = {f: {g: score(tests[f][g], LABELS[g]).accuracy for g in LABELS} for f in tests}
    cells = {
        "all": [accuracy[f][g] for f in tests for g in LABELS],
        "elsewhere": [accuracy[f.name][g] for f in PROTOCOL.folds for g in f.left_out],
        "off family": [accuracy[f.name][g] for f in PROTOCOL.folds for g in f.off_family],
    }
    for kind, values in cells.items():
        found = described["means"][kind]
        assert found["value"] == pytest.approx(np.mean(values))
        assert found["low"] < found["value"] < found["high"]
    assert described["means"]["off family"]["value"] < described["means"]["elsewhere"]["value"]
    row = described["rows"]["adm"]["all"]
    assert row["value"] == pytest.approx(np.mean(list(accuracy["adm"].values())))


def test_a_cell_agrees_with_the_metrics():
    logits, labels = made_up()["adm"]["glide"], LABELS["glide"]
    cell, expected = describe_cell(logits, labels, 0), score(logits, labels)
    for name in ("accuracy", "real_accuracy", "fake_accuracy", "average_precision", "auroc"):
        found = getattr(cell, name)
        assert found.value == pytest.approx(getattr(expected, name)) and found.low < found.value < found.high
    assert cell.images == 80


def test_published_rows_stand_beside_ours_with_the_difference():
    described = describe_detector(PROTOCOL.folds, made_up(), LABELS, seed=0)
    compared = {
        row["trained_on"]: row for row in compare_published("swin_t", described, PROTOCOL.folds, "none")
    }
    assert set(compared) == {"sd14", "each"}
    row, ours = compared["sd14"], described["matrix"]["sd14"]
    assert row["published"]["mean"] == 0.748 and row["source"] == "GenImage, table 3"
    for name in GENIMAGE.names:
        difference = ours[name]["accuracy"]["value"] - published_row("swin_t", "sd14").accuracy[name]
        assert row["difference"][name] == pytest.approx(difference)
    assert row["ours"]["mean"] == pytest.approx(described["rows"]["sd14"]["all"]["value"])
    assert compared["each"]["ours"]["mean"] == pytest.approx(described["means"]["all"]["value"])


def test_nothing_is_compared_that_was_not_measured_alike():
    described = describe_detector(PROTOCOL.folds, made_up(), LABELS, seed=0)
    assert compare_published("swin_t", described, PROTOCOL.folds, "jpeg96_both") == []
    assert compare_published("swin_nano", described, PROTOCOL.folds, "none") == []
    few = Protocol("one", ("sd14", "adm", "glide"))
    some = {f: {g: made_up()[f][g] for g in few.search} for f in few.search}
    described = describe_detector(few.folds, some, {g: LABELS[g] for g in few.search}, seed=0)
    assert compare_published("swin_t", described, few.folds, "none") == []
    others = Protocol("all_but_one", ("sd14", "adm", "glide"))
    tests = {fold.name: {g: made_up()["sd14"][g] for g in few.search} for fold in others.folds}
    described = describe_detector(others.folds, tests, {g: LABELS[g] for g in few.search}, seed=0)
    assert compare_published("swin_t", described, others.folds, "none") == []


def test_degraded_images_stand_beside_table_5_for_real_data_only():
    [fold] = [fold for fold in PROTOCOL.folds if fold.name == "sd14"]
    labels = LABELS["sd14"]
    logits = {kind: made_up()["sd14"]["sd14"] for kind in (UNCHANGED, *DEGRADATIONS)}
    found = describe_degraded("swin_t", fold, logits, labels, simulated=False)
    assert found["published"]["mean"] == 0.67 and tuple(found["published"]["accuracy"]) == tuple(DEGRADATIONS)
    assert describe_degraded("swin_t", fold, logits, labels, simulated=True)["published"] is None
    other = replace(fold, train=("adm",))
    assert describe_degraded("swin_t", other, logits, labels, simulated=False)["published"] is None


def test_our_degradations_are_the_paper_s():
    assert tuple(DEGRADATIONS) == PUBLISHED_DEGRADATIONS
    images = torch.rand(2, 3, 64, 64)
    for change in DEGRADATIONS.values():
        changed = change(images)
        assert changed.shape == images.shape and not torch.equal(changed, images)
        assert torch.equal(change(images[:1]), changed[:1])


def test_the_markdown_says_what_the_numbers_are(tmp_path):
    described = describe_detector(PROTOCOL.folds, made_up(), LABELS, seed=0)
    described["published"] = compare_published("resnet50", described, PROTOCOL.folds, "none")
    [fold] = [fold for fold in PROTOCOL.folds if fold.name == "sd14"]
    logits = {kind: made_up()["sd14"]["sd14"] for kind in (UNCHANGED, *DEGRADATIONS)}
    described["degraded"] = {
        "sd14": describe_degraded("resnet50", fold, logits, LABELS["sd14"], simulated=False)
    }
    settings = {"simulated": False, "data": {"format_alignment": "none"}}
    path = tmp_path / "tables.md"
    with path.open("w") as file:
        write_markdown({"settings": settings, "detectors": {"resnet50": described}}, file)
    text = path.read_text()
    value = 100 * described["means"]["off family"]["value"]
    assert f"{value:.1f} [" in text and "| GenImage, table 3: sd14" in text and "| difference" in text
    assert "no stored copy of this table was found" in text and "GenImage, table 5" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[:20]}) == 1
