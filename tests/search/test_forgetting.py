import pytest
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial
from synthetic_epoch import result

from search.forgetting import Forget
from search.job import EpochTable

OBJECTIVE = "off_family_accuracy"


def told(epoch):
    """What Ray Tune hears of an epoch of eight folds."""
    cell = result(epoch)["matrix"]["adm"]["adm"]
    matrix = {f"fold{i}": {f"generator{j}": {**cell} for j in range(8)} for i in range(8)}
    own = {"table": EpochTable(matrix, dict.fromkeys(matrix, 0.5)), "started": 1.0, "busy_s": 1.0}
    return {**result(epoch), **own, "training_iteration": epoch, "done": epoch == 2}


@pytest.fixture
def trial():
    return Trial("trainable", stub=True)


def live(trial, forget):
    """Two epochs, as Ray Tune keeps them."""
    for epoch in (1, 2):
        heard = told(epoch)
        forget.on_trial_result(0, [], trial, heard)
        trial.update_last_result(heard)
        trial.run_metadata.checkpoint_manager.register_checkpoint(_TrainingResult(None, told(epoch)))


def test_what_searcher_and_scheduler_are_told_at_the_end_stays(trial):
    live(trial, Forget(OBJECTIVE))
    kept = {OBJECTIVE: 0.2, "epoch": 2, "training_iteration": 2, "done": True}
    assert trial.last_result == {**kept, "trial_id": trial.trial_id}


@pytest.mark.parametrize("end", ["on_trial_complete", "on_trial_error"])
def test_of_a_trial_that_has_ended_nothing_but_its_last_values_is_kept(trial, end):
    forget = Forget(OBJECTIVE)
    live(trial, forget)
    assert trial.metric_analysis and trial.metric_n_steps and trial.latest_checkpoint_result.metrics
    getattr(forget, end)(0, [], trial)
    assert not trial.metric_analysis and not trial.metric_n_steps
    assert not trial.latest_checkpoint_result.metrics
    assert trial.last_result["epoch"] == 2


def test_a_trial_that_failed_before_it_saved_anything_is_forgotten_too(trial):
    Forget(OBJECTIVE).on_trial_error(0, [], trial)


def test_why_a_trial_failed_is_still_told(trial):
    failure = {OBJECTIVE: float("nan"), "epoch": 1, "done": True, "error": "no room", "story": "long"}
    Forget(OBJECTIVE).on_trial_result(0, [], trial, failure)
    assert failure["error"] == "no room" and "story" not in failure


def test_trials_that_have_ended_leave_the_list_but_the_newest_and_what_is_under_way():
    trials = [
        Trial("trainable", stub=True, config={"number": n}, evaluated_params={"a": 1}) for n in range(5)
    ]
    for trial, status in zip(
        trials, ("TERMINATED", "RUNNING", "ERROR", "TERMINATED", "TERMINATED"), strict=True
    ):
        trial.status = status
    trials[3].temporary_state.saving_to = object()
    ended, running, failed, saving, newest = trials
    Forget(OBJECTIVE).on_step_end(0, trials)
    assert trials == [running, saving, newest]
    assert ended.config == failed.evaluated_params == {} and ended.is_finished()
    assert saving.config == {"number": 3} and newest.evaluated_params == {"a": 1}
