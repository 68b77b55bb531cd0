import json
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from search.checkpoints import folder_of, partial_folder, seal, secure
from search.records import METRICS, Records
from search.resume import read_resumed, reopen, require_same, sole_writer, write_json
from search.scheduler import Deadline
from search.searcher import StudySearch
from search.space import dump_space, load_space

OBJECTIVE, EPOCHS = "off_family_accuracy", 2
SPACE = """
name: tiny
data: {root: %s, image_size: 32}
protocol: {search: [sd14, adm]}
detector: {name: swin_nano, base: scratch}
training: {epochs: 2}
search: {trials: 8, seed: 3}
space:
  mask_kind: {choices: [none, ring]}
  mask_radius: {low: 0.1, high: 0.5, when: {mask_kind: [ring]}}
  noise_scale: {low: 0.1, high: 1.0}
"""


@pytest.fixture
def run_dir(tmp_path):
    """A run that has begun."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (tmp_path / "space.yaml").write_text(SPACE % tmp_path)
    (run_dir / "space.yaml").write_text(dump_space(load_space(tmp_path / "space.yaml")))
    write_json(run_dir / "environment.json", description())
    return run_dir


def description(**changed):
    return {
        "protocol": {"search": ["sd14", "adm"]},
        "base": {"kind": "scratch"},
        "detector": "swin_nano",
        "objective": OBJECTIVE,
        "epochs": EPOCHS,
        "trials": 8,
        "data": {"fingerprint": "abc", "root": "/somewhere"},
        "started": "now",
        "command": ["python"],
        "commit": "1234",
        "versions": {"torch": "2.1"},
        "hardware": {},
        **changed,
    }


def epoch(number, value):
    rest = {"train_loss": 0.5, "losses": {"sd14": 0.5}, "matrix": {}, "started": 1.0}
    seconds = dict.fromkeys(("train_s", "eval_s", "wait_s", "busy_s"), 1.0)
    return {**dict.fromkeys(METRICS, value), **rest, **seconds, "epoch": number}


def checkpoint(run_dir, number, epoch):
    folder = folder_of(run_dir, number)
    partial_folder(folder, epoch).mkdir(parents=True)
    file = partial_folder(folder, epoch) / "sd14.safetensors"
    file.write_bytes(b"weights" * epoch)
    return seal(folder, epoch, secure(file))


class Search:
    """A search without Ray: study and records hear what Ray Tune would tell them."""

    def __init__(self, run_dir):
        self.run_dir, self.space = run_dir, load_space(run_dir / "space.yaml")
        self.records = Records(run_dir, OBJECTIVE, EPOCHS)
        self.searcher = StudySearch(self.space, run_dir / "study.db", Deadline(float("inf")), self.records)

    def begin(self):
        cut_off = self.searcher._cut_off
        number = cut_off[0].number if cut_off else len(self.records.trials)
        config = self.searcher.suggest(f"t{number}")
        assert config["number"] == number
        return config

    def tell(self, number, at, value, *, saved=True):
        result = epoch(at, value)
        self.searcher.on_trial_result(f"t{number}", result)
        self.records.add(number, result)
        if saved:
            checkpoint(self.run_dir, number, at)
        return result

    def end(self, number, result, *, recorded=True, **how):
        self.searcher.on_trial_complete(f"t{number}", result, **how)
        if recorded:
            self.records.finish(number, error="it broke" if how else None)

    def trials(self):
        return optuna.load_study(
            study_name="tiny", storage=f"sqlite:///{self.run_dir / 'study.db'}"
        ).get_trials()


def reopened(run_dir):
    reopen(Records(run_dir, OBJECTIVE, EPOCHS), run_dir / "study.db", "tiny")
    return Search(run_dir)


def test_every_trial_goes_on_where_its_last_whole_checkpoint_is(run_dir):
    search = Search(run_dir)
    for _ in range(5):
        search.begin()
    search.tell(0, 1, 0.5)
    search.end(0, search.tell(0, 2, 0.6))  # completed
    search.end(1, search.tell(1, 1, 0.4))  # stopped
    search.end(2, None, error=True)  # failed
    search.tell(3, 1, 0.7, saved=False)  # told, but cut off before it was saved
    search.tell(4, 1, 0.7)
    (search.tell(4, 2, 0.8, saved=False), checkpoint(run_dir, 4, 2).joinpath("sd14.safetensors").unlink())
    before = search.trials()

    again = reopened(run_dir)
    assert [(r.state, r.reached) for r in again.records.in_order()] == [
        ("completed", 2),
        ("stopped", 1),
        ("failed", 0),
        ("running", 0),
        ("running", 1),
    ]
    after = again.trials()
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING]
    assert [trial.state for trial in after] == states
    assert [trial.value for trial in after] == [0.6, 0.4, None, None, None]
    assert [trial.intermediate_values for trial in after] == [{1: 0.5, 2: 0.6}, {1: 0.4}, {}, {}, {1: 0.7}]
    assert [t.params for t in after] == [t.params for t in before]
    assert [t.datetime_start for t in after] == [t.datetime_start for t in before]
    configs = [again.begin() for _ in range(3)]
    assert [(c["number"], c["from_epoch"]) for c in configs] == [(3, 0), (4, 1), (5, 0)]
    assert configs[0]["params"] == before[3].params and configs[1]["params"] == before[4].params


def power_cut(*_):
    raise OSError("dark")


def test_a_trial_that_was_suggested_but_not_noted_is_suggested_again(run_dir, monkeypatch):
    search = Search(run_dir)
    search.end(search.begin()["number"], search.tell(0, 2, 0.6))
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(Records, "begin", power_cut)  # between study and journal
        search.searcher.suggest("lost")
    lost = search.trials()[1]
    again = reopened(run_dir)
    assert len(again.trials()) == 1
    config = again.begin()
    assert config["number"] == 1 and config["params"] == lost.params


def test_only_the_word_that_it_had_ended_was_missing(run_dir):
    search = Search(run_dir)
    search.begin()
    search.tell(0, 1, 0.5)
    search.end(0, search.tell(0, 2, 0.6), recorded=False)
    again = reopened(run_dir)
    assert again.records.trials[0].state == "completed" and again.trials()[0].state == TrialState.COMPLETE
    assert json.loads((run_dir / "trials.jsonl").read_text())["state"] == "completed"


def test_a_line_that_was_not_written_any_more_is_written(run_dir):
    search = Search(run_dir)
    search.end(search.begin()["number"], search.tell(0, 2, 0.6))
    (run_dir / "trials.jsonl").write_text("")
    records = Records(run_dir, OBJECTIVE, EPOCHS)
    reopen(records, run_dir / "study.db", "tiny")
    line = json.loads((run_dir / "trials.jsonl").read_text())
    assert line["number"] == 0 and "matrix" in line["epochs"][0]
    assert "matrix" not in records.trials[0].epochs[0]


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("saved", [False, True])
def test_what_early_stopping_had_decided_stays_decided(run_dir, saved, interrupted):
    search = Search(run_dir)
    search.begin()
    search.records.note_stop(
        0, 1
    )  # this comes first; then Ray Tune saves the epoch, and then it ends the trial
    search.tell(0, 1, 0.4, saved=saved)
    if interrupted:
        search.records.finish(0, interrupted=True)
    again = reopened(run_dir)
    assert [(r.state, r.reached) for r in again.records.in_order()] == [("stopped", 1)]
    [trial] = again.trials()
    assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.PRUNED, 0.4, {1: 0.4})


def test_what_the_study_had_not_heard_of_yet_is_told_from_the_journal(run_dir):
    search = Search(run_dir)
    search.begin()
    search.records.add(0, epoch(1, 0.4))  # Ray Tune tells the searcher of an epoch once it is saved
    checkpoint(run_dir, 0, 1)
    search.records.note_stop(0, 1)
    assert search.trials()[0].intermediate_values == {}
    [trial] = reopened(run_dir).trials()
    assert (trial.state, trial.intermediate_values) == (TrialState.PRUNED, {1: 0.4})


def test_a_decision_on_an_epoch_that_is_forgotten_is_forgotten_too(run_dir):
    search = Search(run_dir)
    search.begin()
    search.tell(0, 1, 0.4)
    search.records.note_stop(0, 2)  # cut off before the epoch was written down
    again = reopened(run_dir)
    assert again.begin()["from_epoch"] == 1 and not again.records.is_stopped(0, 2)


def test_what_was_interrupted_goes_on_although_the_study_calls_it_ended(run_dir):
    search = Search(run_dir)
    search.begin()
    result = search.tell(0, 1, 0.5)
    search.searcher.on_trial_complete("t0", result)
    search.records.finish(0, interrupted=True)
    assert search.trials()[0].state == TrialState.PRUNED
    again = reopened(run_dir)
    assert again.trials()[0].state == TrialState.RUNNING and again.begin()["from_epoch"] == 1
    again.end(0, again.tell(0, 2, 0.9))
    assert again.trials()[0].state == TrialState.COMPLETE and again.trials()[0].value == 0.9


def test_a_study_that_lacks_a_trial_of_the_journal_is_refused(run_dir):
    search = Search(run_dir)
    search.begin()
    (run_dir / "study.db").unlink()
    optuna.create_study(study_name="tiny", storage=f"sqlite:///{run_dir / 'study.db'}", direction="maximize")
    with pytest.raises(ValueError, match="lacks trial 0"):
        reopened(run_dir)


def test_the_space_stays_the_same_but_for_trials_resources_and_root(run_dir, tmp_path):
    space, changed = read_resumed(run_dir, None, {"search": {"trials": 12}, "data": {"root": "/elsewhere"}})
    assert (space.search.trials, space.data.root) == (12, "/elsewhere")
    assert [line.partition(":")[0] for line in changed] == ["data.root", "search.trials"]
    other = tmp_path / "other.yaml"
    other.write_text((SPACE % tmp_path).replace("high: 1.0", "high: 0.9").replace("epochs: 2", "epochs: 3"))
    with pytest.raises(ValueError) as caught:
        read_resumed(run_dir, other, {})
    text = str(caught.value)
    assert "space.noise_scale.high: 1.0 then, 0.9 now" in text and "training.epochs: 2 then, 3 now" in text
    assert f"--warm-start {run_dir}" in text
    with pytest.raises(ValueError, match="holds no run"):
        read_resumed(tmp_path, None, {})


@pytest.mark.parametrize("key", ["protocol", "base", "detector", "objective", "epochs", "data"])
def test_other_images_folds_or_weights_are_refused(run_dir, key):
    other = {"fingerprint": "xyz", "root": "/somewhere"} if key == "data" else "another"
    with pytest.raises(ValueError, match="images" if key == "data" else key):
        require_same(run_dir, description(**{key: other}))
    assert json.loads((run_dir / "environment.json").read_text()) == description()


def test_sessions_are_noted_and_other_versions_told(run_dir):
    assert require_same(run_dir, description(trials=9)) == ()
    [line] = require_same(run_dir, description(versions={"torch": "2.2"}))
    assert line == 'versions.torch: "2.1" then, "2.2" now'
    environment = json.loads((run_dir / "environment.json").read_text())
    assert [session["versions"]["torch"] for session in environment["resumed"]] == ["2.1", "2.2"]
    assert environment["versions"]["torch"] == "2.1"


HOLD = """
import sys; from pathlib import Path; from search.resume import sole_writer
with sole_writer(Path(sys.argv[1])): print("held", flush=True); input()
"""


def test_two_searches_never_write_into_one_run(run_dir):
    command = [sys.executable, "-c", HOLD, str(run_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match="another search is at work"), sole_writer(run_dir):
            pass
        other.kill()
    with sole_writer(run_dir):
        pass
