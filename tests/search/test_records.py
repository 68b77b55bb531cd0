import json
from dataclasses import asdict

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

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def records(tmp_path, clock):
    return Records(tmp_path, OBJECTIVE, EPOCHS)


def begin(records, number, **params):
    return records.begin(number, "searched" if number else "baseline", params)


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
    begin(records, number, **params)
    for epoch, value in enumerate(values, start=1):
        records.add(number, result(epoch, value))
    return records.finish(number, error=error, interrupted=interrupted)


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
    assert begin(records, 2).state == "running"
    record = play(records, 1, values, error=error, interrupted=interrupted)
    assert record.state == state and record.error == error
    assert lines(records)[0]["state"] == state
    assert records.count(state) == 1 and records.count("running") == 1


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
    assert (second["number"], second["state"], second["retries"]) == (1, "stopped", 0)
    assert [epoch["epoch"] for epoch in first["epochs"]] == [1, 2]
    epoch = second["epochs"][0]
    assert all(epoch[name] == 0.7 for name in METRICS)
    assert epoch["matrix"] == {"adm": {"sd14": {"accuracy": 0.7}}} and epoch["losses"] == {"adm": 0.5}
    assert (epoch["train_s"], epoch["eval_s"], epoch["wait_s"]) == (1.0, 0.5, 0.1)


def test_a_batch_that_had_to_be_divided_is_noted_where_it_was(records):
    begin(records, 0)
    records.add(0, result(1, 0.5))
    records.add(0, {**result(2, 0.5), "micro_batch": 16})
    records.finish(0)
    play(records, 1, [0.5, 0.6])
    assert [epoch.get("micro_batch", "whole") for epoch in lines(records)[0]["epochs"]] == ["whole", 16]
    assert all("micro_batch" not in epoch for epoch in lines(records)[1]["epochs"])
    table = pd.read_csv(records.run_dir / "trials.csv")
    assert table["micro_batch"][0] == 16 and pd.isna(table["micro_batch"][1])


def test_lines_are_written_as_trials_finish(records):
    for number in (0, 1):
        begin(records, number)
        records.add(number, result(1, 0.5))
    assert not (records.run_dir / "trials.jsonl").exists()
    records.finish(1)
    assert [line["number"] for line in lines(records)] == [1]
    records.finish(0)
    assert [line["number"] for line in lines(records)] == [1, 0]


def test_the_table_has_a_row_per_finished_trial_by_number(records):
    play(records, 1, [0.5, 0.7], noise_scale=0.3)
    play(records, 0, [0.5, 0.6])
    play(records, 2, [], error="a worker died, twice", mask_kind="ring")
    begin(records, 3)
    records.write_table()
    table = pd.read_csv(records.run_dir / "trials.csv")
    assert table["number"].tolist() == [0, 1, 2]
    assert table["state"].tolist() == ["completed", "completed", "failed"]
    assert table["epoch"].tolist() == [2, 2, 0]
    assert table[OBJECTIVE].tolist()[:2] == [0.6, 0.7] and pd.isna(table[OBJECTIVE][2])
    assert table["train_s"].tolist() == [2.0, 2.0, 0.0] and table["eval_s"].tolist() == [1.0, 1.0, 0.0]
    assert table["config/noise_scale"][1] == 0.3 and pd.isna(table["config/noise_scale"][0])
    assert table["error"][2] == "a worker died, twice"


def test_the_table_is_not_written_again_after_each_of_thousands_of_trials(records, clock, monkeypatch):
    written = []
    monkeypatch.setattr(module.pd.DataFrame, "to_csv", lambda *_, **__: written.append(wait(clock, 1.0)))
    monkeypatch.setattr(module.Path, "replace", lambda *_: None)
    for number in range(120):
        wait(clock, 1.0)
        play(records, number, [0.5, 0.6])
    assert len(written) == 3  # one second of writing in fifty


def wait(clock, seconds):
    clock.now += seconds


def test_an_epoch_that_a_retry_went_through_again_replaces_the_first(records):
    record = begin(records, 0)
    records.add(0, result(1, 0.5))
    records.add(0, result(2, 0.6))
    assert records.retry(0, "the worker died").retries == 1
    records.add(0, result(1, 0.55))
    assert [(e["epoch"], e[OBJECTIVE]) for e in record.epochs] == [(1, 0.55)]
    records.add(0, result(2, 0.65))
    assert records.finish(0).state == "completed"
    assert [e[OBJECTIVE] for e in lines(records)[0]["epochs"]] == [0.55, 0.65]


def test_records_that_are_opened_again_are_as_they_were_left(records):
    records.open_session(990.0, 2, 1)
    play(records, 0, [0.5, 0.6])
    play(records, 1, [0.7], noise_scale=0.3)
    play(records, 2, [0.5], error="a worker died", mask_kind="ring")
    play(records, 3, [0.5], interrupted=True)
    begin(records, 4, noise_scale=0.1)
    records.add(4, result(1, 0.7))
    records.retry(4, "a worker died")
    again = Records(records.run_dir, OBJECTIVE, EPOCHS)
    assert [asdict(again.trials[number]) for number in range(4)] == lines(records)
    assert again.trials[4] == records.trials[4] and again.sessions == records.sessions
    for number in range(4):
        again.trials[number].forget_matrices()
    assert again.trials == records.trials
    assert again.timing() == records.timing()


def test_matrices_of_trials_that_have_ended_are_on_the_disk_alone(records):
    play(records, 0, [0.5, 0.6])
    begin(records, 1)
    running = records.add(1, result(1, 0.5))
    assert "matrix" in running.epochs[0]
    assert [epoch.keys() & {"matrix", "losses"} for epoch in records.trials[0].epochs] == [{"losses"}] * 2
    assert all(epoch["matrix"] for epoch in lines(records)[0]["epochs"])


def test_a_trial_that_is_resumed_forgets_what_came_after_its_checkpoint(records):
    play(records, 0, [0.5, 0.6])
    play(records, 1, [0.5], interrupted=True)
    begin(records, 2)
    records.add(2, result(1, 0.7))
    assert records.resume(1, 1).state == "running" and records.resume(2, 0).epochs == []
    again = Records(records.run_dir, OBJECTIVE, EPOCHS)
    assert [(r.state, r.reached) for r in again.in_order()] == [
        ("completed", 2),
        ("running", 1),
        ("running", 0),
    ]
    again.add(1, result(2, 0.8))
    again.finish(1)
    assert [(line["number"], line["state"]) for line in lines(again)] == [
        (0, "completed"),
        (1, "interrupted"),
        (1, "completed"),
    ]


def test_room_that_changed_is_known_when_records_are_opened_again(records):
    records.open_session(990.0, 4, 2)
    records.note_room(1)
    again = Records(records.run_dir, OBJECTIVE, EPOCHS)
    assert [groups for _, groups in again.sessions[-1].room] == [1]
    assert again.sessions == records.sessions
