import json
import math

import numpy as np
import pandas as pd
import pytest
from ray.tune.search import Searcher
from synthetic_epoch import result

from search.final_scores import keep_detectors, open_seal
from search.finalists import (
    FOLDER,
    begin_summary,
    can_be_compared,
    choose_finalists,
    draw_seeds,
    list_trainings,
    note_runs,
    read_summary,
    trainings_of,
)
from search.fixed_search import FixedSearch, unfinished
from search.image_scores import keep_scores, read_logits, tabulate_logits, write_logits
from search.records import METRICS, Records
from search.resume import ENVIRONMENT, FINALISTS, read_resumed
from search.scheduler import Deadline
from search.space import Space, dump_space
from search.winner import keep_finalist

OBJECTIVE = METRICS[0]
EPOCHS = 2
SPACE = Space(
    name="tiny",
    protocol={"search": ["sd14", "adm"], "sealed": ["vqdm"]},
    detector={"base": "generator:sd14"},
    training={"epochs": EPOCHS},
    finalists={"top": 2, "seeds": 3, "test_per_class": 7},
    space={"noise_scale": {"low": 0.1, "high": 1.0}},
)


def play(records, number, value, *, epochs=EPOCHS, config=None, **end):
    """A trial from start to end."""
    role = "searched" if number else "baseline"
    records.begin(number, role, {"noise_scale": number / 10} if config is None and number else config or {})
    for epoch in range(1, epochs + 1):
        records.add(number, {**result(epoch), OBJECTIVE: value, "busy_s": 1.0, "started": 1.0})
    records.finish(number, **end)


@pytest.fixture
def records(tmp_path):
    records = Records(tmp_path, OBJECTIVE, EPOCHS)
    for number, value in enumerate((0.5, 0.6, 0.8, 0.7)):
        play(records, number, value)
    return records


@pytest.fixture
def summary(records):
    return begin_summary(SPACE, records, sealed=("vqdm",), opened_before=("adm", "vqdm"), simulated=True)


def names(finalists):
    return [finalist.name for finalist in finalists]


def test_the_baseline_comes_first_and_then_the_best(records):
    assert names(choose_finalists(records, 2)) == ["baseline", "trial_0002", "trial_0003"]
    assert [f.search_value for f in choose_finalists(records, 9)] == [0.5, 0.8, 0.7, 0.6]


def test_only_what_completed_is_chosen_and_each_configuration_once(records):
    play(records, 4, 0.99, epochs=1)  # stopped
    play(records, 5, 0.98, error="a cause")
    play(records, 6, 0.97, epochs=1, interrupted=True)
    play(records, 7, 0.9, config={"noise_scale": 0.3})  # as trial 3, better
    play(records, 8, 0.8)  # as good as trial 2, later
    assert names(choose_finalists(records, 4)) == [
        "baseline",
        "trial_0007",
        "trial_0002",
        "trial_0008",
        "trial_0001",
    ]


@pytest.mark.parametrize("failed", [0, 1])
def test_without_one_of_both_there_is_nothing_to_compare(tmp_path, failed):
    records = Records(tmp_path, OBJECTIVE, EPOCHS)
    for number in (0, 1):
        play(records, number, 0.5, error="a cause" if number == failed else None)
    assert choose_finalists(records, 3) == []
    assert begin_summary(SPACE, records, sealed=(), opened_before=(), simulated=True) is None
    assert not (tmp_path / FINALISTS).exists()


def test_seeds_are_fresh_and_those_of_the_search():
    assert draw_seeds(0, 5) == draw_seeds(0, 9)[:5] and len(set(draw_seeds(0, 9))) == 9
    assert not set(draw_seeds(0, 9)) & set(draw_seeds(1, 9)) and 0 not in draw_seeds(0, 9)


def test_all_are_trained_with_the_same_seeds_one_seed_after_the_other(records):
    finalists = choose_finalists(records, 1)
    trainings = list_trainings(finalists, (11, 22))
    assert [(t.number, t.finalist, t.seed, t.draw) for t in trainings] == [
        (0, "baseline", 11, 0),
        (1, "trial_0002", 11, 0),
        (2, "baseline", 22, 1),
        (3, "trial_0002", 22, 1),
    ]
    assert [t.params for t in trainings] == [{}, {"noise_scale": 0.2}] * 2


def test_finalists_are_chosen_once(records, summary):
    assert summary["sealed"] == ["vqdm"] and summary["opened_before"] == ["vqdm"] and summary["seal"] is None
    play(records, 4, 0.99)
    again = begin_summary(SPACE, records, sealed=("vqdm",), opened_before=(), simulated=True)
    assert again == summary == json.loads((records.run_dir / FINALISTS).read_text())
    assert {training.finalist for training in trainings_of(again)} == {"baseline", "trial_0002", "trial_0003"}


def test_the_seal_is_opened_once(records, summary):
    open_seal(records.run_dir, summary, ["python", "first"])
    first = read_summary(records.run_dir)["seal"]
    assert first["generators"] == ["vqdm"] and first["command"] == ["python", "first"]
    open_seal(records.run_dir, summary, ["python", "second"])
    assert read_summary(records.run_dir)["seal"] == first


def fixed(summary, records, limit=lambda: 2, until=math.inf):
    identities = {seed: {"sd14": f"images {seed}"} for seed in summary["seeds"]}
    return FixedSearch(trainings_of(summary), Deadline(until), records, limit, FOLDER, identities)


@pytest.fixture
def inner(tmp_path):
    folder = tmp_path / FOLDER
    folder.mkdir()
    return Records(folder, OBJECTIVE, EPOCHS)


def test_each_training_is_suggested_once_while_there_is_room(summary, inner):
    searcher = fixed(summary, inner)
    first, second, none = (searcher.suggest(name) for name in "abc")
    assert [c["number"] for c in (first, second)] == [0, 1] and none is None
    seed = summary["seeds"][0]
    assert first["seed"] == second["seed"] == seed and first["from_epoch"] == 0
    assert first["folder"] == FOLDER and first["identities"] == {"sd14": f"images {seed}"}
    assert (first["params"], second["params"]) == ({}, {"noise_scale": 0.2})
    searcher.on_trial_complete("a")
    assert searcher.suggest("c")["number"] == 2
    assert inner.trials[1].config == {"finalist": "trial_0002", "seed": 0, "noise_scale": 0.2}
    for name in "defghi":
        searcher.on_trial_complete(name)
    searcher.on_trial_complete("b")
    while (config := searcher.suggest("z")) != Searcher.FINISHED:
        assert config["number"] < 9
        searcher.on_trial_complete("z")
    assert sorted(inner.trials) == list(range(9))


def test_what_was_cut_off_goes_on_first_and_what_has_ended_does_not(summary, inner):
    play(inner, 0, 0.5)
    inner.begin(1, "searched", {})
    inner.add(1, {**result(1), "busy_s": 1.0, "started": 1.0})
    play(inner, 2, 0.5, error="a cause")
    play(inner, 3, 0.5, epochs=1, interrupted=True)
    inner.resume(3, 1)
    assert [t.number for t in unfinished(trainings_of(summary), inner)] == [1, 3, 4, 5, 6, 7, 8]
    config = fixed(summary, inner).suggest("a")
    assert (config["number"], config["from_epoch"]) == (1, 1)


def test_after_the_deadline_nothing_is_suggested(summary, inner):
    assert fixed(summary, inner, until=0.0).suggest("a") == Searcher.FINISHED and not inner.trials


def test_what_became_of_the_trainings_is_noted(summary, inner):
    play(inner, 0, 0.55)
    play(inner, 1, 0.5, error="a cause")
    inner.begin(2, "searched", {})
    note_runs(summary, trainings_of(summary), inner)
    told = [(run["name"], run["seed"], run["state"], run["validation"]) for run in summary["runs"]]
    assert told == [
        ("baseline", 0, "completed", 0.55),
        ("trial_0002", 0, "failed", 0.5),
        ("trial_0003", 0, "running", None),
    ]
    assert not can_be_compared(summary)
    for number in (3, 4):
        play(inner, number, 0.5)
    note_runs(summary, trainings_of(summary), inner)
    assert can_be_compared(summary)


def test_a_search_whose_finalists_are_chosen_takes_no_more_trials(records, summary):
    (records.run_dir / "space.yaml").write_text(dump_space(SPACE))
    (records.run_dir / ENVIRONMENT).write_text("{}")
    assert read_resumed(records.run_dir, None, {})[0] == SPACE
    with pytest.raises(ValueError, match=r"has chosen its finalists.*--warm-start"):
        read_resumed(records.run_dir, None, {"search": {"trials": 99}})


def test_logits_are_kept_as_they_are(tmp_path):
    logits = {"adm": np.array([1.5, -2.0], np.float32), "sd14": np.array([0.0], np.float32)}
    write_logits(tmp_path / "a.logits.npz", logits)
    read = read_logits(tmp_path / "a.logits.npz")
    assert list(read) == ["adm", "sd14"] and all((read[name] == logits[name]).all() for name in logits)
    table = tabulate_logits({"one": logits, "other": {"adm": logits["adm"]}})
    assert table.to_dict("list") == {
        "fold": ["one"] * 3 + ["other"] * 2,
        "generator": ["adm", "adm", "sd14", "adm", "adm"],
        "image": [0, 1, 0, 0, 1],
        "logit": [1.5, -2.0, 0.0, 1.5, -2.0],
    }


def test_what_a_trial_says_of_every_image_outlives_its_checkpoint(records, tmp_path):
    keep_scores(tmp_path, records.trials[1])  # nothing was saved: nothing is kept
    assert not (tmp_path / "scores").exists()
    folder = tmp_path / "checkpoints" / "trial_0001" / f"epoch_{EPOCHS}"
    folder.mkdir(parents=True)
    for fold in ("adm", "sd14"):
        write_logits(folder / f"{fold}.logits.npz", {"adm": np.arange(3, dtype=np.float32)})
    keep_scores(tmp_path, records.trials[1])
    table = pd.read_parquet(tmp_path / "scores" / "trial_0001.parquet")
    assert sorted(table.fold.unique()) == ["adm", "sd14"] and set(table.epoch) == {EPOCHS}
    assert table.logit.tolist() == [0.0, 1.0, 2.0] * 2


def test_the_winner_s_new_detectors_are_the_run_s(records, summary, inner, tmp_path):
    play(inner, 0, 0.5)
    play(inner, 1, 0.5, error="a cause")  # the winner's first seed
    for number in range(2, 9):
        play(inner, number, 0.5)
    for number in range(9):
        folder = tmp_path / FOLDER / "checkpoints" / f"trial_{number:04d}" / f"epoch_{EPOCHS}"
        folder.mkdir(parents=True)
        (folder / "adm.safetensors").write_text(str(number))
    keep_finalist(tmp_path)
    assert not (tmp_path / "best").exists()
    for _ in range(2):  # a second call finds all done
        keep_detectors(tmp_path, summary)
        assert (tmp_path / FOLDER / "best" / "adm.safetensors").read_text() == "4"
        assert not list((tmp_path / FOLDER / "checkpoints").iterdir())
    keep_finalist(tmp_path)
    assert (tmp_path / "best" / "adm.safetensors").read_text() == "4"
    assert json.loads((tmp_path / "best" / "trial.json").read_text())["finalist"] == "trial_0002"
