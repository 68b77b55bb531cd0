import math
import time

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from search.records import Records
from search.scheduler import Deadline
from search.searcher import StudySearch
from search.sections import SearchSection
from search.space import Space
from search.study import build_sampler

OBJECTIVE = "off_family_accuracy"
EPOCHS = 3


def space(**search):
    return Space(
        name="tiny",
        protocol={"search": ["sd14", "adm"]},
        detector={"base": "generator:sd14"},
        search={"trials": 20, "seed": 1, **search},
        space={
            "mask_kind": {"choices": ["none", "ring"]},
            "mask_radius": {"low": 0.1, "high": 0.5, "when": {"mask_kind": ["ring"]}},
            "noise_scale": {"low": 0.1, "high": 1.0},
        },
    )


def value_of(params, epoch):
    """Highest at 0.4 and growing with the epochs; what the baseline gives, lies below."""
    return 0.9 - (params["noise_scale"] - 0.4) ** 2 - 0.1 / epoch if params else 0.5


@pytest.fixture
def storage(tmp_path):
    return tmp_path / "study.db"


def open_searcher(space, storage, until=math.inf, first=()):
    folder = storage.with_suffix("")
    folder.mkdir(exist_ok=True)
    return StudySearch(space, storage, Deadline(until), Records(folder, OBJECTIVE, EPOCHS), first)


@pytest.fixture
def searcher(storage):
    return open_searcher(space(), storage)


def report(searcher, trial_id, epoch, value):
    result = {OBJECTIVE: value, "epoch": epoch}
    searcher.on_trial_result(trial_id, result)
    return result


def play(searcher, trial_id, epochs=EPOCHS):
    """One trial from suggestion to end."""
    config = searcher.suggest(trial_id)
    for epoch in range(1, epochs + 1):
        result = report(searcher, trial_id, epoch, value_of(config["params"], epoch))
    searcher.on_trial_complete(trial_id, result)
    return config


def trials_on_disk(storage):
    return optuna.load_study(study_name="tiny", storage=f"sqlite:///{storage}").trials


def test_trial_0_is_the_baseline(searcher, storage):
    assert searcher.suggest("a") == {"number": 0, "role": "baseline", "params": {}, "from_epoch": 0}
    second = searcher.suggest("b")
    assert second["number"] == 1 and second["role"] == "searched"
    assert 0.1 <= second["params"]["noise_scale"] <= 1.0
    baseline, other = trials_on_disk(storage)
    assert baseline.params == {} and baseline.user_attrs["role"] == "baseline"
    assert other.params == second["params"] and other.user_attrs["role"] == "searched"


def test_conditions_hold_in_every_suggestion(searcher):
    configs = [play(searcher, f"t{n}", 1) for n in range(12)][1:]
    kinds = {config["params"]["mask_kind"] for config in configs}
    assert kinds == {"none", "ring"}
    for config in configs:
        assert ("mask_radius" in config["params"]) == (config["params"]["mask_kind"] == "ring")


def test_a_full_trial_is_complete_with_its_last_value(searcher, storage):
    report_of = {"a": play(searcher, "a"), "b": play(searcher, "b")}
    for trial, config in zip(trials_on_disk(storage), report_of.values(), strict=True):
        assert trial.state == TrialState.COMPLETE
        assert trial.value == value_of(config["params"], EPOCHS)
        assert trial.intermediate_values == {e: value_of(config["params"], e) for e in (1, 2, 3)}


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_stopped_trial_is_pruned_with_its_last_value(searcher, storage, epochs):
    play(searcher, "a")
    config = play(searcher, "b", epochs)
    trial = trials_on_disk(storage)[1]
    assert trial.state == TrialState.PRUNED
    assert trial.value == value_of(config["params"], epochs)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (None, True),
        ({OBJECTIVE: 0.9, "epoch": EPOCHS}, True),
        (None, False),
        ({}, False),
        ({OBJECTIVE: math.nan, "epoch": EPOCHS}, False),
        ({OBJECTIVE: math.inf, "epoch": EPOCHS}, False),
    ],
)
def test_a_trial_without_a_finite_value_or_with_an_error_fails(searcher, storage, result, error):
    searcher.suggest("a")
    searcher.on_trial_complete("a", result, error)
    assert trials_on_disk(storage)[0].state == TrialState.FAIL


def test_an_epoch_that_is_not_finite_does_not_end_the_search(searcher, storage):
    searcher.suggest("a")
    report(searcher, "a", 1, math.nan)
    report(searcher, "a", 2, 0.6)
    assert trials_on_disk(storage)[0].intermediate_values == {2: 0.6}


def test_an_epoch_that_a_retry_repeats_overwrites_nothing(searcher, storage):
    searcher.suggest("a")
    for epoch, value in ((1, 0.5), (2, 0.6), (2, 0.7), (3, 0.8)):
        report(searcher, "a", epoch, value)
    assert trials_on_disk(storage)[0].intermediate_values == {1: 0.5, 2: 0.6, 3: 0.8}


def test_a_trial_is_settled_once(searcher, storage):
    play(searcher, "a")
    searcher.on_trial_complete("a", None, error=True)
    searcher.on_trial_complete("never suggested", None, error=True)
    assert [trial.state for trial in trials_on_disk(storage)] == [TrialState.COMPLETE]


def test_what_a_search_that_was_ended_leaves_running_fails(searcher, storage):
    play(searcher, "a")
    searcher.suggest("cut off")
    report(searcher, "cut off", 1, 0.5)
    searcher.suggest("cut off while its last epoch was saved")
    report(searcher, "cut off while its last epoch was saved", EPOCHS, 0.7)
    searcher.settle()
    searcher.settle()
    searcher.suggest("cut off before its first epoch")
    searcher.settle()
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL]
    assert [trial.state for trial in trials_on_disk(storage)] == states
    assert [trial.value for trial in trials_on_disk(storage)][1:] == [0.5, 0.7, None]


def test_an_interrupt_while_a_trial_is_settled_does_not_hide_the_others(searcher, storage):
    searcher.suggest("a")
    searcher._study.tell(0, 0.5)  # the interrupt came before the searcher had noted it
    searcher.suggest("b")
    searcher.settle()
    assert [trial.state for trial in trials_on_disk(storage)] == [TrialState.COMPLETE, TrialState.FAIL]


def test_failed_trials_do_not_spoil_the_suggestions(searcher, storage):
    for number in range(12):
        if number % 3 == 2:
            searcher.suggest(f"t{number}")
            searcher.on_trial_complete(f"t{number}", None, error=True)
        else:
            play(searcher, f"t{number}")
    states = [trial.state for trial in trials_on_disk(storage)]
    assert states.count(TrialState.FAIL) == 4 and states.count(TrialState.COMPLETE) == 8


def test_what_a_trial_reports_after_its_end_changes_nothing(searcher, storage):
    play(searcher, "a")
    before = trials_on_disk(storage)
    searcher.on_trial_result("a", {OBJECTIVE: 0.1, "epoch": 1})
    searcher.on_trial_complete("a", {OBJECTIVE: 0.1, "epoch": 1})
    assert trials_on_disk(storage) == before


def test_nothing_is_suggested_after_the_deadline(storage):
    searcher = open_searcher(space(), storage, time.time() - 1)
    assert searcher.suggest("a") == Searcher.FINISHED
    assert trials_on_disk(storage) == []
    assert open_searcher(space(), storage, time.time() + 60).suggest("a")["number"] == 0


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_seed_gives_one_sequence(tmp_path, sampler):
    def sequence(name, seed):
        searcher = open_searcher(space(sampler=sampler, seed=seed), tmp_path / name)
        return [play(searcher, f"t{n}", 1)["params"] for n in range(8)]

    first = sequence("a.db", 1)
    assert sequence("b.db", 1) == first
    assert sequence("c.db", 2) != first


def test_there_are_as_many_trials_as_the_space_file_says(storage):
    searcher = open_searcher(space(trials=2), storage)
    assert [play(searcher, name)["number"] for name in "ab"] == [0, 1]
    assert searcher.suggest("c") == Searcher.FINISHED and len(trials_on_disk(storage)) == 2


def test_what_was_taken_over_comes_right_after_the_baseline(storage):
    first = [
        {"mask_kind": "none", "noise_scale": 0.25},
        {"mask_kind": "ring", "mask_radius": 0.2, "noise_scale": 0.5},
    ]
    searcher = open_searcher(space(), storage, first=first)
    suggested = [play(searcher, f"t{n}")["params"] for n in range(4)]
    assert suggested[0] == {} and suggested[1:3] == first and suggested[3] not in first
    assert [trial.number for trial in trials_on_disk(storage)] == [0, 1, 2, 3]


def test_the_search_learns(storage):
    searcher = open_searcher(space(trials=21), storage)
    params = [play(searcher, f"t{n}", 1)["params"] for n in range(21)]
    distance = [abs(p["noise_scale"] - 0.4) for p in params[1:]]
    assert sum(distance[-6:]) < sum(distance[:6])


def test_samplers():
    assert isinstance(build_sampler(SearchSection(sampler="random"), 1), optuna.samplers.RandomSampler)
    assert isinstance(build_sampler(SearchSection(sampler="tpe"), 1), optuna.samplers.TPESampler)


def test_no_more_trials_than_there_is_room_for(storage):
    room = {"trials": 1}
    folder = storage.with_suffix("")
    folder.mkdir()
    records = Records(folder, OBJECTIVE, EPOCHS)
    searcher = StudySearch(space(), storage, Deadline(math.inf), records, limit=lambda: room["trials"])
    assert searcher.suggest("a")["number"] == 0
    assert searcher.suggest("b") is None and len(records.trials) == 1
    room["trials"] = 3  # nodes have joined
    assert [searcher.suggest(name)["number"] for name in "bc"] == [1, 2]
    room["trials"] = 1  # and left
    searcher.on_trial_complete("a", error=True)
    searcher.on_trial_complete("b", error=True)
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("c", error=True)
    assert searcher.suggest("d")["number"] == 3


def test_a_search_without_room_still_ends_at_its_deadline(storage):
    folder = storage.with_suffix("")
    folder.mkdir()
    deadline = Deadline(math.inf)
    searcher = StudySearch(space(), storage, deadline, Records(folder, OBJECTIVE, EPOCHS), limit=lambda: 0)
    assert searcher.suggest("a") is None
    deadline.called = True
    assert searcher.suggest("a") == Searcher.FINISHED
