import math
import pickle
import time

import optuna
import pytest
from optuna.trial import TrialState
from ray import cloudpickle
from ray.tune.search import Searcher

from search.scheduler import Deadline
from search.searcher import StudySearch, build_sampler
from search.space import SearchSection, Space

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


@pytest.fixture
def searcher(storage):
    return StudySearch(space(), storage, Deadline(math.inf))


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
    assert searcher.suggest("a") == {"number": 0, "role": "baseline", "params": {}}
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
    states = [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert [trial.state for trial in trials_on_disk(storage)] == states
    assert trials_on_disk(storage)[2].value == 0.7


def test_an_interrupt_while_a_trial_is_settled_does_not_hide_the_others(searcher, storage):
    searcher.suggest("a")
    searcher._ot_study.tell(0, 0.5)  # the interrupt came before the searcher had noted it
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


def test_nothing_is_suggested_after_the_deadline(storage):
    searcher = StudySearch(space(), storage, Deadline(time.time() - 1))
    assert searcher.suggest("a") == Searcher.FINISHED
    assert trials_on_disk(storage) == []
    assert StudySearch(space(), storage, Deadline(time.time() + 60)).suggest("a")["number"] == 0


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_seed_gives_one_sequence(tmp_path, sampler):
    def sequence(name, seed):
        searcher = StudySearch(space(sampler=sampler, seed=seed), tmp_path / name, Deadline(math.inf))
        return [play(searcher, f"t{n}", 1)["params"] for n in range(8)]

    first = sequence("a.db", 1)
    assert sequence("b.db", 1) == first
    assert sequence("c.db", 2) != first


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_ray_tune_can_save_it(searcher, storage, pickler):
    play(searcher, "a")
    searcher.suggest("b")
    again = pickler.loads(pickler.dumps(searcher))
    assert again.suggest("c")["number"] == 2
    again.on_trial_complete("b", {OBJECTIVE: 0.7, "epoch": EPOCHS})
    assert [trial.state for trial in trials_on_disk(storage)] == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.RUNNING,
    ]


def test_it_can_be_saved_and_restored_as_ray_tune_does(searcher, tmp_path, storage):
    play(searcher, "a")
    searcher.save(str(tmp_path / "searcher.pkl"))
    other = StudySearch(space(), tmp_path / "other.db", Deadline(math.inf))
    other.restore(str(tmp_path / "searcher.pkl"))
    assert other.suggest("b")["number"] == 1
    assert len(trials_on_disk(storage)) == 2


def test_the_search_learns(storage):
    searcher = StudySearch(space(trials=21), storage, Deadline(math.inf))
    params = [play(searcher, f"t{n}", 1)["params"] for n in range(21)]
    distance = [abs(p["noise_scale"] - 0.4) for p in params[1:]]
    assert sum(distance[-6:]) < sum(distance[:6])


def test_samplers():
    assert isinstance(build_sampler(SearchSection(sampler="random")), optuna.samplers.RandomSampler)
    assert isinstance(build_sampler(SearchSection(sampler="tpe")), optuna.samplers.TPESampler)
