import os
import pickle
import tempfile
import time
from collections import deque
from pathlib import Path

import pytest
from ray import cloudpickle, tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from search.cluster import ray_session
from search.records import Records
from search.relay import Part, Relay, RelayMonitor, RelayScheduler, RelaySearch
from search.scheduler import Deadline
from search.tuning import run_parts

OBJECTIVE = "off_family_accuracy"


class Told:
    """A part that suggests numbers and notes what it is told."""

    def __init__(self, name, numbers, story, run_dir="."):
        self.name, self.ahead, self.story = name, deque(numbers), story
        self.records = Records(Path(run_dir), OBJECTIVE, 1)
        self.room = 9

    def part(self, **options):
        return Part(self, FIFOScheduler(), self, at_end=lambda: self.say("at end"), **options)

    def say(self, *what):
        self.story.append((self.name, *what))

    def suggest(self, trial_id):
        if not self.ahead:
            return Searcher.FINISHED
        return {"number": self.ahead.popleft(), "part": self.name} if self.room else None

    def on_trial_result(self, trial_id, result):
        self.say("result", trial_id)

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.say("complete", trial_id, error)

    def open(self):
        self.say("open")

    def settle(self, cause):
        self.say("settle", cause)

    def close(self):
        self.say("close")

    def note_start(self, trial):
        self.say("starts", trial.config["number"])

    def note_result(self, trial, result):
        self.say("pid", result["pid"])

    def note_end(self, trial):
        self.say("ends", trial.config["number"])


@pytest.fixture
def story():
    return []


def relayed(first):
    relay = Relay(first)
    return relay, RelaySearch(relay, OBJECTIVE)


def test_the_next_part_begins_when_all_trials_of_the_one_before_are_over(story):
    one, two = Told("one", [0, 1], story), Told("two", [7], story)
    relay, search = relayed(one.part(then=two.part))
    assert search.suggest("a")["number"] == 0 and search.suggest("b")["number"] == 1
    search.on_trial_complete("a")
    assert search.suggest("c") is None and ("one", "settle", None) not in story, "b is under way"
    search.on_trial_complete("b", error=True)
    assert search.suggest("c") == {"number": 7, "part": "two"}
    search.on_trial_result("c", {})
    assert story == [
        ("one", "open"),
        ("one", "complete", "a", False),
        ("one", "complete", "b", True),
        ("one", "settle", None),
        ("one", "at end"),
        ("one", "close"),
        ("two", "open"),
        ("two", "result", "c"),
    ]
    search.on_trial_complete("c")
    assert search.suggest("d") == search.suggest("d") == Searcher.FINISHED and relay.part is None
    assert story[-3:] == [("two", "settle", None), ("two", "at end"), ("two", "close")]
    relay.end("too late to matter")
    assert len(story) == 12


def test_without_room_it_waits(story):
    one = Told("one", [0], story)
    one.room = 0
    _, search = relayed(one.part())
    assert search.suggest("a") is None
    one.room = 1
    assert search.suggest("a")["number"] == 0


def test_a_part_with_nothing_to_do_is_passed_over(story):
    last = Told("three", [5], story)
    empty = Told("two", [], story)
    _, search = relayed(Told("one", [], story).part(then=lambda: empty.part(then=last.part)))
    assert search.suggest("a")["number"] == 5
    assert [name for name, what, *_ in story if what == "close"] == ["one", "two"]


def test_the_cause_of_an_early_end_is_noted(story):
    relay, search = relayed(Told("one", [0], story).part())
    search.suggest("a")
    relay.end("no more power")
    assert story[1:] == [("one", "settle", "no more power"), ("one", "at end"), ("one", "close")]


@pytest.mark.parametrize(("cause", "raises"), [("the disk is full", False), (None, True)])
def test_a_full_disk_hides_no_other_cause(story, cause, raises):
    def full():
        raise OSError("No space left on device")

    one = Told("one", [0], story)
    relay, _ = relayed(Part(one, FIFOScheduler(), one, at_end=full))
    if raises:
        with pytest.raises(OSError, match="No space"):
            relay.end(cause)
    else:
        relay.end(cause)
    assert story[-1] == ("one", "close")


def test_what_comes_next_is_not_asked_twice_where_that_fails(story):
    def fail():
        raise ValueError("too few images")

    relay, search = relayed(Told("one", [], story).part(then=fail))
    with pytest.raises(ValueError, match="too few"):
        search.suggest("a")
    relay.end("too few images")
    assert [what for _, what, *_ in story].count("close") == 1


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_ray_tune_pickles_nothing_of_it(story, pickler, tmp_path):
    relay, search = relayed(Told("one", [0], story).part())
    for ours in (search, RelayScheduler(relay), RelayMonitor(relay)):
        assert not vars(pickler.loads(pickler.dumps(ours)))
    search.save(str(tmp_path / "state"))
    assert not (tmp_path / "state").exists()
    with pytest.raises(NotImplementedError):
        search.restore("anything")


def tells_its_process():
    class TellsItsProcess(tune.Trainable):  # in a function, so that it travels to the actor by value
        def setup(self, config):
            pass

        def reset_config(self, new_config):
            return True

        def step(self):
            return {OBJECTIVE: 0.5, "epoch": 1, "pid": os.getpid(), "done": True}

        def save_checkpoint(self, checkpoint_dir):
            return {}

        def load_checkpoint(self, checkpoint):
            pass

    return TellsItsProcess


def test_what_is_warm_serves_the_next_part_too(story):
    with tempfile.TemporaryDirectory(prefix="r-") as folder:  # short: Ray's sockets are below it
        run_dir = Path(folder) / "run"
        with ray_session(None, run_dir):
            run_dir.mkdir(exist_ok=True)
            one, two = Told("one", [0, 1], story, run_dir), Told("two", [0, 1], story, run_dir)
            one.on_trial_complete = lambda *told: time.sleep(1.0)  # long enough to let idle actors go
            run_parts(one.part(then=two.part), tells_its_process(), 9, Deadline(float("inf")))
    pids = [(name, what[1]) for name, *what in story if what[0] == "pid"]
    assert {name for name, _ in pids} == {"one", "two"} and len(pids) == 4
    assert {pid for name, pid in pids if name == "two"} <= {pid for name, pid in pids if name == "one"}
