import json

import numpy as np
import pytest
from PIL import Image
from small_job import PLAN, make_job, work
from synthetic_epoch import result

from genimage_core.policy import FrequencyPolicy
from search.pictures import drop_pictures, pictures_of, show_augmentation
from search.records import Records

OBJECTIVE = "off_family_accuracy"


@pytest.fixture(scope="module")
def worker(data_root, tmp_path_factory):
    return work(make_job(data_root, tmp_path_factory.mktemp("job")))


def test_what_a_policy_does_is_kept_and_shown(worker, tmp_path):
    folder = pictures_of(tmp_path, 3)
    show_augmentation(worker, PLAN.policy, 0, tmp_path / "board", folder)
    kept = json.loads((folder / "spectra.json").read_text())
    assert set(kept["generators"]) == {"sd14", "biggan"} and kept["fold"] in kept["generators"]
    found = kept["generators"]["sd14"]
    assert found["images"] == 4 and found["before"] != found["after"]
    assert {len(curve) for half in ("before", "after") for curve in found[half].values()} == {
        len(found["frequency"])
    }
    sheet = np.asarray(Image.open(folder / "augmented.jpg"))
    assert sheet.shape[0] == 4 * 128 and sheet.std() > 10
    assert list((tmp_path / "board").glob("*.pictures*"))
    assert [path.name for path in folder.parent.iterdir()] == ["trial_0003"]


@pytest.mark.parametrize(("policy", "wanted"), [(FrequencyPolicy(), True), (PLAN.policy, False)])
def test_nothing_is_kept_of_what_changes_nothing_or_is_not_asked_for(worker, tmp_path, policy, wanted):
    folder = pictures_of(tmp_path, 0) if wanted else None
    show_augmentation(worker, policy, 0, tmp_path / "board", folder)
    assert list((tmp_path / "board").glob("*.pictures*")) and not (tmp_path / "pictures").exists()


def test_pictures_of_the_best_searched_trial_stay_also_where_the_baseline_is_better(tmp_path):
    records = Records(tmp_path, OBJECTIVE, 1)
    for number, value in enumerate((0.9, 0.6, 0.7, 0.5)):
        records.begin(number, "searched" if number else "baseline", {})
        records.add(number, {**result(1), OBJECTIVE: value, "busy_s": 1.0, "started": 1.0})
        records.finish(number)
        if number:
            pictures_of(tmp_path, number).mkdir(parents=True)
        drop_pictures(records)
    records.begin(4, "searched", {})
    for name in ("trial_0004", ".trial_0004.partial", ".trial_0001.partial"):
        (tmp_path / "pictures" / name).mkdir()
    drop_pictures(records)
    left = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert left == {"trial_0002", "trial_0004", ".trial_0004.partial"}
