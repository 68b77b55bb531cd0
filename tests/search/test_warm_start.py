"""What a search takes over from another, and what it must not be tested on."""

import json

import pandas as pd
import pytest
from synthetic_epoch import result

from search.inputs import check_tests
from search.records import METRICS, Records
from search.resume import FINALISTS, write_json
from search.sections import Choices, Range
from search.space import dump_space, load_space
from search.warm_start import TakenOver, _within, keep_taken_over, read_taken_over, take_over

OBJECTIVE = METRICS[0]
SPACE = """
name: tiny
data: {root: %s, image_size: 32, train_per_class: 2, val_per_class: 2, layout: {nature: real}}
protocol: {search: [sd14, adm], sealed: [vqdm]}
detector: {name: swin_nano, base: scratch}
training: {epochs: 2}
search: {trials: 8, seed: 3}
finalists: {test_per_class: 2}
space:
  mask_kind: {choices: [none, ring]}
  mask_radius: {low: 0.1, high: 0.5, when: {mask_kind: [ring]}}
  noise_scale: {low: 0.1, high: 1.0}
"""
CONFIGS = [
    {"mask_kind": kind, "noise_scale": 0.2 + number / 10} | ({"mask_radius": 0.3} if kind == "ring" else {})
    for number, kind in enumerate(("none", "ring", "none", "ring", "none", "ring", "none"))
]


def space_of(tmp_path, *changes):
    text = (SPACE % tmp_path).replace(", layout: {nature: real}", "")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "changed.yaml"
    path.write_text(text)
    return load_space(path)


@pytest.fixture
def run_dir(tmp_path):
    """A run that has ended: the later a trial, the better."""
    run_dir = tmp_path / "run"
    (run_dir / "scores").mkdir(parents=True)
    (run_dir / "space.yaml").write_text(dump_space(space_of(tmp_path)))
    write_json(run_dir / "environment.json", {"trials": 8})
    images = [("val", "adm/val/ai/1.png"), ("val", "adm/val/nature/2.png"), ("test", "adm/val/ai/3.png")]
    table = pd.DataFrame(images, columns=["part", "path"])
    table.to_parquet(run_dir / "scores" / "images.parquet")
    records = Records(run_dir, OBJECTIVE, 2)
    for number, config in enumerate(({}, *CONFIGS)):
        records.begin(number, "searched" if number else "baseline", config)
        for epoch in (1, 2):
            told = {**result(epoch), OBJECTIVE: 0.5 + number / 100, "busy_s": 1.0, "started": 1.0}
            records.add(number, told)
        records.finish(number)
    return run_dir


def test_the_best_configurations_that_a_space_allows_are_taken_over(run_dir, tmp_path):
    assert take_over(run_dir, space_of(tmp_path)).first == (CONFIGS[6], CONFIGS[5])  # a quarter of eight
    narrow = space_of(tmp_path, ("[none, ring]", "[ring, low_pass]"))
    assert take_over(run_dir, narrow).first == (CONFIGS[5], CONFIGS[3])
    with pytest.raises(ValueError, match="of 7 completed configurations"):
        take_over(run_dir, space_of(tmp_path, ("low: 0.1, high: 1.0", "low: 1.5, high: 2.0")))


def test_what_the_other_knew_is_sealed_no_more(run_dir, tmp_path):
    taken = take_over(run_dir, space_of(tmp_path))
    assert taken.opened == ("sd14", "adm"), "it was searched with, so it can be no test of a search"
    write_json(run_dir / FINALISTS, {"seal": None})
    assert take_over(run_dir, space_of(tmp_path)) == taken
    write_json(run_dir / FINALISTS, {"seal": {"generators": ["vqdm"]}})
    earlier = {"warm_start": {"first": [CONFIGS[0]], "opened": ["glide"]}}
    write_json(run_dir / "environment.json", earlier)
    assert take_over(run_dir, space_of(tmp_path)).opened == ("glide", "vqdm", "sd14", "adm")


def test_images_that_any_of_them_chose_by_are_remembered(run_dir, tmp_path):
    odd = "glide/val/ai/9\u2028\n.png"
    (run_dir / "validated_before.json").write_text(json.dumps([odd]))
    taken = take_over(run_dir, space_of(tmp_path))
    assert taken.validated == {"adm/val/ai/1.png", "adm/val/nature/2.png", odd}
    new = tmp_path / "new"
    new.mkdir()
    write_json(new / "environment.json", {"trials": 8, **keep_taken_over(taken, new)})
    assert read_taken_over(new) == taken
    assert "validated" not in (new / "environment.json").read_text()


def test_a_run_that_begins_on_its_own_keeps_nothing(tmp_path):
    assert keep_taken_over(TakenOver(), tmp_path) == {} and list(tmp_path.iterdir()) == []
    assert read_taken_over(tmp_path) == TakenOver()


def test_without_its_list_of_images_a_run_is_no_beginning(run_dir, tmp_path):
    (run_dir / "scores" / "images.parquet").unlink()
    with pytest.raises(ValueError, match="which images the run chose by is not known"):
        take_over(run_dir, space_of(tmp_path))
    with pytest.raises(ValueError, match="holds no run"):
        take_over(tmp_path, space_of(tmp_path))


def test_the_embedded_set_has_no_images_for_a_second_seed(run_dir, tmp_path):
    mini = (f"root: {tmp_path}", "root: null")
    (run_dir / "space.yaml").write_text(dump_space(space_of(tmp_path, mini)))
    assert take_over(run_dir, space_of(tmp_path, mini)).first
    with pytest.raises(ValueError, match="Take --seed 3"):
        take_over(run_dir, space_of(tmp_path, mini, ("seed: 3", "seed: 4")))


def test_images_that_were_chosen_by_are_no_test_images(tmp_path):
    """Five images of each class: two to choose by, two to test on, and only one that may be lost."""
    for folder in ("stable_diffusion_v_1_4", "adm", "vqdm"):
        for split, name in ((s, n) for s in ("train", "val") for n in ("ai", "nature")):
            place = tmp_path / folder / split / name
            place.mkdir(parents=True)
            for number in range(5):
                (place / f"{number}.png").touch()
    space = space_of(tmp_path)
    check_tests(space)
    adm = [path.relative_to(tmp_path) for path in sorted((tmp_path / "adm" / "val" / "ai").iterdir())]
    with pytest.raises(ValueError, match="others were asked for"):
        check_tests(space, [str(path) for path in adm])


@pytest.mark.parametrize(
    ("entry", "value", "within"),
    [
        ({"low": 0.1, "high": 0.5}, 0.5, True),
        ({"low": 0.1, "high": 0.5}, 0.51, False),
        ({"low": 0.1, "high": 0.5, "step": 0.2}, 0.3, True),
        ({"low": 0.1, "high": 0.5, "step": 0.2}, 0.2, False),
        ({"low": 0, "high": 4, "type": "int"}, 3, True),
        ({"low": 0, "high": 4, "type": "int"}, 3.5, False),
        ({"low": 0, "high": 4, "type": "int"}, "none", False),
        ({"choices": ["none", "ring"]}, "ring", True),
        ({"choices": ["none", "ring"]}, "low_pass", False),
    ],
)
def test_values_within_a_range(entry, value, within):
    parameter = Choices(**entry) if "choices" in entry else Range(**entry)
    assert _within(parameter, value) is within
