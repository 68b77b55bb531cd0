"""One run from a validated space to the report: data, base, search, winner."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray import tune
from rich.console import Console

from genimage_core.data.images import list_validation
from genimage_core.detectors.info import CheckpointInfo
from reports.model_card import write_card
from reports.render import write_report
from search.base import Base, BaseTask, prepare_base
from search.board import Board, write_text
from search.capacity import Capacity
from search.checks import Checked
from search.cluster import ResourcePlan
from search.display import Display
from search.environment import command_line, describe_run
from search.errors import keep_traceback, one_line
from search.final_scores import open_seal, score_finalists
from search.final_training import finalists_part
from search.finalists import (
    Summary,
    all_have_ended,
    begin_summary,
    can_be_compared,
    count_trainings,
    describe_finalists,
    read_summary,
)
from search.image_scores import IMAGES, SCORES, tabulate_images, write_table
from search.inputs import Inputs, find_images, prepare_inputs, write_left_out
from search.job import Job, ReadyBase
from search.monitor import Monitor, keep_best
from search.records import Records
from search.relay import Part
from search.resume import (
    ENVIRONMENT,
    SPACE,
    TIMING,
    drop_ray_state,
    reopen,
    require_same,
    sole_writer,
    write_json,
)
from search.scheduler import Deadline
from search.space import dump_space
from search.trial import DetectorTrial
from search.tuning import run_parts, search_part
from search.warm_start import keep_taken_over
from search.winner import keep_finalist, keep_winner

BROKEN_OFF = "interrupted"
NO_FINALISTS = "no finalists: the search completed no configuration, or not the baseline"


@dataclass(frozen=True)
class Searched:
    """A search that has come to its end.

    Attributes:
        records: Every trial.
        interrupted: Whether the user ended it.
        full: Whether it ended because the disk has no more room.
        untested: Why its finalists could not be tested; empty if nothing went wrong there.
    """

    records: Records
    interrupted: bool
    full: bool
    untested: str = ""


def execute(
    checked: Checked,
    plan: ResourcePlan,
    nodes: list[dict[str, float]],
    console: Console,
    *,
    started: float,
    time_budget: float | None,
) -> Searched:
    """Carry a run out up to its last trial, on a Ray that has been started."""
    space, run_dir = checked.space, checked.run_dir
    inputs = prepare_inputs(space, checked.generators, checked.cache, console)
    run_dir.mkdir(parents=True, exist_ok=checked.resumed)
    with sole_writer(run_dir):
        description = describe_run(space, checked.protocol, checked.bases, inputs, nodes)
        records = _open_records(checked, description, inputs, console)
        if checked.searches:
            slots = plan.shape.workers * plan.concurrent
            records.open_session(started, slots, plan.concurrent, plan.shape.gpus)
        job = _build_job(checked, inputs, plan, console)
        deadline = Deadline(time.time() + (time_budget or math.inf))
        if part := _begin(checked, job, plan, inputs, records, deadline, console):
            trainable = tune.with_parameters(DetectorTrial, job=job, space=space, shape=plan.shape)
            run_parts(part, trainable, space.search.trials + count_trainings(space), deadline)
        untested = "" if deadline.called or deadline.full else _try_tests(checked, job, plan, inputs, console)
    return Searched(records, deadline.called or untested == BROKEN_OFF, deadline.full, untested)


def _begin(
    checked: Checked,
    job: Job,
    plan: ResourcePlan,
    inputs: Inputs,
    records: Records,
    deadline: Deadline,
    console: Console,
) -> Part | None:
    """Describe what Ray Tune runs: the search, then its finalists."""

    def finalists() -> Part | None:
        if deadline.called or deadline.full or "finalists" not in checked.steps:
            return None
        deadline.at = math.inf  # a budget is the search's
        summary = _choose(checked, inputs, records, console)
        return finalists_part(job, summary, plan, deadline, console) if summary else None

    if not checked.searches:
        return finalists()
    space = checked.space
    console.print(f"run directory {job.run_dir}", highlight=False, markup=False)
    console.print(f"watch it with: tensorboard --logdir {job.board}", highlight=False, markup=False)
    display = Display(records, space.search.trials, deadline.at, console)
    monitor = Monitor(records, Board(job.board), display, deadline, keep_best)
    room = Capacity(plan.shape, plan.concurrent, space.search.trials, monitor.note_room)
    return search_part(space, deadline, monitor, room, first=checked.taken.first, then=finalists)


def _choose(checked: Checked, inputs: Inputs, records: Records, console: Console) -> Summary | None:
    """Choose the finalists, or read which were chosen; None if there are none to choose from."""
    space = checked.space
    if not space.finalists.top:
        return None
    summary = begin_summary(
        space,
        records,
        sealed=checked.protocol.sealed,
        opened_before=checked.taken.opened,
        simulated=inputs.simulated,
    )
    said = describe_finalists(summary) if summary else NO_FINALISTS
    console.print(said, markup=False)
    return summary


def _try_tests(checked: Checked, job: Job, plan: ResourcePlan, inputs: Inputs, console: Console) -> str:
    """Test the finalists; if that cannot be, say why: the search is to have its report all the same."""
    try:
        _open_seal(checked, job, plan, inputs, console)
    except KeyboardInterrupt:
        return BROKEN_OFF
    except ValueError as error:
        log = keep_traceback(error, checked.run_dir)
        return f"{one_line(error)} (details: {log})"
    return ""


def _open_seal(checked: Checked, job: Job, plan: ResourcePlan, inputs: Inputs, console: Console) -> None:
    """Test the finalists, once all are trained."""
    summary = read_summary(checked.run_dir) if "finalists" in checked.steps else None
    if summary is None or not all_have_ended(summary):
        return
    if not can_be_compared(summary):
        console.print("no seed with which both winner and baseline could be trained: the seal stays closed")
        return
    open_seal(checked.run_dir, summary, command_line(str(inputs.layout.root)))
    layout = find_images(checked.space, (*job.search, *checked.protocol.sealed), inputs.layout.root)
    score_finalists(job, summary, layout, plan.shape, console)


def _open_records(
    checked: Checked, description: Mapping[str, Any], inputs: Inputs, console: Console
) -> Records:
    """Begin the records of a run, or bring those of one that was cut off to where it can go on."""
    space, run_dir = checked.space, checked.run_dir
    if checked.resumed:
        for line in require_same(run_dir, description):
            console.print(f"not as before: {line}", markup=False)
    else:
        write_left_out(inputs.bad, run_dir)
        write_table(
            tabulate_images(inputs.layout, inputs.searched(checked.protocol.search), inputs.bad, "val"),
            run_dir / SCORES / IMAGES,
        )
        write_json(run_dir / ENVIRONMENT, {**description, **keep_taken_over(checked.taken, run_dir)})
    (run_dir / SPACE).write_text(dump_space(space), encoding="utf-8")
    records = Records(run_dir, space.search.objective, space.training.epochs)
    if checked.searches and checked.resumed:
        reopen(records, run_dir / "study.db", space.name)
        (run_dir / TIMING).unlink(missing_ok=True)  # the run is not finished any more
    if checked.resumed:
        drop_ray_state(run_dir)
    return records


def conclude(checked: Checked, searched: Searched, console: Console) -> int:
    """Keep the winner and write the report.

    Returns:
        The exit code: 0 if a trial completed, 130 if the user ended the search, else 1.
    """
    records, run_dir = searched.records, checked.run_dir
    missing = keep_winner(checked.space, records)
    keep_finalist(run_dir)
    if missing:
        console.print(f"cut off before these detectors of the best trial were saved: {', '.join(missing)}")
    report = write_report(run_dir)
    console.print(f"report {report}")
    text = report.with_name("report.md").read_text(encoding="utf-8")
    write_text(run_dir / "tensorboard" / "report", "report", text)
    write_card(run_dir)
    if records.best is None:
        console.print(f"no trial completed; the logs are in {run_dir / 'logs'}")
    if searched.full:
        console.print(f"make room on the disk of {run_dir}, then go on with --resume {run_dir}")
    if searched.untested:
        console.print(f"the finalists are not tested: {searched.untested}", markup=False)
        console.print(f"go on with it: --finalists-only {run_dir}", markup=False)
    if searched.interrupted:
        return 130
    return 1 if searched.full or searched.untested or records.best is None else 0


def _build_job(checked: Checked, inputs: Inputs, plan: ResourcePlan, console: Console) -> Job:
    space, layout = checked.space, inputs.layout
    validated = list_validation(layout, checked.protocol.search, space.data, space.search.seed)
    bases = {
        name: _make_ready(checked, base, place, inputs, plan, console)
        for place, (name, base) in enumerate(checked.bases.items())
    }
    return Job(
        run_dir=checked.run_dir,
        cache=checked.cache,
        layout=layout,
        search=checked.protocol.search,
        folds=checked.protocol.folds,
        data=space.data,
        detector=space.detector.name,
        bases=bases,
        objective=space.search.objective,
        seed=space.search.seed,
        identities={(*of, space.search.seed): identity for of, identity in inputs.identities.items()},
        board=checked.run_dir / "tensorboard",
        validated=validated | {layout.root / name for name in checked.taken.validated},
    )


def _make_ready(
    checked: Checked, base: Base, place: int, inputs: Inputs, plan: ResourcePlan, console: Console
) -> ReadyBase:
    """Put the weights of a base where every worker finds them."""
    space = checked.space
    info = CheckpointInfo(
        space.detector.name,
        space.data.image_size,
        base.generators,
        space.data.format_alignment,
        inputs.simulated or base.simulated,
        space.data.crop,
        space.data.real_size,
    )
    target = checked.run_dir / ("base.safetensors" if place == 0 else f"base_{place}.safetensors")
    task = BaseTask(space, base, inputs.layout, checked.cache, info, target)
    judged = tuple(name for name in base.generators if (name, "val") in inputs.identities)
    return ReadyBase(prepare_base(task, plan, console), info, judged)
