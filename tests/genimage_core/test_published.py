from statistics import fmean

import pytest

from genimage_core.detectors.catalogue import DETECTORS
from genimage_core.generators import GENIMAGE
from genimage_core.published import (
    DEGRADATIONS,
    DEGRADED,
    EACH,
    GENERATORS,
    ROWS,
    published_degradation,
    published_row,
)
from genimage_core.settings import ALIGNMENTS

ROUNDING = 0.0011  # of entries and means, each to 0.1 points


def test_names_are_ours():
    assert set(GENERATORS) == set(GENIMAGE.names)
    for row in (*ROWS, *DEGRADED):
        assert row.detector in DETECTORS and row.source
    for row in ROWS:
        assert tuple(row.accuracy) == GENERATORS and row.alignment in ALIGNMENTS
        assert row.trained_on in (*GENERATORS, EACH)


def test_every_detector_of_the_paper_has_its_rows():
    for name in ("resnet50", "deit_s", "swin_t", "cnnspot", "spec", "f3net", "gramnet"):
        assert published_row(name, "sd14") and published_row(name, EACH) and published_degradation(name)
    assert len({(r.detector, r.trained_on, r.alignment) for r in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.detector} {row.trained_on} {row.alignment}")
def test_the_published_mean_is_that_of_the_entries(row):
    assert row.mean == pytest.approx(fmean(row.accuracy.values()), abs=ROUNDING)
    assert all(0 <= value <= 1 for value in row.accuracy.values())


@pytest.mark.parametrize("row", DEGRADED, ids=lambda row: row.detector)
def test_the_published_mean_over_degradations_is_that_of_the_entries(row):
    assert tuple(row.accuracy) == DEGRADATIONS
    assert row.mean == pytest.approx(fmean(row.accuracy.values()), abs=ROUNDING)


def test_the_matrix_of_resnet_agrees_with_its_means_per_test_generator():
    rows = [published_row("resnet50", name) for name in GENERATORS]
    each = published_row("resnet50", EACH)
    for name in GENERATORS:
        assert fmean(row.accuracy[name] for row in rows) == pytest.approx(each.accuracy[name], abs=ROUNDING)
    assert fmean(row.mean_elsewhere for row in rows) == pytest.approx(0.623, abs=ROUNDING)
    assert all("no stored copy" in row.note for row in rows if row.trained_on != "sd14")


def test_the_mean_elsewhere_leaves_the_training_generator_out():
    row = published_row("swin_t", "sd14")
    assert row.mean == 0.748 and row.mean_elsewhere == pytest.approx(4.983 / 7)
    assert published_row("swin_t", EACH).mean_elsewhere is None


def test_what_was_not_published_is_none():
    assert published_row("swin_t", "adm") is None
    assert published_row("spec", "sd14", "jpeg96") is None
    assert published_degradation("swin_nano") is None
    assert published_row("swin_t", "sd14", "jpeg96").mean == 0.868


# By hand from the figures of Unbiased GenImage's repository, in their order of the generators.
UNBIASED = {
    "swin_t": {
        "midjourney": 0.6933, "sd15": 0.9806, "sd14": 0.9822, "wukong": 0.9545,
        "vqdm": 0.8003, "adm": 0.8373, "glide": 0.7707, "biggan": 0.9248,
    },
    "resnet50": {
        "midjourney": 0.6522, "sd15": 0.9788, "sd14": 0.9781, "wukong": 0.9217,
        "vqdm": 0.7331, "adm": 0.7623, "glide": 0.7307, "biggan": 0.9139,
    },
}  # fmt: skip


@pytest.mark.parametrize("detector", UNBIASED)
def test_figures_of_unbiased_genimage_belong_to_their_generators(detector):
    assert published_row(detector, "sd14", "jpeg96").accuracy == UNBIASED[detector]
