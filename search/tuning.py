"""The search itself: Ray Tune with the study's suggestions, early stopping and warm worker groups."""

from ray import tune

from search.board import Board
from search.cluster import TRIAL_MEMORY_BYTES, ResourcePlan
from search.display import Display
from search.job import Job
from search.monitor import Monitor
from search.records import Records
from search.scheduler import Deadline, build_scheduler
from search.searcher import StudySearch
from search.space import Space
from search.trial import DetectorTrial, trial_name

RETRIES = 2


def run_search(
    space: Space,
    job: Job,
    plan: ResourcePlan,
    deadline: float,
    *,
    records: Records,
    board: Board,
    display: Display,
) -> None:
    """Run every trial of a search; results reach records, board and display as they come.

    Args:
        space: What is searched.
        job: What stays the same for every trial.
        plan: Workers per trial, trials at the same time.
        deadline: Unix time after which no trial starts and none goes on to another epoch.
        records: Where trials are written down.
        board: TensorBoard.
        display: What the user sees.
    """
    searcher = StudySearch(space, job.run_dir / "study.db", deadline)
    stopper = Deadline(deadline)
    monitor = Monitor(records, board, display, stopper)
    trainable = tune.with_parameters(DetectorTrial, job=job, space=space, shape=plan.shape)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"memory": TRIAL_MEMORY_BYTES}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=build_scheduler(space),
            num_samples=space.search.trials,
            max_concurrent_trials=plan.concurrent,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial_name(trial.config.get("number", 0)),
            trial_dirname_creator=lambda trial: (
                f"{trial_name(trial.config.get('number', 0))}_{trial.trial_id}"
            ),
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(job.run_dir),
            callbacks=[monitor],
            stop=stopper,
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=1),
            verbose=0,
        ),
    )
    try:
        tuner.fit()
    finally:
        searcher.settle()
        monitor.settle()
