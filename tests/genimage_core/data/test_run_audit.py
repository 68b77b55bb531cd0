"""What a run is told of its own files: JPEG reals and PNG fakes, as GenImage has them."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from genimage_core.data import run_audit
from genimage_core.data.images import describe_images
from genimage_core.data.layout import SPLITS, find_layout
from genimage_core.settings import DataSettings

DATA = DataSettings(image_size=32, train_per_class=60, val_per_class=20, format_alignment="none")


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """Reals of many sizes at quality 90, fakes of one size without loss."""
    root, rng = tmp_path_factory.mktemp("GenImage"), np.random.default_rng(0)
    for split, count in zip(SPLITS, (60, 20), strict=True):
        for label in ("nature", "ai"):
            folder = root / "ADM" / "imagenet_ai_0508_adm" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                sides = rng.integers(40, 80, 2) if label == "nature" else (48, 48)
                image = Image.fromarray(rng.integers(0, 256, (*sides, 3), dtype=np.uint8))
                if label == "nature":
                    image.save(folder / f"{number}.JPEG", quality=90)
                else:
                    image.save(folder / f"{number}.png")
    return find_layout(root)


def audited(layout, cache, **changes):
    settings = replace(DATA, **changes)
    recipes = [describe_images(layout, "adm", split, settings, 0) for split in SPLITS]
    return run_audit.audit_run(recipes, 0, cache)


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "shortcut"),
        ({"format_alignment": "jpeg96"}, "shortcut"),  # the reals are not at 96
        ({"format_alignment": "jpeg96_both"}, "clean"),
        ({"format_alignment": "match_quality"}, "clean"),
        ({"format_alignment": "match_quality", "crop": "resize"}, "shortcut"),
        ({"format_alignment": "match_quality", "crop": "random"}, "clean"),
    ],
)
def test_the_verdict_holds_for_what_the_detector_will_see(layout, tmp_path, changes, level):
    result = audited(layout, tmp_path, **changes)
    assert result.level == level, result.sentences
    assert any("crop: resize" in text for text in result.sentences) == (changes.get("crop") == "resize")
    assert any("format" in text and "100.0 %" in text for text in result.sentences)  # as the files lie


def test_it_is_made_once(layout, tmp_path, monkeypatch):
    first = audited(layout, tmp_path)
    monkeypatch.setattr(run_audit, "audit", lambda *given, **more: pytest.fail("made again"))
    assert audited(layout, tmp_path) == first


def test_a_sample_is_spread_over_all_files(layout, monkeypatch):
    monkeypatch.setattr(run_audit, "SAMPLE", 5)
    table = run_audit.tabulate([describe_images(layout, "adm", "train", DATA, 0)])
    assert table.groupby("label").size().to_dict() == {0: 5, 1: 5}
    assert set(table["format"]) == {"JPEG", "PNG"} and set(table["quality"].dropna()) == {90}
    reals = sorted(path.name for path in layout.images("adm", "train", 0))
    named = [name.split("/")[-1] for name in table.loc[table["label"] == 0, "path"]]
    assert named == [reals[place] for place in (0, 15, 30, 44, 59)]


def test_bytes_that_a_detector_never_sees_are_told_and_raise_no_alarm(tmp_path):
    rng = np.random.default_rng(0)
    for split, count in zip(SPLITS, (60, 20), strict=True):
        for label in ("nature", "ai"):
            folder = tmp_path / "adm" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                level = 256 if label == "nature" else 8  # loud and quiet noise: many and few bytes
                pixels = rng.integers(0, level, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    result = audited(find_layout(tmp_path), tmp_path / "cache")
    assert result.level == "clean" and "bytes alone (100.0 %" in result.sentences[0]
