import itertools
import math
import time
from dataclasses import dataclass, field

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.records import Records
from search.scheduler import Deadline, SuccessiveHalving, build_scheduler
from search.space import Space

OBJECTIVE = "off_family_accuracy"


@dataclass
class StubTrial:
    trial_id: str
    config: dict
    status: str = Trial.RUNNING
    last_result: dict = field(default_factory=dict)


def space(epochs=4, **search):
    return Space(
        name="tiny",
        protocol={"search": ["sd14", "adm"]},
        training={"epochs": epochs},
        search={"objective": OBJECTIVE, **search},
    )


NUMBERS = itertools.count()


def trial(scheduler, name, role="searched"):
    return StubTrial(name, {"number": next(NUMBERS), "role": role, "params": {}})


def tell(scheduler, stub, epoch, value):
    return scheduler.on_trial_result(None, stub, {"epoch": epoch, OBJECTIVE: value, "training_iteration": 99})


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path, OBJECTIVE, 4)


def test_what_is_stopped_stays_so_whatever_happens_before_it_ends(records, tmp_path):
    scheduler = build_scheduler(space(reduction_factor=3), records)
    good, poor, baseline = trial(scheduler, "a"), trial(scheduler, "b"), trial(scheduler, "c", "baseline")
    tell(scheduler, good, 1, 0.9)
    assert tell(scheduler, poor, 1, 0.5) == TrialScheduler.STOP
    assert tell(scheduler, poor, 1, 0.5) == TrialScheduler.STOP, "a worker died while it was saved"
    assert tell(scheduler, baseline, 1, 0.1) == TrialScheduler.CONTINUE
    again = Records(tmp_path, OBJECTIVE, 4)
    stopped = [again.is_stopped(stub.config["number"], 1) for stub in (good, poor, baseline)]
    assert stopped == [False, True, False] and not again.is_stopped(poor.config["number"], 2)


def test_what_the_user_ends_on_a_rung_is_judged_there(records):
    scheduler = build_scheduler(space(reduction_factor=3), records)
    tell(scheduler, trial(scheduler, "good"), 1, 0.9)
    poor = trial(scheduler, "poor")
    scheduler.on_trial_complete(None, poor, {"epoch": 1, OBJECTIVE: 0.5})
    assert records.is_stopped(poor.config["number"], 1)


@pytest.mark.parametrize("epoch", [1, 3])
def test_a_poor_trial_is_stopped_at_a_rung(records, epoch):
    scheduler = build_scheduler(space(reduction_factor=3), records)
    assert isinstance(scheduler, SuccessiveHalving)
    good = [trial(scheduler, f"good{n}") for n in range(3)]
    poor = trial(scheduler, "poor")
    for number, stub in enumerate(good):
        tell(scheduler, stub, epoch, 0.9 + number / 100)
    assert tell(scheduler, poor, epoch, 0.5) == TrialScheduler.STOP


def test_a_good_trial_goes_on(records):
    scheduler = build_scheduler(space(), records)
    for number in range(4):
        tell(scheduler, trial(scheduler, f"t{number}"), 1, 0.5 + number / 100)
    assert tell(scheduler, trial(scheduler, "best"), 1, 0.9) == TrialScheduler.CONTINUE


def test_between_two_rungs_nothing_is_stopped(records):
    scheduler = build_scheduler(space(epochs=9, grace_period=3, reduction_factor=3), records)
    for number in range(4):
        tell(scheduler, trial(scheduler, f"t{number}"), 2, 0.9)
    assert tell(scheduler, trial(scheduler, "poor"), 2, 0.1) == TrialScheduler.CONTINUE


def test_the_baseline_is_never_stopped_early_and_still_counts(records):
    scheduler = build_scheduler(space(reduction_factor=2), records)
    good = [trial(scheduler, f"good{n}") for n in range(3)]
    baseline = trial(scheduler, "baseline", role="baseline")
    for epoch in (1, 2, 3):
        for stub in good:
            tell(scheduler, stub, epoch, 0.9)
        assert tell(scheduler, baseline, epoch, 0.5) == TrialScheduler.CONTINUE

    # A strong baseline raises the bar for the others.
    scheduler = build_scheduler(space(reduction_factor=2), records)
    tell(scheduler, trial(scheduler, "baseline", role="baseline"), 1, 0.9)
    assert tell(scheduler, trial(scheduler, "poor"), 1, 0.5) == TrialScheduler.STOP


def test_a_full_length_trial_ends(records):
    scheduler = build_scheduler(space(epochs=4), records)
    assert tell(scheduler, trial(scheduler, "only"), 4, 0.9) == TrialScheduler.STOP


def test_a_grace_period_longer_than_training_is_cut(records):
    scheduler = build_scheduler(space(epochs=2, grace_period=10), records)
    for number in range(4):
        tell(scheduler, trial(scheduler, f"t{number}"), 1, 0.9)
    assert tell(scheduler, trial(scheduler, "poor"), 1, 0.1) == TrialScheduler.CONTINUE


def test_a_single_epoch_can_be_scheduled(records):
    scheduler = build_scheduler(space(epochs=1), records)
    assert tell(scheduler, trial(scheduler, "only"), 1, 0.5) == TrialScheduler.STOP


def test_no_scheduler_stops_nobody(records):
    scheduler = build_scheduler(space(scheduler="none"), records)
    assert type(scheduler) is FIFOScheduler
    stub = trial(scheduler, "poor")
    assert tell(scheduler, stub, 1, 0.0) == TrialScheduler.CONTINUE


def test_the_deadline_stops_each_trial_after_its_epoch():
    passed, ahead = Deadline(time.time() - 1), Deadline(time.time() + 60)
    assert passed("a", {"epoch": 1}) and not ahead("a", {"epoch": 1})
    assert not passed.stop_all() and not ahead.stop_all()
    assert passed.interrupted == {"a"} and ahead.interrupted == set()


def test_the_user_can_end_the_search_before_the_deadline():
    deadline = Deadline(math.inf)
    assert not deadline.passed and not deadline("a", {"epoch": 1})
    deadline.called = True
    assert deadline.passed and deadline("a", {"epoch": 2}) and deadline.interrupted == {"a"}
