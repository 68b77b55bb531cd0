import json

import pytest
from synthetic_run import environment, ten_trials, trial, write_run

from reports.records import Base, Shortcuts, read_run


def test_the_shortcut_check_is_read_where_it_is_recorded(tmp_path):
    write_run(tmp_path / "old")
    assert read_run(tmp_path / "old").environment.shortcuts is None
    write_run(tmp_path / "new", shortcuts={"level": "shortcut", "sentences": ["Format tells.", "Align."]})
    assert read_run(tmp_path / "new").environment.shortcuts == Shortcuts(
        "shortcut", ("Format tells.", "Align.")
    )


def test_everything_is_read(tmp_path):
    records = read_run(write_run(tmp_path, ten_trials(), best=True))
    assert [t.number for t in records.trials] == list(range(10))
    assert [t.state for t in records.trials].count("stopped") == 3
    best = records.trials[7]
    assert best.final("off_family_accuracy") == 0.712
    assert [e.epoch for e in best.epochs] == [1, 2, 3]
    assert best.epochs[-1].matrix["sd14"]["adm"].images == 160
    assert best.epochs[-1].seconds == {"train_s": 6.0, "eval_s": 2.0, "wait_s": 0.5}
    assert "train_s" not in best.epochs[-1].metrics
    assert records.environment.folds[1].off_family == ("glide", "adm")
    assert records.timing["goodput"] == 0.913
    assert records.has_best


def test_a_run_that_has_just_begun_has_no_trials(tmp_path):
    write_run(tmp_path, timing=None)
    (tmp_path / "trials.jsonl").unlink()
    records = read_run(tmp_path)
    assert records.trials == () and records.timing is None and not records.has_best


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "n/a"])
def test_numbers_that_are_not_finite_become_none(tmp_path, value):
    record = trial(0, 0.6)
    record["epochs"][-1]["off_family_accuracy"] = value
    record["epochs"][-1]["matrix"]["sd14"]["adm"]["accuracy"] = value
    (read,) = read_run(write_run(tmp_path, [record])).trials
    assert read.final("off_family_accuracy") is None
    assert read.epochs[-1].matrix["sd14"]["adm"].accuracy is None


def test_overflowing_numbers_become_none(tmp_path):
    write_run(tmp_path, [trial(0, 0.6, config={"x": 1})])
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text().replace('"x": 1', '"x": 1.0e999'))
    assert read_run(tmp_path).trials[0].config == {"x": None}


def test_missing_metrics_and_matrix_are_survived(tmp_path):
    (read,) = read_run(write_run(tmp_path, [trial(1, epochs=0) | {"epochs": [{"epoch": 1}]}])).trials
    assert read.final("off_family_accuracy") is None
    assert read.epochs[0].matrix == {}


def test_a_line_that_is_still_being_written_is_left_out(tmp_path):
    write_run(tmp_path, [trial(0, 0.6), trial(1, 0.7)])
    path = tmp_path / "trials.jsonl"
    text = path.read_text()
    path.write_text(text[:-40])
    assert [t.number for t in read_run(tmp_path).trials] == [0]
    path.write_text(text.rstrip("\n"))
    assert [t.number for t in read_run(tmp_path).trials] == [0, 1]


def test_the_last_record_of_a_trial_counts(tmp_path):
    records = read_run(write_run(tmp_path, [trial(1, 0.6), trial(0, 0.5), trial(1, 0.7)]))
    assert [(t.number, t.final("off_family_accuracy")) for t in records.trials] == [(0, 0.5), (1, 0.7)]


def test_simulated_follows_the_data_where_it_is_not_said(tmp_path):
    write_run(tmp_path)
    path = tmp_path / "environment.json"
    for kind, simulated in (("mini", True), ("directory", False)):
        record = environment(data={"root_kind": kind})
        del record["simulated"]
        path.write_text(json.dumps(record))
        assert read_run(tmp_path).environment.simulated is simulated


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{garbled", "line 2 is not valid JSON"),
        ("[1]", "line 2 must hold a JSON object, got list"),
        ('{"number": "x", "role": "searched", "state": "failed"}', "line 2, number: expected int, got 'x'"),
        ('{"number": true, "role": "searched", "state": "failed"}', "line 2, number: expected int, got True"),
        ('{"number": 1, "role": "judge", "state": "failed"}', "role must be one of baseline, searched"),
        (
            '{"number": 1, "role": "searched"}',
            "state must be one of completed, stopped, failed, interrupted, got None",
        ),
        (
            '{"number": 1, "role": "searched", "state": "failed", "epochs": [3]}',
            "line 2, epochs: expected dict",
        ),
        ('{"number": 1, "role": "searched", "state": "failed", "config": 3}', "config: expected dict, got 3"),
    ],
)
def test_a_garbled_trial_is_named_with_its_line(tmp_path, line, says):
    write_run(tmp_path, [trial(0, 0.6)])
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"trials\.jsonl, line 2") as caught:
        read_run(tmp_path)
    assert says in str(caught.value)


def test_an_interrupted_trial_is_read_with_and_without_epochs(tmp_path):
    records = [trial(0, 0.6), trial(1, 0.7, "interrupted", epochs=1), trial(2, None, "interrupted")]
    read = read_run(write_run(tmp_path, records)).trials
    assert [t.state for t in read] == ["completed", "interrupted", "interrupted"]
    assert [len(t.epochs) for t in read] == [3, 1, 0]


def test_the_base_is_read_where_it_is_recorded(tmp_path):
    base = {"kind": "generator", "generators": ["sd14"], "simulated": True, "format_alignment": "jpeg96"}
    write_run(tmp_path / "new", base=base, data={"format_alignment": "none"})
    environment = read_run(tmp_path / "new").environment
    assert environment.base == Base(simulated=True, format_alignment="jpeg96")
    assert environment.format_alignment == "none"
    old = read_run(write_run(tmp_path / "old")).environment
    assert old.base == Base(simulated=False, format_alignment=None) and old.format_alignment is None


def test_a_garbled_base_is_named(tmp_path):
    write_run(tmp_path, base={"kind": "scratch", "simulated": "maybe"})
    with pytest.raises(ValueError, match=r"environment\.json, base, simulated: expected bool, got 'maybe'"):
        read_run(tmp_path)


def test_a_garbled_environment_is_named(tmp_path):
    write_run(tmp_path)
    path = tmp_path / "environment.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"environment\.json is not valid JSON"):
        read_run(tmp_path)
    path.write_text('{"name": "fft"}')
    with pytest.raises(ValueError, match=r"environment\.json, objective: expected str"):
        read_run(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match="is not a run directory"):
        read_run(tmp_path)
