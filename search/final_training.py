"""Training the finalists: in `finalists/`, which is laid out like a run directory of its own."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from rich.console import Console

from genimage_core.data.images import describe_images
from search.capacity import Capacity
from search.checkpoints import folder_of
from search.cluster import ResourcePlan
from search.finalists import FOLDER, Summary, note_runs, trainings_of, write_summary
from search.fixed_search import FixedSearch, Training, unfinished
from search.job import Job
from search.live import live, note_room
from search.monitor import Monitor
from search.records import Records, TrialRecord
from search.resume import drop_ray_state, reopen
from search.scheduler import Deadline
from search.space import Space
from search.trial import DetectorTrial
from search.tuning import run_trials


def train_finalists(
    job: Job, space: Space, summary: Summary, plan: ResourcePlan, deadline: Deadline, console: Console
) -> bool:
    """Train what has not been trained yet.

    Args:
        job: Of the search.
        space: Of the search.
        summary: Content of `finalists.json`; brought up to date, on the disk too.
        plan: How trials spread over the machines.
        deadline: Called when the user wants no more.
        console: Where it is told.

    Returns:
        Whether all trainings have ended, well or not.
    """
    trainings = trainings_of(summary)
    inner = replace(
        job,
        run_dir=job.run_dir / FOLDER,
        board=job.board / FOLDER,
        identities={**job.identities, **_identify_draws(job, summary["seeds"])},
    )
    inner.run_dir.mkdir(exist_ok=True)
    records = Records(inner.run_dir, job.objective, summary["epochs"])
    reopen(records, inner.run_dir / "study.db", FOLDER)
    drop_ray_state(inner.run_dir)
    if unfinished(trainings, records):
        records.open_session(time.time(), plan.shape.workers * plan.concurrent, plan.concurrent)
        try:
            _train(inner, space, trainings, plan, records, deadline, console)
        finally:
            note_runs(summary, trainings, records)
            write_summary(job.run_dir, summary)
    ended = {record.number for record in records.in_order() if record.state in ("completed", "failed")}
    return len(ended) == len(trainings)


def _identify_draws(job: Job, seeds: Sequence[int]) -> dict[tuple[str, str, int], str]:
    """Identities of the training images that every seed draws."""
    names = sorted({name for fold in job.folds for name in fold.train})
    return {
        (name, "train", seed): describe_images(job.layout, name, "train", job.data, seed).identity
        for seed in seeds
        for name in names
    }


def _train(
    job: Job,
    space: Space,
    trainings: Sequence[Training],
    plan: ResourcePlan,
    records: Records,
    deadline: Deadline,
    console: Console,
) -> None:
    with live(job, records, len(trainings), deadline, console, noun="training") as (board, display):
        room = Capacity(plan.shape, plan.concurrent, len(trainings), note_room(records, display))
        run_trials(
            tune.with_parameters(DetectorTrial, job=job, space=space, shape=plan.shape),
            len(unfinished(trainings, records)),
            FixedSearch(trainings, deadline, records, room),
            FIFOScheduler(),
            Monitor(records, board, display, deadline, drop_training_state),
            deadline,
        )


def drop_training_state(records: Records, ended: TrialRecord) -> None:
    """Keep of a training that has ended only the detectors: nothing goes on from it."""
    if ended.state == "interrupted":
        return
    for path in detectors_of(records.run_dir, ended).parent.glob("*/*.training.pt"):
        path.unlink()


def detectors_of(run_dir: Path, record: TrialRecord) -> Path:
    """Where the detectors are that a training has given."""
    return folder_of(run_dir, record.number) / f"epoch_{record.reached}"
