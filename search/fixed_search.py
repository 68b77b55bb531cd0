"""A list of trainings for Ray Tune, one after the other, each exactly once."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune.search import Searcher

from search.records import Records
from search.scheduler import Deadline
from search.sections import Value


@dataclass(frozen=True)
class Training:
    """One configuration with one seed.

    Attributes:
        number: Its number in its records.
        role: `baseline` or `searched`.
        params: The searched parameters.
        seed: Of initial weights, order, augmentation and training images.
        finalist: Name of the configuration.
        draw: Which of the seeds this is, counted from 0.
    """

    number: int
    role: str
    params: dict[str, Value]
    seed: int
    finalist: str
    draw: int


class FixedSearch:
    """Suggests what has not ended yet: first what was cut off, from where it was, then the rest in order."""

    def __init__(
        self,
        trainings: Sequence[Training],
        deadline: Deadline,
        records: Records,
        limit: Callable[[], int],
        folder: str,
        identities: Mapping[int, Mapping[str, str]],
    ) -> None:
        """Look up in the records what is left.

        Args:
            trainings: All of them, by number.
            deadline: When nothing is suggested any more.
            records: Where each is noted before it begins.
            limit: How many may be under way now; asked before each.
            folder: Below the run directory and TensorBoard's, where each puts what it makes.
            identities: Of the training images that each seed draws, by generator.
        """
        self._deadline, self._records, self._limit = deadline, records, limit
        self._ahead = deque(unfinished(trainings, records))
        self._folder, self._identities = folder, identities
        self._under_way: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the next configuration; None while there is no room, FINISHED when there is no more."""
        if self._deadline.passed or not self._ahead:
            return str(Searcher.FINISHED)
        if len(self._under_way) >= self._limit():
            return None
        training = self._ahead.popleft()
        record = self._records.trials.get(training.number)
        if record is None:
            said = {"finalist": training.finalist, "seed": training.draw, **training.params}
            record = self._records.begin(training.number, training.role, said)
        self._under_way.add(trial_id)
        return {
            "number": training.number,
            "role": training.role,
            "params": training.params,
            "seed": training.seed,
            "from_epoch": record.reached,
            "folder": self._folder,
            "identities": self._identities[training.seed],
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Learn nothing: what comes next is fixed."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Make room for the next."""
        self._under_way.discard(trial_id)


def unfinished(trainings: Sequence[Training], records: Records) -> list[Training]:
    """Return what has not ended, what has begun first."""
    states = {number: record.state for number, record in records.trials.items()}
    begun = [t for t in trainings if states.get(t.number) == "running"]
    return begun + [t for t in trainings if t.number not in states]
