import base64
import json
import math
import re
import xml.etree.ElementTree as ET

import pytest
from synthetic_run import ten_trials, write_run

from genimage_core.generators import GENIMAGE
from reports.augmentation import draw_sheet, draw_spectra, read_augmentation
from reports.render import write_report

SHEET = b"\xff\xd8 a sheet"


def keep(run, trial=7):
    """Fakes 3 dB above reals before, 1 dB after."""
    folder = run / "pictures" / f"trial_{trial:04d}"
    folder.mkdir(parents=True)
    curve = {"real": [0.0, 0.0], "fake": [3.0, 3.0]}
    found = {
        "images": 24,
        "frequency": [0.1, 0.4],
        "before": curve,
        "after": {"real": [0.0] * 2, "fake": [1.0] * 2},
    }
    (folder / "spectra.json").write_text(
        json.dumps({"fold": "sd14", "generators": {"sd14": found, "biggan": found}})
    )
    (folder / "augmented.jpg").write_bytes(SHEET)


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path, ten_trials(), best=True)


def test_spectra_and_sheet_are_part_of_the_page(run):
    keep(run)
    page = write_report(run).read_text()
    [encoded] = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert base64.b64decode(encoded) == SHEET and "Four rows of pictures" in page
    assert "Mean spectra before and after" in page
    assert re.search(
        r"^\| .*1\.4 \| 24 \| 3\.000 \| 1\.000 \|$", (run / "report" / "report.md").read_text(), re.M
    )


def test_distances_are_root_mean_squares(run):
    keep(run)
    kept = read_augmentation(run, 7)
    assert [change.distance("before") for change in kept.changes] == [3.0, 3.0]
    assert kept.changes[0].distance("after") == 1.0
    picture = draw_spectra(kept, GENIMAGE)
    ET.fromstring(picture.svg)
    assert not math.isnan(float(picture.table.rows[0][2]))


@pytest.mark.parametrize("trial", [None, 7, 3])
def test_without_pictures_the_page_says_so(run, trial):
    assert read_augmentation(run, trial) is None and draw_sheet(None) is draw_spectra(None, GENIMAGE) is None
    assert "No pictures" in write_report(run).read_text()


def test_pictures_of_another_trial_are_not_shown(run):
    keep(run, trial=3)
    assert "data:image" not in write_report(run).read_text()


@pytest.mark.parametrize("broken", ["", "{}", '{"generators": {"sd14": {"images": 3}}}', '{"generators": 3}'])
def test_a_broken_file_is_named(run, broken):
    keep(run)
    (run / "pictures" / "trial_0007" / "spectra.json").write_text(broken)
    with pytest.raises(ValueError, match=r"spectra\.json"):
        read_augmentation(run, 7)
