"""The warm worker group: Ray Train workers that outlive the trial.

Ray Train starts six processes and more for every `fit()`. Here one `fit()` serves command after command, from
many trials, so that processes, device contexts, decoded images and base weights stay.
"""

import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from search.checkpoints import Contents
from search.errors import last_line, one_line
from search.job import FoldResult, Job
from search.mailbox import Mailbox
from search.space import TrialPlan

if TYPE_CHECKING:
    from search.folds import FoldWorker

POLL_S = 0.5  # how often a waiting trial looks whether its group is alive


class WorkerGroupDied(RuntimeError):
    """A worker or its controller ended while a command was under way; the group is of no more use."""


class CommandFailed(RuntimeError):
    """A worker could not do what it was told; the group is there for the next trial."""


@dataclass(frozen=True)
class GroupShape:
    """What one group occupies.

    Attributes:
        workers: Number of workers.
        cpus: CPUs reserved per worker.
        gpus: GPUs reserved per worker.
    """

    workers: int
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Failure:
    """An error inside a command; the worker itself lives on."""

    text: str


class WorkerGroup:
    """Starts workers through Ray Train and gives them commands until it is closed."""

    def __init__(self, job: Job, shape: GroupShape) -> None:
        self._shape = shape
        self._mailbox = ray.remote(num_cpus=0)(Mailbox).remote(shape.workers)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fit, args=(job,), daemon=True, name="worker-group")
        self._thread.start()

    def _fit(self, job: Job) -> None:
        try:
            _build_trainer(job, self._shape, self._mailbox).fit()
        except BaseException as error:  # told to whoever waits for an answer
            self._error = error

    def load(self, plan: TrialPlan, board: Path) -> None:
        """Make every worker ready for a trial; rank 0 puts pictures of its augmentation on `board`."""
        self._call(("load", plan, board))

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
        if self._thread.is_alive():
            self._mailbox.end.remote()
            self._thread.join(timeout_s)
        ray.kill(self._mailbox)

    def _call(self, command: tuple[Any, ...]) -> list[Any]:
        answers = self._mailbox.ask.remote(command)
        while not ray.wait([answers], timeout=POLL_S)[0]:
            if not self._thread.is_alive():
                raise WorkerGroupDied(f"the worker group ended during {command[0]!r}: {self._cause()}")
        received: Sequence[Any] = ray.get(answers)
        failures = [answer.text for answer in received if isinstance(answer, Failure)]
        if failures:
            raise CommandFailed("; ".join(dict.fromkeys(failures)))
        return list(received)

    def _cause(self) -> str:
        failures = getattr(self._error, "worker_failures", None) or {}
        causes = [f"worker {rank}: {last_line(str(error))}" for rank, error in failures.items()]
        return "; ".join(causes) or one_line(self._error)


def _build_trainer(job: Job, shape: GroupShape, mailbox: Any) -> Any:
    # Imported here: the process that only searches never needs it.
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    resources = {"CPU": shape.cpus} | ({"GPU": shape.gpus} if shape.gpus else {})
    # Not TorchTrainer: its workers form a process group, which listens on every interface and which folds,
    # trained apart, have no use for.
    return DataParallelTrainer(
        serve,
        train_loop_config={"job": job, "shape": shape, "mailbox": mailbox},
        scaling_config=ScalingConfig(
            num_workers=shape.workers, use_gpu=shape.gpus > 0, resources_per_worker=resources
        ),
        run_config=RunConfig(
            # A name of its own: Ray Train takes up an old run of the same name without asking.
            name=f"workers-{uuid.uuid4().hex[:8]}",
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
    torch.set_num_threads(max(1, int(config["shape"].cpus + 0.5)))
    worker: FoldWorker | None = None
    while (command := ray.get(mailbox.next.remote(rank))) is not None:
        try:
            if worker is None:
                worker = FoldWorker(config["job"], rank, context.get_world_size(), get_device())
            answer = _obey(worker, rank, command)
        except torch.OutOfMemoryError as error:  # too much was asked of a device that is sound
            answer = Failure(f"out of memory during {command[0]!r}: {' '.join(str(error).split())}")
        except torch.AcceleratorError:
            raise  # the device is lost to this process; another group must take over
        except Exception as error:  # the trial fails with this text; the worker is there for the next
            answer = Failure(f"{type(error).__name__}: {error}")
        if isinstance(answer, Failure):
            torch.cuda.empty_cache()  # not earlier: the error held what it had been working on
        ray.get(mailbox.answer.remote(rank, answer))


def _obey(worker: "FoldWorker", rank: int, command: tuple[Any, ...]) -> Any:
    verb, *arguments = command
    if verb == "load":
        plan, board = arguments
        worker.load(plan)
        if rank == 0:
            from search.board import write_pictures

            write_pictures(board, plan.policy, worker.training_sets, worker.job.seed)
        return None
    return getattr(worker, verb)(*arguments)
