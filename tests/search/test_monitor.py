import io
import math
from dataclasses import dataclass

import pytest
from rich.console import Console
from synthetic_epoch import result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from search.board import Board
from search.display import Display
from search.job import EpochTable
from search.monitor import Monitor, keep_best
from search.records import Records
from search.scheduler import Deadline

OBJECTIVE = "off_family_accuracy"


@dataclass
class StubTrial:
    trial_id: str
    config: dict
    error_file: str | None = None


def trial(number, **params):
    role = "searched" if number else "baseline"
    return StubTrial(f"id{number}", {"number": number, "role": role, "params": params})


class Search:
    """What Ray Tune tells a monitor, and what comes of it."""

    def __init__(self, run_dir):
        self.run_dir, self.text = run_dir, io.StringIO()
        self.records = Records(run_dir, OBJECTIVE, 2)
        self.records.open_session(0.0, 1, 1)
        console = Console(file=self.text, width=200, highlight=False)
        self.display = Display(self.records, 4, math.inf, console)
        self.board = Board(run_dir / "tensorboard")
        self.deadline = Deadline(math.inf)
        self.monitor = Monitor(self.records, self.board, self.display, self.deadline, keep_best)

    def start(self, trial):
        if trial.config["number"] not in self.records.trials:  # the searcher has noted it before
            self.records.begin(*trial.config.values())
        self.monitor.note_start(trial)

    def result(self, trial, epoch):
        told = {**result(epoch), "busy_s": 5.0, "started": 1.0}
        told["table"] = EpochTable(told.pop("matrix"), told.pop("losses"))
        self.monitor.note_result(trial, told)

    @property
    def lines(self):
        return self.text.getvalue().splitlines()


@pytest.fixture
def search(tmp_path):
    return Search(tmp_path)


def test_a_trial_from_start_to_end(search):
    baseline = trial(0)
    search.start(baseline)
    for epoch in (1, 2):
        search.result(baseline, epoch)
    search.monitor.note_end(baseline)
    assert search.records.trials[0].state == "completed"
    assert "trial   0 starts: baseline" in search.lines[0]
    assert "trial   0 epoch 1/2" in search.lines[1] and "0.1000" in search.lines[1]
    assert "trial   0 completed" in search.lines[3] and "best 0.2000 (trial 0)" in search.lines[3]
    read = EventAccumulator(str(search.run_dir / "tensorboard" / "trial_0000"))
    read.Reload()
    assert "_hparams_/session_start_info" in read.summary_metadata


def test_a_trial_that_was_stopped_early(search):
    searched = trial(3, noise_scale=0.5)
    search.start(searched)
    search.result(searched, 1)
    search.monitor.note_end(searched)
    assert search.records.trials[3].state == "stopped"
    assert "trial   3 stopped" in search.lines[-1] and "1 stopped" in search.lines[-1]


def test_a_trial_that_the_time_budget_ended(search):
    searched = trial(3, noise_scale=0.5)
    search.start(searched)
    assert "trial   3 starts: noise_scale 0.5" in search.lines[-1]
    search.result(searched, 1)
    search.deadline.interrupted.add("id3")
    search.monitor.note_end(searched)
    assert search.records.trials[3].state == "interrupted"


def test_a_trial_that_failed_by_itself_says_why_and_keeps_its_epochs(search):
    searched = trial(3, noise_scale=0.5)
    search.start(searched)
    search.result(searched, 1)
    failure = {OBJECTIVE: math.nan, "epoch": 1, "done": True, "error": "the loss is not finite"}
    failure["story"] = "Traceback\n  line 1"
    search.monitor.note_result(searched, failure)
    search.monitor.note_end(searched)
    record = search.records.trials[3]
    assert (record.state, record.error, len(record.epochs)) == ("failed", "the loss is not finite", 1)
    assert "line 1" in (search.run_dir / "errors" / "trial_0003.log").read_text()


def test_what_a_search_that_was_ended_leaves_running_is_settled(search):
    done, begun = trial(0), trial(1)
    for stub in (done, begun):
        search.start(stub)
    search.result(done, 2)
    search.monitor.note_end(done)
    search.monitor.settle()
    search.monitor.settle()
    assert [record.state for record in search.records.in_order()] == ["completed", "interrupted"]
    assert len((search.run_dir / "trials.jsonl").read_text().splitlines()) == 2


def test_what_a_full_disk_ended_can_go_on(search):
    search.start(trial(0))
    search.result(trial(0), 1)
    search.deadline.full = True
    search.monitor.settle("OSError: [Errno 28] No space left on device")
    assert [(r.state, r.error) for r in search.records.in_order()] == [("interrupted", None)]


def test_a_trial_that_failed_before_it_started_keeps_its_cause(search, tmp_path):
    failed = trial(2, noise_scale=0.5)
    failed.error_file = str(tmp_path / "error.txt")
    (tmp_path / "error.txt").write_text("Traceback\n  File x\nRuntimeError: the disk is full\n\n")
    search.start(failed)
    search.monitor.note_loss(failed)
    record = search.records.trials[2]
    assert record.state == "failed" and record.error == "the disk is full"
    screen = search.lines[-4:]
    assert screen[0] == "trial   2 failed: the disk is full" and screen[1] == "  with noise_scale 0.5"
    log = search.run_dir / "errors" / "trial_0002.log"
    assert screen[2] == f"  the full story: {log}" and "File x" in log.read_text()
    read = EventAccumulator(str(tmp_path / "tensorboard" / "trial_0002"))
    read.Reload()
    assert "_hparams_/session_start_info" in read.summary_metadata


def test_a_terminal_keeps_the_cause_of_a_failure_in_sight(search):
    console = Console(file=search.text, width=200, force_terminal=True)
    display = Display(search.records, 4, math.inf, console)
    search.start(trial(1))
    search.records.trials[1].error = "the loss is not finite"
    display.note_end(search.records.finish(1))
    assert "the loss is not finite" in search.text.getvalue()


def test_a_group_that_dies_while_it_starts_is_tried_again(search):
    search.start(trial(1))
    search.monitor.note_retry(trial(1))
    assert search.records.trials[1].retries == 1


def test_an_error_of_the_search_fails_what_was_running(search):
    search.start(trial(0))
    search.monitor.settle("the disk is full")
    record = search.records.trials[0]
    assert (record.state, record.error) == ("failed", "the disk is full")


@pytest.mark.parametrize("file", [None, "missing.txt"])
def test_a_failure_without_a_file_still_has_a_cause(search, tmp_path, file):
    failed = trial(1)
    failed.error_file = file and str(tmp_path / file)
    search.start(failed)
    search.monitor.note_loss(failed)
    assert search.records.trials[1].error == "unknown cause"


def test_a_retry_is_counted_and_told(search):
    searched = trial(1)
    search.start(searched)
    search.result(searched, 1)
    search.monitor.note_retry(searched)
    search.start(searched)
    for epoch in (1, 2):
        search.result(searched, epoch)
    search.monitor.note_end(searched)
    record = search.records.trials[1]
    assert (record.retries, record.state, len(record.epochs)) == (1, "completed", 2)
    assert any("starts again" in line for line in search.lines)


def test_the_summary_counts_and_compares(search):
    assert search.display.summary() == "starting the workers; no best yet, no baseline yet"
    baseline, other = trial(0), trial(1)
    for stub in (baseline, other):
        search.start(stub)
        search.result(stub, 2)
    search.monitor.note_end(baseline)
    summary = search.display.summary()
    assert "1 completed, 1 running" in summary and "baseline 0.2000" in summary and "left" in summary


FULL = "OSError: [Errno 28] No space left on device"


def test_a_full_disk_cuts_a_trial_off_and_ends_the_search(search, tmp_path):
    told, lost = trial(1), trial(2)
    for stub in (told, lost):
        search.start(stub)
        search.result(stub, 1)
    failure = {
        OBJECTIVE: math.nan,
        "epoch": 1,
        "done": True,
        "error": f"detector of adm: {FULL}",
        "story": "x",
    }
    search.monitor.note_result(told, failure)
    search.monitor.note_end(told)
    lost.error_file = str(tmp_path / "error.txt")
    (tmp_path / "error.txt").write_text(f"Traceback\n{FULL}\n")
    search.monitor.note_loss(lost)
    assert [(r.state, r.error) for r in search.records.in_order()] == [("interrupted", None)] * 2
    assert search.deadline.full and search.deadline.passed
