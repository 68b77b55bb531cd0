"""Winner against winner of two runs: what follows from paired scores, and when nothing does."""

import json
from dataclasses import replace

import pandas as pd
import pytest
from comparing import WORLD, change_finalists, compared, data, plain, with_finalists


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two whose images are the same; the winner of the second is truly better. Tests only read them."""
    folder = tmp_path_factory.mktemp("runs")
    return [with_finalists(folder / "plain"), with_finalists(folder / "better", 0.15)]


@pytest.fixture(scope="module")
def files(runs, tmp_path_factory):
    return compared(runs, tmp_path_factory.mktemp("out") / "deep" / "comparison")


def test_winners_are_paired_image_by_image(runs, files):
    """The difference, once more by pandas from the raw files."""
    pairs = {pair["part"]: pair for pair in json.loads(files["comparison.json"])["winners"]["pairs"]}
    assert set(pairs) == {"sealed", "test"}
    images = pd.read_parquet(runs[0] / "scores" / "images.parquet")
    reached = []
    for run in runs:
        winner = json.loads((run / "finalists.json").read_text())["configurations"][1]["name"]
        tables = [pd.read_parquet(run / f"finalists/scores/{winner}_seed_{s}.parquet") for s in range(3)]
        table = pd.concat(tables, keys=range(3), names=["seed"]).reset_index(level=0)
        table = table.merge(images, on=["generator", "part", "image"]).query("part == 'sealed'")
        table["right"] = (table["logit"] > 0) == (table["label"] == 1)
        reached.append(table.groupby(["seed", "fold", "generator", "label"])["right"].mean().mean())
    sealed = pairs["sealed"]["comparison"]
    assert (sealed["baseline"]["value"], sealed["candidate"]["value"]) == pytest.approx(reached)
    assert sealed["difference"]["value"] == pytest.approx(reached[1] - reached[0])
    assert pairs["sealed"]["verdict"] == "improves" and sealed["difference"]["low"] > 0
    text, markdown = plain(files)
    for said in (text, markdown):
        assert "The winner of B is better than that of A on sealed generators" in said
        assert "The images are simulated." in said


def test_the_order_turns_the_sign_and_nothing_else(runs, files, tmp_path):
    turned = data(runs[::-1], tmp_path / "out")
    there, back = (p["winners"]["pairs"][0] for p in (json.loads(files["comparison.json"]), turned))
    assert (there["verdict"], back["verdict"]) == ("improves", "worse")
    there, back = (found["comparison"]["difference"] for found in (there, back))
    assert back["value"] == pytest.approx(-there["value"])
    assert back["low"] == pytest.approx(-there["high"], abs=0.03)  # other resamples


def test_of_several_pairs_nothing_is_claimed(runs, tmp_path):
    third = with_finalists(tmp_path / "third", 0.1)
    found = compared([*runs, third], tmp_path / "out")
    pairs = json.loads(found["comparison.json"])["winners"]["pairs"]
    assert [p["one"] + p["other"] for p in pairs] == ["AB", "AB", "AC", "AC"]
    assert {p["verdict"] for p in pairs} == {None}
    text, _ = plain(found)
    assert "Nothing is claimed of several pairs" in text and "is better than that of" not in text


def test_one_seed_tells_nothing(tmp_path):
    world = replace(WORLD, seeds=1)
    two = [with_finalists(tmp_path / str(gain), gain, world) for gain in (0.0, 0.2)]
    pair = data(two, tmp_path / "out")["winners"]["pairs"][0]
    assert pair["verdict"] == "no evidence" and "One seed shows no difference" in pair["sentence"]


def test_winners_that_cannot_be_paired_say_why(runs, tmp_path):
    def obstacle(change):
        other = with_finalists(tmp_path / "other", 0.15)
        change(other)
        found = data([runs[0], other], tmp_path / "out")["winners"]
        assert found["pairs"] == []
        return found["obstacles"][0]

    def exchange_images(run):
        path = run / "scores" / "images.parquet"
        table = pd.read_parquet(path)
        table.loc[table["part"] == "sealed", "path"] = "others.png"
        table.to_parquet(path)

    assert "other fresh seeds" in obstacle(lambda run: change_finalists(run, seeds=[7, 8, 9]))
    assert "B has no tested finalists" in obstacle(lambda run: (run / "finalists.json").unlink())
    assert "tested on other images" in obstacle(exchange_images)
    assert "tested on other images" in obstacle(lambda run: change_finalists(run, opened_before=["vqdm"]))


def test_a_run_planned_when_another_was_unsealed_is_noted(runs, tmp_path):
    later = with_finalists(tmp_path / "later", 0.1, started="2026-11-23T13:00:00+00:00")  # opened at 12:00
    notes = data([runs[0], later], tmp_path / "out")["notes"]
    assert next(note for note in notes if "opened its seal" in note).startswith("B began after A had opened")
    assert not any("opened its seal" in n for n in data(runs, tmp_path / "two")["notes"])
