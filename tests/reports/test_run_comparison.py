"""Runs side by side: what is said of them."""

import json
import re
from pathlib import Path

import pytest
from comparing import SPACE, change_finalists, compared, data, plain, with_finalists
from synthetic_run import cut_off_trials, environment, ten_trials, trial, write_run
from test_report_page import HOSTILE, Page

from genimage_core.generators import GENIMAGE
from reports.compared_runs import MOST
from reports.comparison_page import write_comparison
from reports.evidence import read_evidence
from reports.records import read_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two whose images are the same; the winner of the second is truly better. Tests only read them."""
    folder = tmp_path_factory.mktemp("runs")
    return [with_finalists(folder / "plain"), with_finalists(folder / "better", 0.15)]


@pytest.fixture(scope="module")
def files(runs, tmp_path_factory):
    return compared(runs, tmp_path_factory.mktemp("out") / "deep" / "comparison")


def test_the_page_is_well_formed_and_loads_nothing(files):
    assert set(files) == {"index.html", "comparison.md", "comparison.json"}
    page = Page(files["index.html"])
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    assert not re.search(r"https?:|@import", files["index.html"])
    assert len(page.ids) == len(set(page.ids))
    used = re.findall(r'(?:href="|url\()#([^")]+)', files["index.html"])
    assert used and set(used) <= set(page.ids)
    assert "\n\n\n" not in files["comparison.md"]


def test_every_run_has_the_verdict_of_its_own_report(runs, files):
    text, markdown = plain(files)
    loaded = json.loads(files["comparison.json"])
    for run, summary in zip(runs, loaded["runs"], strict=True):
        evidence = read_evidence(run, read_run(run), 400)
        sealed = evidence.headline.claim.overall
        assert evidence.headline.sentence in text and evidence.headline.sentence in markdown
        assert summary["verdict"] == evidence.headline.sentence
        assert summary["sealed"]["value"] == pytest.approx(sealed.candidate.value)
        assert summary["sealed_difference"]["low"] == pytest.approx(sealed.difference.low)
        assert (summary["trial"], summary["folder"]) == (evidence.trial, str(run))
        assert summary["status"] == "ended, finalists tested"


PROTOCOL = environment()["protocol"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"fingerprint": "beef"}}, "data fingerprint (other images)"),
        ({"protocol": PROTOCOL | {"sealed": ["vqdm"]}}, "protocol (other generators"),
        ({"protocol": PROTOCOL | {"train_on": "all_but_one"}}, "protocol (other generators"),
        ({"base": {"kind": "imagenet"}, "protocol": PROTOCOL | {"base": "imagenet"}}, "base (other weights"),
        ({"detector": "swin_t"}, "detector (another network)"),
        ({"objective": "left_out_accuracy"}, "objective (another number"),
    ],
)
def test_what_makes_values_incomparable_is_named(tmp_path, changes, said):
    one, other = write_run(tmp_path / "a", ten_trials()), write_run(tmp_path / "b", ten_trials(), **changes)
    found = compared([one, other], tmp_path / "out")
    loaded = json.loads(found["comparison.json"])
    differing = [aspect["name"] for aspect in loaded["conditions"]["aspects"] if aspect["state"] == "differs"]
    assert loaded["conditions"]["comparable"] is False and [said.partition(" (")[0]] == differing
    for text in plain(found):
        assert f"Values of these runs cannot be compared, because they differ in {said}" in text
        assert "The winners are not compared with each other either." in text


def test_of_a_protocol_only_what_differs_is_shown(tmp_path):
    protocols = [PROTOCOL, PROTOCOL | {"sealed": ["vqdm"]}, PROTOCOL | {"folds": []}]
    runs = [write_run(tmp_path / str(i), ten_trials(), protocol=p) for i, p in enumerate(protocols)]
    aspects = data(runs, tmp_path / "out")["conditions"]["aspects"]
    shown = next(aspect["values"] for aspect in aspects if aspect["name"] == "protocol")
    assert shown == ["sealed: midjourney, vqdm", "sealed: vqdm", "not recorded"]
    own = {"name": "mine", "title": "Mine", "family": "mine"}
    write_run(tmp_path / "1", ten_trials(), protocol=PROTOCOL | {"generators": [own]})
    aspects = data(runs[:2], tmp_path / "out")["conditions"]["aspects"]
    shown = next(aspect["values"] for aspect in aspects if aspect["name"] == "protocol")
    assert shown == ["families: none", "families: mine mine"]


def test_runs_alike_are_called_so_and_unknown_ones_are_not(tmp_path):
    two = [write_run(tmp_path / name, ten_trials()) for name in "ab"]
    alike = data(two, tmp_path / "out")["conditions"]
    assert alike["comparable"] is True and alike["sentence"].startswith("The runs share data fingerprint,")
    write_run(two[1], ten_trials(), data={"root_kind": "mini"})
    unknown = data(two, tmp_path / "out")["conditions"]
    assert unknown["comparable"] is None
    assert "is not known, because data fingerprint is not recorded of every run" in unknown["sentence"]


def test_only_settings_that_differ_are_listed(files, runs, tmp_path):
    settings = json.loads(files["comparison.json"])["conditions"]["settings"]
    assert settings == [{"key": "space.mask_radius", "values": ["0 to 0.5", "0 to 0.65"]}]
    third = write_run(tmp_path / "third", ten_trials())
    (third / "space.yaml").write_text(SPACE.replace(", batch_size: 16", "") % 0.5)
    fourth = write_run(tmp_path / "fourth", ten_trials())
    found = compared([runs[0], third, fourth], tmp_path / "out")
    settings = json.loads(found["comparison.json"])["conditions"]["settings"]
    assert settings == [{"key": "training.batch_size", "values": ["16", "–", "not recorded"]}]
    assert "Settings are not compared of C: there is no space.yaml." in plain(found)[0]


def test_generators_stand_side_by_side(files, runs):
    rows = json.loads(files["comparison.json"])["generators"]
    assert {row["part"] for row in rows} == {"sealed", "test"}, "these runs record no matrix"
    for place, run in enumerate(runs):
        claim = read_evidence(run, read_run(run), 400).verdicts[0].claim
        for of in claim.generators:
            key = ("sealed", GENIMAGE.get(of.generator).title)
            row = next(row for row in rows if (row["part"], row["generator"]) == key)
            assert row["winners"][place]["value"] == pytest.approx(of.comparison.candidate.value)
            assert row["baselines"][place]["high"] == pytest.approx(of.comparison.baseline.high)


def test_the_figure_has_words_a_table_and_a_look_for_each_run(tmp_path):
    folders = [write_run(tmp_path / str(i), [trial(0, 0.6), trial(1, 0.6 + i / 20)]) for i in range(MOST)]
    page = Page(compared(folders, tmp_path / "out")["index.html"])
    described = [
        value for _, key, value in page.attributes if key == "aria-label" and "Accuracy of the" in value
    ]
    assert len(described) == page.tags.count("svg") == page.tags.count("details") == 1
    assert (
        "ADM (validation images, one seed): A 0.600, B 0.650, C 0.700, D 0.750, E 0.800, F 0.850"
        in described[0]
    )
    styles = {value for tag, key, value in page.attributes if tag == "use" and key == "style"}
    colours = {match for style in styles for match in re.findall(r"stroke: (var\([^)]*\))", style)}
    assert len(colours) == MOST


def test_every_stage_of_a_run_can_be_compared(tmp_path):
    stages = [
        [],
        [trial(0, None, "failed")],
        [trial(0, 0.6)],
        cut_off_trials(),
        [trial(1, 0.6) | {"epochs": [{"epoch": 1}]}],
    ]
    folders = [write_run(tmp_path / str(i), r, timing=None if i % 2 else {}) for i, r in enumerate(stages)]
    found = compared(folders, tmp_path / "out")
    text, markdown = plain(found)
    assert "still going on, or cut off" in text and "search ended, no finalists" in markdown
    assert "No trial has finished yet" in text
    assert "4 of 10 planned completed, 1 stopped early, 1 failed, 2 interrupted" in markdown
    nothing = compared(folders[:2], tmp_path / "nothing")
    assert "No run has a completed trial yet." in plain(nothing)[0]


def test_finalists_in_training_are_counted(runs, tmp_path):
    run = with_finalists(tmp_path / "run")
    change_finalists(run, seal=None, runs=[{"name": "baseline", "seed": 0, "state": "completed"}])
    loaded = data([runs[0], run], tmp_path / "out")["runs"][1]
    assert loaded["status"] == "search ended, finalists not tested (1 of 6 trainings completed)"
    assert loaded["sealed"] is None


def test_device_hours_are_training_and_evaluation_alone(tmp_path):
    run = write_run(tmp_path / "run", [trial(0, 0.6), trial(1, None, "failed")])
    (run / "finalists").mkdir()
    (run / "finalists" / "trials.jsonl").write_text(json.dumps(trial(0, 0.6, epochs=2)) + "\n")
    other = write_run(tmp_path / "other", [])
    loaded = data([run, other], tmp_path / "out")["runs"]
    assert loaded[0]["search_device_hours"] == pytest.approx(3 * 8 / 3600)  # three epochs of 6 s and 2 s
    assert loaded[0]["finalists_device_hours"] == pytest.approx(2 * 8 / 3600)
    assert (loaded[1]["search_device_hours"], loaded[1]["finalists_device_hours"]) == (0, None)


def test_simulated_runs_are_named_above_everything(tmp_path):
    real = write_run(tmp_path / "real", ten_trials(), simulated=False)
    two = [write_run(tmp_path / "mini", ten_trials()), real]
    for text in plain(compared(two, tmp_path / "out")):
        assert "Simulated data: the images of A come from" in text
    other = write_run(tmp_path / "other", ten_trials(), simulated=False)
    assert not any("imulated data" in text for text in plain(compared([real, other], tmp_path / "real_out")))


def test_hostile_names_stay_text(tmp_path):
    changes = {"name": HOSTILE, "detector": HOSTILE, "commit": HOSTILE, "data": {"fingerprint": HOSTILE}}
    bad = write_run(
        tmp_path / "<b>bad|`*", [trial(0, 0.6), trial(1, 0.7, config={HOSTILE: HOSTILE})], **changes
    )
    (bad / "space.yaml").write_text(json.dumps({"name": HOSTILE, HOSTILE: {HOSTILE: HOSTILE}}))
    good = write_run(tmp_path / "good", ten_trials())
    (good / "space.yaml").write_text("name: fft")
    found = compared([bad, good], tmp_path / "out")
    page = Page(found["index.html"])
    assert "script" not in page.tags and "a" not in page.tags and "b" not in page.tags
    assert HOSTILE in "".join(page.text)
    assert "<script" not in found["comparison.md"] and "<b>" not in found["comparison.md"]
    assert not re.search(r"(?<!\\)\]\(http", found["comparison.md"])


def test_the_same_records_give_the_same_bytes(runs, files, tmp_path):
    assert compared(runs, tmp_path / "out") == files


def test_only_an_earlier_comparison_is_written_over(tmp_path):
    two = [write_run(tmp_path / name, ten_trials()[:2]) for name in "ab"]
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "new", tmp_path / "empty"):
        assert write_comparison(two, out) == write_comparison(two, out) == out / "index.html"
    (tmp_path / "file").write_text("")
    for other, said in ((two[0], "holds something else"), (tmp_path / "file", "is a file")):
        before = sorted(Path(tmp_path).rglob("*"))
        with pytest.raises(ValueError, match=said):
            write_comparison(two, other)
        assert sorted(Path(tmp_path).rglob("*")) == before
    (tmp_path / "new" / "comparison.json").write_text('{"kind": "shopping list"}')
    with pytest.raises(ValueError, match="holds something else"):
        write_comparison(two, tmp_path / "new")
