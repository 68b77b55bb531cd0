"""Training the finalists: in `finalists/`, which is laid out like a run directory of its own."""

import time
from pathlib import Path

from ray.tune.schedulers import FIFOScheduler
from rich.console import Console

from genimage_core.data.images import describe_images
from search.board import Board
from search.capacity import Capacity
from search.checkpoints import folder_of
from search.cluster import ResourcePlan
from search.display import Display
from search.finalists import FOLDER, Summary, note_runs, trainings_of, write_summary
from search.fixed_search import FixedSearch, unfinished
from search.job import Job
from search.monitor import Monitor
from search.records import Records, TrialRecord
from search.relay import Part
from search.resume import drop_ray_state, reopen
from search.scheduler import Deadline


def finalists_part(
    job: Job, summary: Summary, plan: ResourcePlan, deadline: Deadline, console: Console
) -> Part | None:
    """Describe the trainings that have not ended yet.

    Args:
        job: Of the search.
        summary: Content of `finalists.json`; brought up to date, on the disk too.
        plan: How trials spread over the machines.
        deadline: Called when the user wants no more.
        console: Where it is told.

    Returns:
        None if all have ended.
    """
    trainings, run_dir = trainings_of(summary), job.run_dir / FOLDER
    run_dir.mkdir(exist_ok=True)
    records = Records(run_dir, job.objective, summary["epochs"])
    reopen(records, run_dir / "study.db", FOLDER)
    drop_ray_state(run_dir)

    def note() -> None:
        note_runs(summary, trainings, records)
        write_summary(job.run_dir, summary)

    if not unfinished(trainings, records):
        note()
        return None
    shape = plan.shape
    records.open_session(time.time(), shape.workers * plan.concurrent, plan.concurrent, shape.gpus)
    display = Display(records, len(trainings), deadline.at, console, noun="training")
    monitor = Monitor(records, Board(job.board / FOLDER), display, deadline, drop_training_state)
    room = Capacity(shape, plan.concurrent, len(trainings), monitor.note_room)
    identities = {seed: _identify(job, seed) for seed in summary["seeds"]}
    searcher = FixedSearch(trainings, deadline, records, room, FOLDER, identities)

    return Part(searcher, FIFOScheduler(), monitor, at_end=note)


def _identify(job: Job, seed: int) -> dict[str, str]:
    """Identities of the training images that a seed draws, by generator."""
    names = sorted({name for fold in job.folds for name in fold.train})
    return {name: describe_images(job.layout, name, "train", job.data, seed).identity for name in names}


def drop_training_state(records: Records, ended: TrialRecord) -> None:
    """Keep of a training that has ended only the detectors: nothing goes on from it."""
    if ended.state == "interrupted":
        return
    for path in detectors_of(records.run_dir, ended).parent.glob("*/*.training.pt"):
        path.unlink()


def detectors_of(run_dir: Path, record: TrialRecord) -> Path:
    """Where the detectors are that a training has given."""
    return folder_of(run_dir, record.number) / f"epoch_{record.reached}"
