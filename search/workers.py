"""The warm worker group: Ray Train workers that outlive the trial.

Ray Train starts six processes and more for every `fit()`. Here one `fit()` serves command after command, from
many trials, so that processes, device contexts, decoded images and base weights stay.
"""

import math
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.capacity import GroupShape, wait_for_room
from search.checkpoints import Contents
from search.errors import last_line, notes_of, one_line
from search.job import FoldResult, Job
from search.mailbox import Mailbox
from search.orphans import note_placement_group, remove_group, remove_orphans
from search.space import TrialPlan

if TYPE_CHECKING:
    from search.folds import FoldWorker

POLL_S = 0.5  # how often a waiting trial looks whether its group is alive


class WorkerGroupDied(RuntimeError):
    """A worker or its controller ended while a command was under way; the group is of no more use."""


class CommandFailed(RuntimeError):
    """A worker could not do what it was told; the group is there for the next trial.

    Attributes:
        story: Tracebacks of the workers.
    """

    def __init__(self, text: str, story: str) -> None:
        super().__init__(text, story)  # both: it travels from the trial's process to the driver's
        self.story = story

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Failure:
    """An error inside a command; the worker itself lives on."""

    text: str
    story: str


class WorkerGroup:
    """Starts workers through Ray Train and gives them commands until it is closed."""

    def __init__(self, job: Job, shape: GroupShape, hang_limit_s: float) -> None:
        """Start the workers.

        Args:
            job: What stays the same for every trial.
            shape: How many workers, and how big.
            hang_limit_s: A group that is silent for longer while it works, is taken for dead.
        """
        self._job, self._shape, self._hang_limit_s = job, shape, hang_limit_s
        # A name of its own: Ray Train takes up an old run of the same name without asking.
        self._name, self._groups = f"workers-{uuid.uuid4().hex[:8]}", job.run_dir / "workers"
        remove_orphans(self._groups)
        self._mailbox = _beside_me(Mailbox, self._name).remote(shape.workers)
        self._error: BaseException | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fit, args=(job,), daemon=True, name="worker-group")
        self._thread.start()

    def _fit(self, job: Job) -> None:
        try:
            if wait_for_room(self._shape, self._closed, self._hang_limit_s):
                _build_trainer(job, self._shape, self._mailbox, self._name).fit()
        except BaseException as error:  # told to whoever waits for an answer
            self._error = error

    def load(
        self, plan: TrialPlan, seed: int, identities: Mapping[str, str], board: Path, pictures: Path | None
    ) -> None:
        """Make every worker ready for a trial; rank 0 shows its augmentation in both places."""
        self._call(("load", plan, seed, identities, board, pictures))

    def epoch(self, epoch: int) -> list[dict[str, FoldResult]]:
        """Train and evaluate one epoch; the results of every rank."""
        return self._call(("epoch", epoch))

    def save(self, folder: Path) -> Contents:
        """Write detectors and optimisers of all ranks into `folder`; what was written."""
        return {name: sum for rank in self._call(("save", folder)) for name, sum in rank.items()}

    def restore(self, folder: Path) -> None:
        """Continue from what `save` wrote."""
        self._call(("restore", folder))

    def close(self, timeout_s: float = 20.0) -> None:
        """Let the workers end and give their resources back; safe to call twice or after a death."""
        self._closed.set()
        if self._thread.is_alive():
            self._mailbox.end.remote()
            self._thread.join(timeout_s)
        ray.kill(self._mailbox)
        if self._thread.is_alive():  # a worker that hangs does not hear that it should end
            remove_group(self._groups, self._name)

    def _call(self, command: tuple[Any, ...]) -> list[Any]:
        answers = self._mailbox.ask.remote(command)
        while not ray.wait([answers], timeout=POLL_S)[0]:
            if not self._thread.is_alive():
                cause, silence = self._cause(), self._silence()
                raise WorkerGroupDied(f"{cause}, noticed {silence:.0f} s after the last sign of life")
            if (silence := self._silence()) > self._hang_limit_s:
                raise WorkerGroupDied(
                    f"the workers hang: no sign of life for {silence:.0f} s (resources.hang_limit_s)"
                )
        received: Sequence[Any] = ray.get(answers)
        failures = [answer for answer in received if isinstance(answer, Failure)]
        if failures:
            text = "; ".join(dict.fromkeys(failure.text for failure in failures))
            raise CommandFailed(text, "\n".join(failure.story for failure in failures))
        return list(received)

    def _silence(self) -> float:
        seconds: float = ray.get(self._mailbox.silence.remote())
        return seconds

    def _cause(self) -> str:
        failures = getattr(self._error, "worker_failures", None) or {}
        causes = [f"worker {rank} ({self._folds(rank)}): {last_line(str(e))}" for rank, e in failures.items()]
        return "; ".join(causes) or f"the worker group ended: {one_line(self._error)}"

    def _folds(self, rank: int) -> str:
        return ", ".join(fold.name for fold in self._job.folds[rank :: self._shape.workers])


def _beside_me(actor: type, name: str) -> Any:
    """Make a named actor that lives and dies with the node of this process, and of no other."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0)(actor).options(name=name, scheduling_strategy=here)


def _build_trainer(job: Job, shape: GroupShape, mailbox: Any, name: str) -> Any:
    # Imported here: the process that only searches never needs it.
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    resources = {"CPU": shape.cpus} | ({"GPU": shape.gpus} if shape.gpus else {})
    # Not TorchTrainer: its workers form a process group, which listens on every interface and which folds,
    # trained apart, have no use for.
    return DataParallelTrainer(
        serve,
        train_loop_config={"job": job, "shape": shape, "mailbox": mailbox, "name": name},
        scaling_config=ScalingConfig(
            num_workers=shape.workers, use_gpu=shape.gpus > 0, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name=name,
            storage_path=str(job.run_dir / "workers"),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=3),
        ),
    )


def serve(config: dict[str, Any]) -> None:
    """Training function of every worker: obey commands until told to end."""
    import torch
    from ray import train
    from ray.train.torch import get_device

    from search.folds import FoldWorker

    context = train.get_context()
    rank, mailbox = context.get_world_rank(), config["mailbox"]
    if rank == 0:
        note_placement_group(config["job"].run_dir / "workers", config["name"])
    beat = _throttled(lambda: mailbox.beat.remote())
    torch.set_num_threads(max(1, int(config["shape"].cpus + 0.5)))
    worker: FoldWorker | None = None
    while (command := ray.get(mailbox.next.remote(rank))) is not None:
        try:
            if worker is None:
                worker = FoldWorker(config["job"], rank, context.get_world_size(), get_device(), beat)
            answer = _obey(worker, rank, command)
        except torch.OutOfMemoryError as error:  # too much was asked of a device that is sound
            said = f"{notes_of(error)}out of memory during {command[0]!r}: {' '.join(str(error).split())}"
            answer = Failure(said, traceback.format_exc())
        except torch.AcceleratorError:
            raise  # the device is lost to this process; another group must take over
        except Exception as error:  # the trial fails with this text; the worker is there for the next
            answer = Failure(f"{notes_of(error)}{type(error).__name__}: {error}", traceback.format_exc())
        if isinstance(answer, Failure):
            torch.cuda.empty_cache()  # not earlier: the error held what it had been working on
        ray.get(mailbox.answer.remote(rank, answer))


def _throttled(act: Callable[[], object], every_s: float = 1.0) -> Callable[[], None]:
    """Return a function that acts at most once in a while, however often it is called."""
    last = -math.inf

    def maybe() -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            act()

    return maybe


def _obey(worker: "FoldWorker", rank: int, command: tuple[Any, ...]) -> Any:
    verb, *arguments = command
    if verb == "load":
        plan, seed, identities, board, pictures = arguments
        worker.load(plan, seed, identities)
        if rank == 0:
            from search.pictures import show_augmentation

            show_augmentation(worker, plan.policy, seed, board, pictures)
        return None
    return getattr(worker, verb)(*arguments)
