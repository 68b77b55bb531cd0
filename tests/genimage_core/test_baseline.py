"""The paper's tables on a small tree: resumed, refused, compared with what was published."""

import io
import json
import os
import re
import shutil
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
from genimage_core.commands.baseline_files import FIXED, claim
from genimage_core.commands.baseline_print import write_markdown
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.data.mini import MiniSettings
from genimage_core.degrade import DEGRADATIONS
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import build_detector, load_detector
from genimage_core.detectors.info import CheckpointInfo, read_info
from genimage_core.evaluation import evaluate, predict
from genimage_core.generators import GENIMAGE
from genimage_core.metrics import score
from genimage_core.protocol import Protocol
from genimage_core.published import DEGRADATIONS as PUBLISHED_DEGRADATIONS
from genimage_core.published import Conditions, published_row
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
    assert {"real_accuracy_low", "auroc_high"} <= set(table.columns)
    first, second = (table[table["task"] == task] for task in (1, 2))
    assert (
        len(first) == 8 and set(first["generator"]) == {"sd14", "adm"} and first["degradation"].isna().all()
    )
    assert len(second) == 28 and set(second["degradation"]) == {UNCHANGED, *DEGRADATIONS}
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
    (tmp_path / "out" / "results.json").write_text("{")  # cut short by another program, say
    call(root, tmp_path / "out", detectors=" spec")
    assert trained == ["spec sd14", "spec adm"]
    both = json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(both["detectors"]) == ["swin_nano", "spec"] == list(both["settings"]["training"])
    assert both["detectors"]["swin_nano"] == json.loads(first)["detectors"]["swin_nano"]
    assert set(pd.read_csv(tmp_path / "out" / "scores.csv")["detector"]) == {"swin_nano", "spec"}
    text = (tmp_path / "out" / "tables.md").read_text()
    assert "## swin_nano" in text and "## spec" in text


baseline_write = baseline._write


@pytest.mark.parametrize("simulated", [True, False])
def test_what_comes_of_a_simulated_base_is_called_so(root, tmp_path, base, simulated):
    call(root, tmp_path / "out", "--base", base("vqdm", simulated=simulated), "--generators", "adm")
    path = tmp_path / "out" / "detectors" / "swin_nano" / "adm.safetensors"
    assert read_info(path).simulated is simulated
    text = (tmp_path / "out" / "tables.md").read_text()
    assert ("(trained on SIMULATED images)" in text) == ("SIMULATED" in text) == simulated


def test_another_base_under_the_same_path_is_refused(root, tmp_path, base, capsys, trained):
    call(root, tmp_path / "out", "--base", base("adm"))
    call(root, tmp_path / "out", "--base", base("adm"))
    assert len(trained) == 2
    call(root, tmp_path / "out", "--base", base("adm", seed=1), code=2)
    assert "base_content" in capsys.readouterr().err and len(trained) == 2


@pytest.mark.parametrize("content", ["", '{"train_on": "one", "ba', "{}", '{"training": 3}'])
def test_settings_that_were_cut_short_are_refused(tmp_path, content):
    path = tmp_path / "out" / "settings.json"
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(ValueError) as refused:
        claim(path.parent, {"training": {}, "commands": {}})
    message = str(refused.value)
    assert str(path) in message and "choose another --out" in message and "\n" not in message
    assert path.read_text() == content


def test_a_write_that_fails_leaves_the_settings_as_they_were(tmp_path, monkeypatch):
    described = {key: 1 for key in FIXED} | {"training": {"spec": {}}, "commands": {"spec": "a"}}
    claim(tmp_path, described)
    before = (tmp_path / "settings.json").read_bytes()

    def full(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        claim(tmp_path, described | {"training": {"swin_t": {}}})
    assert (tmp_path / "settings.json").read_bytes() == before


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


@pytest.fixture
def base(tmp_path):
    """Writes a checkpoint that has seen some generators; returns what --base is given."""

    def write(*generators, seed=0, simulated=False):
        path = tmp_path / "base.safetensors"
        info = CheckpointInfo("swin_nano", 32, generators, simulated=simulated)
        save_checkpoint(path, build_detector("swin_nano", image_size=32, seed=seed), info)
        return f"checkpoint:{path}"

    return write


def rows_of(markdown, title):
    """Cells of the table below a title, without its head."""
    section = markdown[markdown.index(title) :].split("###")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(
    ("names", "train_on", "seen", "folds", "without"),
    [
        (["sd14"], "one", (), ["sd14"], ["sd14"]),
        (["sd14", "sd15"], "one", (), ["sd14", "sd15"], []),
        (["sd14", "adm"], "one", ("adm",), ["sd14", "adm"], ["sd14"]),
        (["sd14", "adm"], "all_but_one", ("adm",), ["all_but_sd14", "all_but_adm"], ["all_but_adm"]),
    ],
)
def test_a_mean_over_nothing_is_a_dash(
    tmp_path, write_tree, monkeypatch, base, names, train_on, seen, folds, without
):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    root = write_tree(tmp_path / "GenImage", names, train=6, val=4)
    call(root, tmp_path / "out", "--base", base(*seen), "--train-on", train_on)
    text = (tmp_path / "out" / "tables.md").read_text()
    rows = {row[0]: row[1:] for row in rows_of(text, "swin_nano: mean over the generators it")}
    assert list(rows) == folds
    for fold, cells in rows.items():
        assert all((cell == "–") == (fold in without) for cell in cells)
    matrix = {row[0]: row[1:] for row in rows_of(text, "swin_nano: balanced accuracy")}
    assert all(matrix[fold][-1] == "–" for fold in without or folds)  # nothing off-family


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--detectors", "vgg"), "swin_nano"),
        (("--generators", "sd14,glide"), "glide"),
        (("--base", "checkpoint:nowhere"), "nowhere"),
        (("--base", "generator:sd14"), "checkpoint:PATH"),
        (("--epochs", "0"), "epochs"),
        (("--real-size", "550,450"), "real_size"),
        (("--max-bad-share", "-1"), "max_bad_share"),
        (("--val-per-class", "1"), "--val-per-class must be at least 2"),
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
    [card] = (tmp_path / "cache").rglob("CARD.md")
    shutil.rmtree(tmp_path / "out")
    by_path = ["baseline", "--data", str(card.parent), *arguments, "--out", str(tmp_path / "out")]
    assert main(by_path) == 0 and "SIMULATED" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "settings.json").read_text())["simulated"] is True
    assert json.loads((tmp_path / "out" / "matrix_swin_nano.json").read_text())["simulated"] is True


PROTOCOL = Protocol("one", GENIMAGE.names)
ALIKE = Conditions("none", "imagenet", 224, simulated=False)
UNLIKE = [
    replace(ALIKE, alignment="jpeg96_both"),
    replace(ALIKE, base="checkpoint:base.safetensors"),
    replace(ALIKE, image_size=128),
    replace(ALIKE, simulated=True),
    replace(ALIKE, real_size=(450, 550)),
]
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
        row["trained_on"]: row for row in compare_published("swin_t", described, PROTOCOL.folds, ALIKE)
    }
    assert set(compared) == {"sd14", "each"}
    row, ours = compared["sd14"], described["matrix"]["sd14"]
    assert row["published"]["mean"] == 0.748 and row["source"] == "GenImage, table 3"
    for name in GENIMAGE.names:
        difference = ours[name]["accuracy"]["value"] - published_row("swin_t", "sd14").accuracy[name]
        assert row["difference"][name] == pytest.approx(difference)
    assert row["ours"]["mean"] == pytest.approx(described["rows"]["sd14"]["all"]["value"])
    assert row["ours"]["elsewhere"] == pytest.approx(described["rows"]["sd14"]["elsewhere"]["value"])
    assert row["published"]["elsewhere"] == pytest.approx((8 * 0.748 - 0.999) / 7, abs=6e-4)
    assert "elsewhere" not in compared["each"]["published"]
    unbiased = replace(ALIKE, alignment="jpeg96", real_size=(450, 550))
    [row] = compare_published("swin_t", described, PROTOCOL.folds, unbiased)
    assert row["source"] == "Unbiased GenImage, figures"
    assert compared["each"]["ours"]["mean"] == pytest.approx(described["means"]["all"]["value"])


def test_nothing_is_compared_that_was_not_measured_alike():
    described = describe_detector(PROTOCOL.folds, made_up(), LABELS, seed=0)
    for unlike in UNLIKE:
        assert compare_published("swin_t", described, PROTOCOL.folds, unlike) == []
    assert compare_published("swin_t", described, PROTOCOL.folds, replace(ALIKE, base="scratch"))
    assert compare_published("swin_nano", described, PROTOCOL.folds, ALIKE) == []
    few = Protocol("one", ("sd14", "adm", "glide"))
    some = {f: {g: made_up()[f][g] for g in few.search} for f in few.search}
    described = describe_detector(few.folds, some, {g: LABELS[g] for g in few.search}, seed=0)
    assert compare_published("swin_t", described, few.folds, ALIKE) == []
    others = Protocol("all_but_one", ("sd14", "adm", "glide"))
    tests = {fold.name: {g: made_up()["sd14"][g] for g in few.search} for fold in others.folds}
    described = describe_detector(others.folds, tests, {g: LABELS[g] for g in few.search}, seed=0)
    assert compare_published("swin_t", described, others.folds, ALIKE) == []


def degraded_of(detector, fold, conditions):
    logits = {kind: made_up()["sd14"]["sd14"] for kind in (UNCHANGED, *DEGRADATIONS)}
    return describe_degraded(detector, fold, logits, LABELS["sd14"], 0, conditions)


[SD14] = [fold for fold in PROTOCOL.folds if fold.name == "sd14"]


def test_degraded_images_stand_beside_table_5_where_they_were_measured_alike():
    found = degraded_of("swin_t", SD14, ALIKE)
    assert found["published"]["mean"] == 0.67 and tuple(found["published"]["accuracy"]) == tuple(DEGRADATIONS)
    for unlike in UNLIKE:
        assert degraded_of("swin_t", SD14, unlike)["published"] is None
    assert degraded_of("swin_t", replace(SD14, train=("adm",)), ALIKE)["published"] is None


def test_the_mean_over_degradations_of_the_same_images_is_no_surer_than_each():
    found = degraded_of("swin_t", SD14, ALIKE)
    for end in ("value", "low", "high"):
        assert found["mean"][end] == pytest.approx(found["cells"]["JPEG 30"]["accuracy"][end])


def test_our_degradations_are_the_paper_s():
    assert tuple(DEGRADATIONS) == PUBLISHED_DEGRADATIONS
    images = torch.rand(2, 3, 64, 64)
    for change in DEGRADATIONS.values():
        changed = change(images)
        assert changed.shape == images.shape and not torch.equal(changed, images)
        assert torch.equal(change(images[:1]), changed[:1])


SETTINGS = {
    "simulated": False,
    "simulated_base": False,
    "train_on": "one",
    "base": "imagenet",
    "seed": 5,
    "data": {
        "format_alignment": "none", "image_size": 224, "crop": "resize",
        "train_per_class": 99, "val_per_class": 40,
    },
    "training": {"resnet50": {"epochs": 7}},
}  # fmt: skip


def markdown(**changes):
    described = describe_detector(PROTOCOL.folds, made_up(), LABELS, seed=0)
    described["published"] = compare_published("resnet50", described, PROTOCOL.folds, ALIKE)
    described["degraded"] = {"sd14": degraded_of("resnet50", SD14, ALIKE)}
    file = io.StringIO()
    write_markdown({"settings": SETTINGS | changes, "detectors": {"resnet50": described}}, file)
    return described, file.getvalue()


def test_the_markdown_says_what_the_numbers_are():
    described, text = markdown()
    value = 100 * described["means"]["off family"]["value"]
    assert f"{value:.1f} [" in text and "| GenImage, table 3: sd14" in text and "| difference" in text
    assert "no stored copy of this table was found" in text and "GenImage, table 5" in text
    assert text.count("how these were enlarged again is not published") == 1  # the note of table 5
    assert (
        "Measured here: resnet50 at 224 px, base imagenet, train_on one, 7 epochs on 99 images per generator "
        "and class, tested on 40; crop resize, format_alignment none, seed 5."
    ) in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines[:20]}) == 1
    assert "SIMULATED" not in text and markdown(simulated=True)[1].count("SIMULATED") == 4


def test_names_stay_text_in_markdown():
    text = markdown(base="checkpoint:<script>&.safetensors")[1]
    assert "<" not in text and "base checkpoint:&lt;script>&amp;.safetensors," in text


def test_every_number_of_ours_has_its_interval():
    described, text = markdown()
    for title in ("balanced accuracy", "mean over the generators it", "degraded test images"):
        ours = [row for row in rows_of(text, f"resnet50: {title}") if row[0] in (*GENIMAGE.names, "mean")]
        assert ours and all(INTERVAL.fullmatch(cell) for row in ours for cell in row[1:])
    cell = described["matrix"]["adm"]["glide"]["accuracy"]
    [row] = [row for row in rows_of(text, "resnet50: balanced accuracy") if row[0] == "adm"]
    value, low, high = map(float, re.findall(r"[0-9.]+", row[1 + GENIMAGE.names.index("glide")]))
    assert value == pytest.approx(100 * cell["value"], abs=0.05)
    assert low <= 100 * cell["low"] < low + 1 and high - 1 < 100 * cell["high"] <= high


INTERVAL = re.compile(r"\d+\.\d \[\d+(\.\d)?, \d+(\.\d)?\]")


def test_means_over_left_out_generators_are_those_of_independent_cells():
    described = describe_detector(PROTOCOL.folds, made_up(), LABELS, seed=0)
    cells = [described["matrix"]["adm"][g]["auroc"] for g in GENIMAGE.names if g != "adm"]
    found = described["elsewhere"]["adm"]["auroc"]
    assert found["value"] == pytest.approx(np.mean([c["value"] for c in cells]))
    below = np.sqrt(sum((c["value"] - c["low"]) ** 2 for c in cells)) / 7
    assert found["value"] - found["low"] == pytest.approx(below)


def test_logits_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="1 of 4 logits are not finite"):
        describe_cell(np.array([0.0, 1.0, np.nan, 2.0]), np.array([0, 0, 1, 1]), 0)
