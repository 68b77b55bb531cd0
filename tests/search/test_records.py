import json

import pandas as pd
import pytest

from search import records as module
from search.records import METRICS, Records

OBJECTIVE = "off_family_accuracy"
EPOCHS = 2


class Clock:
    def __init__(self):
        self.now = 1000.0

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def records(tmp_path, clock):
    return Records(tmp_path, OBJECTIVE, EPOCHS, started=1000.0)


def config(number, **params):
    return {"number": number, "role": "searched" if number else "baseline", "params": params}


def result(epoch, value, *, started=1000.0, train_s=1.0, eval_s=0.5, busy_s=1.5):
    return {
        **dict.fromkeys(METRICS, value),
        "epoch": epoch,
        "train_loss": 0.5,
        "losses": {"adm": 0.5},
        "train_s": train_s,
        "eval_s": eval_s,
        "wait_s": 0.1,
        "busy_s": busy_s,
        "started": started,
        "matrix": {"adm": {"sd14": {"accuracy": value}}},
        "done": False,
        "trial_id": "of Ray",
    }


def play(records, number, values, *, error=None, interrupted=False, **params):
    name = f"t{number}"
    records.begin(name, config(number, **params)).error = error
    for epoch, value in enumerate(values, start=1):
        records.add(name, result(epoch, value))
    return records.finish(name, interrupted=interrupted)


def lines(records):
    return [json.loads(line) for line in (records.run_dir / "trials.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("values", "error", "interrupted", "state"),
    [
        ([0.5, 0.6], None, False, "completed"),
        ([0.5, 0.6], None, True, "completed"),
        ([0.5], None, False, "stopped"),
        ([0.5], None, True, "interrupted"),
        ([], None, False, "failed"),
        ([], None, True, "interrupted"),
        ([0.5, 0.6], "the worker died", False, "failed"),
        ([0.5], "the worker died", True, "failed"),
        ([0.5, float("nan")], None, False, "failed"),
        ([float("nan")], None, True, "failed"),
    ],
)
def test_states(records, values, error, interrupted, state):
    assert records.begin("t1", config(1)).state == "running"
    record = play(records, 1, values, error=error, interrupted=interrupted)
    assert record.state == state and record.error == error
    assert lines(records)[0]["state"] == state
    assert records.count(state) == 1 and records.count("running") == 0


def test_the_best_is_the_first_of_the_highest_that_were_completed(records):
    assert records.best is None and records.baseline is None
    play(records, 0, [0.5, 0.6])
    play(records, 3, [0.5, 0.8])
    play(records, 1, [0.5, 0.8])
    play(records, 2, [0.95])
    play(records, 4, [0.5, 0.99], error="died at the end")
    assert records.best.number == 1 and records.baseline.number == 0
    assert records.best.value(OBJECTIVE) == 0.8
    assert [records.count(state) for state in ("completed", "stopped", "failed")] == [3, 1, 1]


def test_the_value_is_that_of_the_last_epoch(records):
    assert play(records, 0, [0.9, 0.6]).value(OBJECTIVE) == 0.6


def test_a_line_holds_everything_about_a_trial(records):
    play(records, 0, [0.5, 0.6])
    play(records, 1, [0.7], noise_scale=0.3, mask_kind="ring")
    first, second = lines(records)
    assert first["role"] == "baseline" and first["config"] == {} and first["error"] is None
    assert second["config"] == {"noise_scale": 0.3, "mask_kind": "ring"}
    assert (second["number"], second["trial_id"], second["state"], second["retries"]) == (
        1,
        "t1",
        "stopped",
        0,
    )
    assert [epoch["epoch"] for epoch in first["epochs"]] == [1, 2]
    epoch = second["epochs"][0]
    assert all(epoch[name] == 0.7 for name in METRICS)
    assert epoch["matrix"] == {"adm": {"sd14": {"accuracy": 0.7}}} and epoch["losses"] == {"adm": 0.5}
    assert (epoch["train_s"], epoch["eval_s"], epoch["wait_s"]) == (1.0, 0.5, 0.1)


def test_lines_are_written_as_trials_finish(records):
    records.begin("a", config(0))
    records.begin("b", config(1))
    records.add("a", result(1, 0.5))
    assert not (records.run_dir / "trials.jsonl").exists()
    records.add("b", result(1, 0.6))
    records.finish("b")
    assert [line["number"] for line in lines(records)] == [1]
    records.finish("a")
    assert [line["number"] for line in lines(records)] == [1, 0]


def test_the_table_has_a_row_per_finished_trial_by_number(records):
    play(records, 1, [0.5, 0.7], noise_scale=0.3)
    play(records, 0, [0.5, 0.6])
    play(records, 2, [], error="a worker died, twice", mask_kind="ring")
    records.begin("t3", config(3))
    table = pd.read_csv(records.run_dir / "trials.csv")
    assert table["number"].tolist() == [0, 1, 2]
    assert table["state"].tolist() == ["completed", "completed", "failed"]
    assert table["epoch"].tolist() == [2, 2, 0]
    assert table[OBJECTIVE].tolist()[:2] == [0.6, 0.7] and pd.isna(table[OBJECTIVE][2])
    assert table["train_s"].tolist() == [2.0, 2.0, 0.0] and table["eval_s"].tolist() == [1.0, 1.0, 0.0]
    assert table["config/noise_scale"][1] == 0.3 and pd.isna(table["config/noise_scale"][0])
    assert table["error"][2] == "a worker died, twice"


def test_an_epoch_that_a_retry_went_through_again_replaces_the_first(records):
    record = records.begin("a", config(0))
    records.add("a", result(1, 0.5))
    records.add("a", result(2, 0.6))
    assert records.begin("a", config(0)) is record
    records.add("a", result(1, 0.55))
    assert [(e["epoch"], e[OBJECTIVE]) for e in record.epochs] == [(1, 0.55)]
    records.add("a", result(2, 0.65))
    assert records.finish("a").state == "completed"
    assert [e[OBJECTIVE] for e in lines(records)[0]["epochs"]] == [0.55, 0.65]


def test_timing_before_anything_has_happened(records, clock):
    clock.now = 1007.0
    assert records.timing(2, 1) == {"wall_s": 7.0}
    records.begin("a", config(0))
    assert records.timing(2, 1) == {"wall_s": 7.0}


def tell(records, clock, now, name, epoch, **seconds):
    clock.now = now
    records.add(name, result(epoch, 0.5, **seconds))


def test_timing_of_a_sequence_worked_by_hand(records, clock):
    records.begin("a", config(0))
    tell(records, clock, 1015.0, "a", 1, started=1010.0, train_s=6.0, eval_s=2.0, busy_s=4.0)
    tell(records, clock, 1020.0, "a", 2, started=1015.5, train_s=6.0, eval_s=2.0, busy_s=4.0)
    records.finish("a")
    records.begin("b", config(1))
    tell(records, clock, 1026.0, "b", 1, started=1020.5, train_s=7.0, eval_s=3.0, busy_s=5.0)
    records.finish("b")
    clock.now = 1030.0
    timing = records.timing(slots=2, groups=1)
    assert timing == pytest.approx(
        {
            "wall_s": 30.0,
            "startup_s": 10.0,
            "first_result_s": 15.0,
            "train_s": 19.0,
            "eval_s": 7.0,
            "held_s": 32.0,  # two workers from 1010 to 1026
            "goodput": 26 / 32,
            "overhead_per_trial_s": 1.0,  # from 1020 to 1026, five of these busy
            "workers": 2,
        }
    )


def test_one_trial_has_no_overhead_of_later_ones(records, clock):
    records.begin("a", config(0))
    tell(records, clock, 1015.0, "a", 1, started=1010.0, train_s=4.0, eval_s=1.0, busy_s=5.0)
    timing = records.timing(slots=1, groups=1)
    assert timing["overhead_per_trial_s"] is None and timing["goodput"] == 1.0


def test_trials_side_by_side_that_are_always_busy_have_no_overhead(records, clock):
    for name, number in (("a", 0), ("b", 1)):
        records.begin(name, config(number))
    tell(records, clock, 1010.0, "a", 1, started=1000.0, train_s=9.0, eval_s=1.0, busy_s=10.0)
    tell(records, clock, 1012.0, "b", 1, started=1000.0, train_s=11.0, eval_s=1.0, busy_s=12.0)
    timing = records.timing(slots=2, groups=2)
    assert timing["goodput"] == pytest.approx(22 / 24)
    assert 0 <= timing["overhead_per_trial_s"] <= 2  # the first worker idles for two seconds at the end
