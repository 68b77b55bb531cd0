"""The analyses on small trees and matrices, as a user types them."""

import csv
import json
import shlex
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from genimage_core.__main__ import main
from genimage_core.analysis.class_files import ClassFiles
from genimage_core.analysis.measure import GeneratorSpectra
from genimage_core.analysis.spectra_figures import plane_figure, radial_figure
from genimage_core.analysis.spectra_wording import notes, title
from genimage_core.spectra import log_power, luma
from genimage_core.spectral_distance import Distance

FILES = {"spectra.csv", "spectra.json", "planes.npy", "radial.svg", "planes.svg"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))


def texture(rng, period, kind):
    """Noise; in fakes a grid of the given period on top."""
    pixels = rng.normal(128, 20, (32, 32, 1)) + rng.normal(0, 2, (32, 32, 3))
    if kind == "ai":
        pixels += 25 * np.cos(2 * np.pi * np.arange(32) / period)[:, None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def root(tmp_path):
    """ADM: a grid in the fakes, all PNG; GLIDE: nothing but JPEG reals and PNG fakes."""
    rng = np.random.default_rng(0)
    for name, kinds in (("imagenet_ai_0508_adm", ("png", "png")), ("imagenet_glide", ("JPEG", "png"))):
        for label, kind in zip(("nature", "ai"), kinds, strict=True):
            folder = tmp_path / "data" / name / "val" / label
            folder.mkdir(parents=True)
            for number in range(12):
                image = texture(rng, 4, label if "adm" in name else "nature")
                image.save(folder / f"{number:03d}.{kind}", **({"quality": 60} if kind == "JPEG" else {}))
    return tmp_path / "data"


@pytest.fixture
def spectra(capsys, root, tmp_path):
    """Runs `analyse spectra`; returns what it said and the folder."""

    def call(*more, code=0):
        out = tmp_path / "out"
        words = ["analyse", "spectra", "--data", root, "--per-class", 12, "--image-size", 32, "--out", out]
        assert main([*map(str, words), *map(str, more)]) == code
        captured = capsys.readouterr()
        return (captured.out if code == 0 else captured.err), out

    return call


def test_the_table_the_folder_and_the_warning_of_formats(spectra):
    said, out = spectra()
    assert "adm" in said and "glide" in said and "format_alignment: none" in said
    assert "Different file formats (glide: reals JPEG, fakes PNG)" in said and "jpeg96_both" in said
    assert {path.name for path in out.iterdir()} == FILES


def test_the_numbers_tell_a_grid_from_nothing(spectra):
    _, out = spectra()
    record = json.loads((out / "spectra.json").read_text())
    adm = record["generators"]["adm"]
    power = {name: np.array(curve) for name, curve in adm["radial_power_db"].items()}
    place = (power["ai"] - power["nature"]).argmax()
    assert adm["frequency_cycles_per_pixel"][place] == pytest.approx(0.25, abs=0.04)
    distance = adm["radial_distance_db"]
    assert distance["low"] <= distance["value"] <= distance["high"] and distance["value"] > distance["floor"]
    with (out / "spectra.csv").open(encoding="utf-8") as file:
        rows = {row["generator"]: row for row in csv.DictReader(file)}
    assert float(rows["adm"]["radial_value"]) == pytest.approx(distance["value"], abs=1e-4)
    assert rows["glide"]["nature_formats"] == "JPEG:12" and rows["glide"]["ai_images"] == "12"


def test_the_planes_are_means_over_the_files(spectra, root):
    _, out = spectra("--generators", "adm")
    planes = np.load(out / "planes.npy", allow_pickle=False)
    assert planes.shape == (1, 2, 32, 17)
    folder = root / "imagenet_ai_0508_adm" / "val" / "ai"
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    np.testing.assert_allclose(planes[0, 1], log_power(luma(torch.from_numpy(pixels))).mean(0), atol=1e-3)


def test_the_record_tells_how_to_make_it_again(spectra, root):
    _, out = spectra("--seed", 3)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    record = json.loads(first["spectra.json"])
    assert (
        record["seed"] == 3 and record["data"]["per_class"] == 12 and len(record["data"]["fingerprint"]) == 16
    )
    assert record["generators"]["adm"]["files"]["nature"]["images"] == 12
    words = shlex.split(record["command"])
    assert words[:3] == ["python", "-m", "genimage_core"]
    assert main(words[3:]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_the_command_on_record_spells_out_every_default(spectra, generators):
    _, out = spectra("--generators", "adm")
    words = json.loads((out / "spectra.json").read_text())["command"]
    assert all(
        f" {word}" in words for word in ("--seed 0", "--split val", "--alignment none", "--per-class 12")
    )
    _, out = generators(MATRIX)
    assert "--threshold 0.9" in json.loads((out / "generators.json").read_text())["command"]


def test_an_alignment_stands_in_every_title_and_equal_formats_need_no_warning(spectra):
    said, out = spectra("--alignment", "jpeg96_both", "--generators", "adm")
    assert "format_alignment: jpeg96_both" in said and "Different file formats" not in said
    for name in ("radial.svg", "planes.svg"):
        assert "format_alignment: jpeg96_both" in (out / name).read_text(encoding="utf-8")
    said, _ = spectra("--alignment", "jpeg96_both", "--generators", "glide")
    assert "after jpeg96_both the distance still contains" in said


def test_images_that_are_continued_by_reflection_are_told(spectra):
    said, _ = spectra("--image-size", 48, "--generators", "adm")
    assert "continued by reflection" in said and "adm: 12 of 12 reals, 12 of 12 fakes" in said


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--per-class", 1], "--per-class must be at least 2"),
        (["--per-class", 13], "13 were asked for"),
        (["--image-size", 8], "image_size must be at least 16"),
        (["--alignment", "png"], "format_alignment must be one of"),
        (["--seed", -1], "--seed"),
        (["--split", "train"], "no train images"),
        (["--generators", "sd14"], "sd14"),
        (["--layout", "nowhere.yaml"], "nowhere.yaml"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_call_of_spectra_is_one_line(spectra, more, named):
    error, out = spectra(*more, code=2)
    assert named in error and error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()


def test_a_folder_that_cannot_be_written_is_one_line(spectra, tmp_path):
    (tmp_path / "file").touch()
    error, _ = spectra("--out", tmp_path / "file" / "out", code=1)
    assert error.startswith("failed: ") and error.count("\n") == 1


def measured(name, size=16, formats=("PNG", "PNG"), small=0):
    plane = np.random.default_rng(0).normal(-30, 1, (2, size, size // 2 + 1)).astype(np.float32)
    rings, far = np.arange(8, dtype=np.float32) / 16, Distance(2.0, 1.5, 2.5, 1.0, 1.8)
    files = tuple(ClassFiles(10, {kind: 10}, small) for kind in formats)
    return GeneratorSpectra(name, f"The {name}", "f00d", files, rings, plane[:, :8, 0], plane, far, far)


def test_simulated_images_are_called_so_in_the_title():
    assert "SIMULATED" in title("val", "none", simulated=True) and "SIMULATED" not in title("val", "none")


def test_images_below_a_card_are_called_simulated_by_their_path(spectra, root):
    said, out = spectra("--generators", "adm")
    assert "SIMULATED" not in said
    (root / "CARD.md").write_text("# mini: a SIMULATED data set")
    said, out = spectra("--generators", "adm")
    assert "SIMULATED reals and fakes" in said
    assert json.loads((out / "spectra.json").read_text())["data"]["simulated"] is True


def test_by_default_spectra_are_of_all_images_that_there_are(root, capsys, tmp_path):
    words = ["analyse", "spectra", "--data", str(root), "--image-size", "32", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert "12 images of each class" in capsys.readouterr().out
    record = json.loads((tmp_path / "out" / "spectra.json").read_text())
    assert record["data"]["per_class"] == 12 and "--per-class 12" in record["command"]


def test_there_is_nothing_to_note_where_all_is_well():
    assert notes([measured("a")], "none", 16) == ()


def test_what_is_not_above_the_floor_is_noted():
    near = replace(measured("b"), plane_distance=Distance(1.0, 0.5, 1.5, 1.0, 0.0))
    [note] = notes([measured("a"), near], "none", 16)
    assert "b (2-D)" in note and "radial" not in note and "a (" not in note


@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_figures_have_a_picture_of_every_generator(count):
    found = [measured(f"g{number}") for number in range(count)]
    curves = [axes for axes in radial_figure(found, "title").axes if axes.get_visible()]
    assert [axes.get_title().split("\n")[0] for axes in curves] == [one.title for one in found]
    planes = plane_figure(found, "title").axes
    pictures = [axes.images[0] for axes in planes if axes.images]
    assert len(pictures) == 3 * count
    low, high = pictures[2].get_clim()
    assert low == -high and {p.get_clim() for p in pictures[2::3]} == {(low, high)}
    assert len({p.get_clim() for place, p in enumerate(pictures) if place % 3 < 2}) == 1


NAMES = ["adm", "sd14", "wukong", "flux"]
MATRIX = {
    "rows": NAMES,
    "columns": NAMES,
    "accuracy": [[0.9, 0.95, 0.5, 0.5], [0.97, 1, 0.6, 0.5], [0.5, 0.7, 1, 0.5], [0.5, 0.5, 0.5, 0.6]],
    "seeds": [0, 1],
}


@pytest.fixture
def generators(capsys, tmp_path):
    """Runs `analyse generators` on a matrix or on text; returns what it said and the folder."""

    def call(matrix, *more, code=0):
        out, path = tmp_path / "out", tmp_path / "matrix.json"
        path.write_text(matrix if isinstance(matrix, str) else json.dumps(matrix), encoding="utf-8")
        assert main(["analyse", "generators", str(path), "--out", str(out), *map(str, more)]) == code
        captured = capsys.readouterr()
        return (captured.out if code == 0 else captured.err), out

    return call


def test_families_are_suggested_and_held_against_the_catalogue(generators):
    said, out = generators(MATRIX)
    assert "adm + sd14" in said and "alone:" in said
    assert "Together here, apart in the catalogue (adm and stable_diffusion): " in said and "(0.960)" in said
    assert "Apart here, together in the catalogue (stable_diffusion): " in said and "(0.650)" in said
    assert "Not in the catalogue, so not compared: flux." in said
    assert "Below 0.9 on the images of its own generator: flux." in said
    assert {path.name for path in out.iterdir()} == {"generators.csv", "generators.json", "generators.svg"}


def test_a_matrix_of_simulated_generators_is_called_so(generators):
    for simulated, called in ((True, True), (False, False), (None, False)):
        said, out = generators(MATRIX | {"simulated": simulated})
        assert ("SIMULATED" in said) == ("SIMULATED" in (out / "generators.svg").read_text()) == called
        assert json.loads((out / "generators.json").read_text())["matrix"]["simulated"] is simulated


def test_numbers_of_generators_can_be_made_again(generators):
    _, out = generators(MATRIX, "--threshold", 0.6)
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    record = json.loads(first["generators.json"])
    assert record["threshold"] == 0.6 and record["matrix"]["seeds"] == [0, 1]
    assert sorted(map(len, record["suggested_families"])) == [1, 1, 2]
    assert record["catalogue_families"]["flux"] is None
    assert main(shlex.split(record["command"])[3:]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_the_figure_is_plain_svg_with_every_name_as_text(generators):
    _, out = generators(MATRIX)
    text = (out / "generators.svg").read_text(encoding="utf-8")
    shown = [element.text for element in ElementTree.fromstring(text).iter() if element.tag.endswith("}text")]
    assert all(shown.count(name) == 2 for name in NAMES) and "0.97" in shown
    assert "<script" not in text


def test_the_families_of_the_catalogue_are_found_in_the_matrix_of_the_embedded_data(capsys, tmp_path):
    from genimage_core.data import mini_card

    path = mini_card.__file__.replace("mini_card.py", "mini_matrix.json")
    assert main(["analyse", "generators", path, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "The suggested families are those of the catalogue." in said and "SIMULATED generators" in said


@pytest.mark.parametrize(
    ("matrix", "more", "named"),
    [
        ("{", [], "matrix.json"),
        ("[1]", [], "must hold an object"),
        ({"rows": ["a"]}, [], "rows, columns, accuracy"),
        (MATRIX | {"accuracy": [[1]]}, [], "4 rows of 4 numbers"),
        (json.dumps(MATRIX).replace("0.97", "1.2"), [], "accuracy of sd14 on adm must be within [0, 1]"),
        (json.dumps(MATRIX).replace("0.97", "NaN"), [], "got nan"),
        (json.dumps(MATRIX).replace("0.97", "Infinity"), [], "got inf"),
        ({"rows": ["a"], "columns": ["a"], "accuracy": [[1]]}, [], "at least 2 generators"),
        (MATRIX, ["--threshold", 0.4], "threshold"),
        (MATRIX | {"simulated": "yes"}, [], "simulated must be true, false or left out"),
    ],
)
def test_a_wrong_call_of_generators_is_one_line(generators, matrix, more, named):
    error, out = generators(matrix, *more, code=2)
    assert named in error and error.startswith("error: ") and error.count("\n") == 1
    assert not out.exists()


def test_a_matrix_that_is_not_there_is_one_line(capsys, tmp_path):
    assert main(["analyse", "generators", str(tmp_path / "none.json"), "--out", str(tmp_path / "o")]) == 2
    error = capsys.readouterr().err
    assert "none.json" in error and error.count("\n") == 1
