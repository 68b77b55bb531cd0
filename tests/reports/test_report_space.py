import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from synthetic_run import trial, write_run

from reports import space_figures
from reports.importance import Importance
from reports.records import read_run
from reports.space_pictures import draw_interaction, draw_parallel, draw_slices
from reports.tables import build


def report_of(folder, configs):
    trials = [trial(0, 0.5, role="baseline", config={})]
    trials += [
        trial(number, 0.5 + number / 10, config=config) for number, config in enumerate(configs, start=1)
    ]
    return build(read_run(write_run(folder, trials)))


WORDS = [{"noise_scale": 0.1, "mask_kind": "ring", "flip": True}, {"noise_scale": 0.3, "flip": False},
         {"noise_scale": 0.2, "mask_kind": "none", "flip": True}]  # fmt: skip


def test_numbers_words_and_what_is_missing_are_drawn(tmp_path):
    report = report_of(tmp_path, WORDS)
    for picture in (draw_slices(report), draw_parallel(report)):
        ET.fromstring(picture.svg)
        assert all(
            name in picture.svg and name in picture.alt for name in ("noise_scale", "mask_kind", "flip")
        )
        assert [row[0] for row in picture.table.rows] == ["3 (best)", "2", "1"]
    assert "trial 3" in draw_parallel(report).alt


def test_places_on_an_axis(tmp_path):
    rows = [row for row in report_of(tmp_path, WORDS).trials if row.role == "searched"]
    heights = [space_figures._height(rows, "noise_scale", row.config["noise_scale"], False) for row in rows]
    assert heights == pytest.approx([0.0, 1.0, 0.5])
    assert space_figures._height(rows, "noise_scale", math.sqrt(0.03), True) == pytest.approx(0.5)
    assert space_figures._height(rows, "mask_kind", "none", False) == 0.0
    assert space_figures._height(rows, "mask_kind", "ring", False) == 1.0
    assert math.isnan(space_figures._height(rows, "mask_kind", None, False))
    assert space_figures._ends(rows, "noise_scale") == ("0.1", "0.3")


@pytest.mark.parametrize("configs", [[], [{"noise_scale": 0.1}]])
def test_one_trial_shows_nothing_of_the_space(tmp_path, configs):
    report = report_of(tmp_path, configs)
    assert draw_slices(report) is draw_parallel(report) is draw_interaction(report) is None


def test_the_two_that_mattered_most_are_drawn_together(tmp_path):
    configs = [{"noise_scale": n / 20, "tilt": 0.1 * (n % 3), "flip": n % 2 == 0} for n in range(12)]
    shares = (("flip", 0.7), ("noise_scale", 0.3))
    report = replace(report_of(tmp_path, configs), importance=Importance("fANOVA", 12, shares))
    picture = draw_interaction(report)
    ET.fromstring(picture.svg)
    assert picture.title.endswith("flip and noise_scale") and "<image" not in picture.svg
    assert picture.table.columns[1:3] == ("flip", "noise_scale")
    assert picture.table.rows[0] == ("12", "no", "0.55", "1.700")
    one = replace(report, importance=Importance("fANOVA", 12, shares[:1]))
    assert draw_interaction(one) is None
