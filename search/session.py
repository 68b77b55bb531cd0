"""One run from a validated space to the report: data, base, search, winner."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ray import tune
from rich.console import Console

from genimage_core.cache import cache_folder
from genimage_core.detectors.catalogue import check_detector
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.protocol import Protocol, hold_out
from genimage_core.settings import require
from reports.model_card import write_card
from reports.render import write_report
from search.base import Base, BaseTask, find_bases, prepare_base
from search.capacity import Capacity
from search.cluster import ResourcePlan, plan_resources
from search.environment import command_line, describe_run
from search.final_scores import open_seal, score_finalists
from search.final_training import train_finalists
from search.finalists import begin_summary, can_be_compared, describe_finalists, read_summary
from search.image_scores import IMAGES, SCORES, tabulate_images, write_table
from search.inputs import Inputs, check_inputs, check_tests, find_images, prepare_inputs, write_left_out
from search.job import Job, ReadyBase
from search.live import live, note_room
from search.records import Records
from search.resume import (
    ENVIRONMENT,
    SPACE,
    Configuration,
    drop_ray_state,
    reopen,
    require_same,
    sole_writer,
    write_json,
)
from search.scheduler import Deadline
from search.sections import ResourcesSection
from search.space import Space, build_protocol, dump_space
from search.trial import DetectorTrial
from search.tuning import run_search
from search.winner import keep_finalist, keep_winner

Step = Literal["search", "finalists"]


@dataclass(frozen=True)
class Checked:
    """A run of which everything that can be refused beforehand has been checked; nothing is written yet.

    Attributes:
        space: What is searched.
        protocol: Folds, left-out and sealed generators.
        bases: Weights that trials start from, by name, the baseline's first.
        generators: Those that are read: the search's, and the base's if it is to be trained.
        run_dir: Where the records will be.
        cache: Where data, decoded images and base weights are kept.
        address: Ray cluster to join; None for an instance of its own.
        resumed: Whether the run directory holds the beginning of this run.
        first: Configurations to try right after the baseline.
        opened: Sealed generators that the run had opened from which these come.
        steps: What is done: the search, its finalists, or one after the other.
    """

    space: Space
    protocol: Protocol
    bases: Mapping[str, Base]
    generators: tuple[str, ...]
    run_dir: Path
    cache: Path
    address: str | None
    resumed: bool = False
    first: tuple[Configuration, ...] = ()
    opened: tuple[str, ...] = ()
    steps: tuple[Step, ...] = get_args(Step)

    @property
    def searches(self) -> bool:
        """Whether trials of the search are run: not any more, once its finalists are chosen."""
        return "search" in self.steps and read_summary(self.run_dir) is None


@dataclass(frozen=True)
class Searched:
    """A search that has come to its end.

    Attributes:
        records: Every trial.
        interrupted: Whether the user ended it.
        full: Whether it ended because the disk has no more room.
    """

    records: Records
    interrupted: bool
    full: bool


def check(
    space: Space,
    run_dir: Path,
    address: str | None,
    *,
    steps: Sequence[Step] = get_args(Step),
    resumed: bool = False,
    first: Sequence[Configuration] = (),
    opened: Sequence[str] = (),
) -> Checked:
    """Check detector, base, protocol and data; the arguments are those of `Checked`.

    Raises:
        ValueError: On the first that is impossible.
    """
    check_detector(space.detector.name, space.data.image_size)
    check_inputs(
        space, space.catalog.expand(space.protocol.search)
    )  # before the base: that may need the network
    bases = find_bases(space)
    seen = tuple(dict.fromkeys(name for base in bases.values() for name in base.generators))
    protocol = build_protocol(space, seen)
    _check_workers(space.resources, len(protocol.folds))
    _check_patience(space, protocol, bases)
    to_train = tuple(base.generators[0] for base in bases.values() if base.kind == "generator")
    if to_train:
        check_inputs(space, to_train)
    generators = tuple(dict.fromkeys((*protocol.search, *to_train)))
    if "finalists" in steps:
        check_tests(space)
    cache = cache_folder().absolute()
    return Checked(
        space=space,
        protocol=protocol,
        bases=bases,
        generators=generators,
        run_dir=run_dir,
        cache=cache,
        address=address,
        resumed=resumed,
        first=tuple(first),
        opened=tuple(opened),
        steps=tuple(steps),
    )


def _check_patience(space: Space, protocol: Protocol, bases: Mapping[str, Base]) -> None:
    if not space.may_be_patient:
        return
    for fold in protocol.folds:
        for base in bases.values():
            hold_out(fold.train, base.generators, space.catalog, 1, space.search.seed)


def _check_workers(section: ResourcesSection, folds: int) -> None:
    workers = section.workers_per_trial
    allowed = f"auto or within 1 to {folds} (detectors per trial; more workers would idle)"
    require(workers == "auto" or workers <= folds, "resources.workers_per_trial", workers, allowed)


def plan_for(checked: Checked, nodes: list[dict[str, float]]) -> ResourcePlan:
    """Decide how the run spreads over the machines.

    Raises:
        ValueError: If not even one trial fits.
    """
    space = checked.space
    return plan_resources(nodes, space.resources, len(checked.protocol.folds), space.search.trials)


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
            records.open_session(started, plan.shape.workers * plan.concurrent, plan.concurrent)
        job = _build_job(checked, inputs, plan, console)
        deadline = Deadline(time.time() + (time_budget or math.inf))
        if checked.searches:
            _search(checked, job, plan, records, deadline, console)
        if not (deadline.called or deadline.full):
            deadline.at = math.inf  # a budget is the search's
            _try_finalists(checked, job, plan, inputs, records, deadline, console)
    return Searched(records, deadline.called, deadline.full)


def _try_finalists(
    checked: Checked,
    job: Job,
    plan: ResourcePlan,
    inputs: Inputs,
    records: Records,
    deadline: Deadline,
    console: Console,
) -> None:
    """Train the best configurations and the baseline anew, then open the seal."""
    space, run_dir = checked.space, checked.run_dir
    if "finalists" not in checked.steps or not space.finalists.top:
        return
    sealed = checked.protocol.sealed
    opened, simulated = checked.opened, inputs.simulated
    summary = begin_summary(space, records, sealed=sealed, opened_before=opened, simulated=simulated)
    if summary is None:
        console.print("no finalists: the search completed no configuration, or not the baseline")
        return
    console.print(describe_finalists(summary), markup=False)
    if not train_finalists(job, space, summary, plan, deadline, console):
        return
    if not can_be_compared(summary):
        console.print("no seed with which both winner and baseline could be trained: the seal stays closed")
        return
    open_seal(run_dir, summary, command_line(str(inputs.layout.root)))
    layout = find_images(space, (*job.search, *sealed), inputs.layout.root)
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
        before = {"first": list(checked.first), "opened": list(checked.opened)}
        taken_over = {"warm_start": before} if checked.first else {}
        write_json(run_dir / ENVIRONMENT, {**description, **taken_over})
    (run_dir / SPACE).write_text(dump_space(space), encoding="utf-8")
    records = Records(run_dir, space.search.objective, space.training.epochs)
    if checked.searches and checked.resumed:
        reopen(records, run_dir / "study.db", space.name)
        (run_dir / "timing.json").unlink(missing_ok=True)  # the run is not finished any more
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
    console.print(f"report {write_report(run_dir)}")
    write_card(run_dir)
    if records.best is None:
        console.print(f"no trial completed; the logs are in {run_dir / 'logs'}")
    if searched.full:
        console.print(f"make room on the disk of {run_dir}, then go on with --resume {run_dir}")
    return 130 if searched.interrupted else 0 if records.best and not searched.full else 1


def _build_job(checked: Checked, inputs: Inputs, plan: ResourcePlan, console: Console) -> Job:
    space = checked.space
    bases = {
        name: _make_ready(checked, base, place, inputs, plan, console)
        for place, (name, base) in enumerate(checked.bases.items())
    }
    return Job(
        run_dir=checked.run_dir,
        cache=checked.cache,
        layout=inputs.layout,
        search=checked.protocol.search,
        folds=checked.protocol.folds,
        data=space.data,
        detector=space.detector.name,
        bases=bases,
        objective=space.search.objective,
        seed=space.search.seed,
        identities={(*of, space.search.seed): identity for of, identity in inputs.identities.items()},
        board=checked.run_dir / "tensorboard",
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


def _search(
    checked: Checked, job: Job, plan: ResourcePlan, records: Records, deadline: Deadline, console: Console
) -> None:
    space = checked.space
    with live(job, records, space.search.trials, deadline, console) as (board, display):
        display.note(f"run directory {job.run_dir}")
        display.note(f"watch it with: tensorboard --logdir {job.board}")
        run_search(
            space,
            tune.with_parameters(DetectorTrial, job=job, space=space, shape=plan.shape),
            deadline,
            limit=Capacity(plan.shape, plan.concurrent, space.search.trials, note_room(records, display)),
            records=records,
            board=board,
            display=display,
            first=checked.first,
        )
