"""The best configurations and the baseline, to be trained anew: what a search found, without its luck."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genimage_core.settings import derive_seed
from search.checkpoints import trial_name
from search.fixed_search import Training
from search.records import Records, TrialRecord
from search.resume import FINALISTS, write_json
from search.sections import Value
from search.space import Space

Summary = dict[str, Any]
FOLDER = "finalists"
DRAWN = ("initialisation", "order", "augmentation", "training images")
_STREAM = 1  # of the search's seed: 0 and its trials use others


@dataclass(frozen=True)
class Finalist:
    """A configuration that is trained anew.

    Attributes:
        name: `baseline`, or that of its trial.
        trial: Its number in the search.
        role: `baseline` or `searched`.
        config: The searched parameters.
        search_value: Objective at the end of its trial.
    """

    name: str
    trial: int
    role: str
    config: dict[str, Value]
    search_value: float


def choose_finalists(records: Records, top: int) -> list[Finalist]:
    """Choose the baseline and the best completed configurations of a search, each configuration once.

    Returns:
        The baseline, then the others from the best on; nothing if one of the two sorts is missing.
    """
    done = [record for record in records.in_order() if record.state == "completed"]
    baseline = [record for record in done if record.role == "baseline"]
    searched = sorted(
        (record for record in done if record.role == "searched"),
        key=lambda record: (-record.value(records.objective), record.number),
    )
    unique = {json.dumps(record.config, sort_keys=True): record for record in reversed(searched)}
    best = [record for record in searched if record in unique.values()][:top]
    if not baseline or not best:
        return []
    return [_finalist(record, records.objective) for record in (*baseline[:1], *best)]


def _finalist(record: TrialRecord, objective: str) -> Finalist:
    name = "baseline" if record.role == "baseline" else trial_name(record.number)
    return Finalist(name, record.number, record.role, record.config, record.value(objective))


def draw_seeds(search_seed: int, count: int) -> tuple[int, ...]:
    """Draw the seeds that every finalist is trained with."""
    return tuple(derive_seed(search_seed, _STREAM, index) % 2**32 for index in range(count))


def list_trainings(finalists: Sequence[Finalist], seeds: Sequence[int]) -> list[Training]:
    """Pair every finalist with every seed, seed by seed: whenever it is cut off, all have about as many."""
    return [
        Training(
            index * len(finalists) + place,
            finalist.role,
            finalist.config,
            seed,
            finalist.name,
            index,
        )
        for index, seed in enumerate(seeds)
        for place, finalist in enumerate(finalists)
    ]


def read_summary(run_dir: Path) -> Summary | None:
    """Return the content of `finalists.json`; None while the finalists of a run are not chosen."""
    path = run_dir / FINALISTS
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write_summary(run_dir: Path, summary: Summary) -> None:
    """Write `finalists.json`."""
    write_json(run_dir / FINALISTS, summary)


def begin_summary(
    space: Space,
    records: Records,
    *,
    sealed: Sequence[str],
    opened_before: Sequence[str],
    simulated: bool,
) -> Summary | None:
    """Fix who the finalists are and how they are tried, or return what an earlier call has fixed.

    Args:
        space: Of the search.
        records: Of the search, which has ended.
        sealed: Generators that it has not seen.
        opened_before: Those of them that a run which it was warm-started from had opened.
        simulated: Whether the images are.

    Returns:
        Content of `finalists.json`; None if the search gives no finalists.
    """
    if (fixed := read_summary(records.run_dir)) is not None:
        return fixed
    section = space.finalists
    finalists = choose_finalists(records, section.top)
    if not finalists:
        return None
    summary = {
        "top": section.top,
        "seeds": list(draw_seeds(space.search.seed, section.seeds)),
        "seed_draws": list(DRAWN),
        "epochs": space.training.epochs,
        "test_per_class": section.test_per_class,
        "simulated": simulated,
        "configurations": [asdict(finalist) for finalist in finalists],
        "runs": [],
        "sealed": list(sealed),
        "opened_before": [name for name in opened_before if name in sealed],
        "seal": None,
        "tested": False,
    }
    write_summary(records.run_dir, summary)
    return summary


def describe_finalists(summary: Mapping[str, Any]) -> str:
    """Say in a line what is trained anew."""
    names = [finalist["name"] for finalist in summary["configurations"]]
    count = len(names) * len(summary["seeds"])
    return f"finalists: {', '.join(names)}, {len(summary['seeds'])} fresh seeds each: {count} trainings"


def trainings_of(summary: Mapping[str, Any]) -> list[Training]:
    """Return the trainings that `finalists.json` asks for."""
    finalists = [Finalist(**fields) for fields in summary["configurations"]]
    return list_trainings(finalists, summary["seeds"])


def count_trainings(space: Space) -> int:
    """How many trainings a space file asks for, after its search."""
    return (space.finalists.top + 1) * space.finalists.seeds


def all_have_ended(summary: Mapping[str, Any]) -> bool:
    """Whether nothing is left to train: each has completed or failed."""
    ended = [run for run in summary["runs"] if run["state"] in ("completed", "failed")]
    return len(ended) == len(trainings_of(summary))


def can_be_compared(summary: Mapping[str, Any]) -> bool:
    """Whether the winner and the baseline completed a training with the same seed."""
    baseline, winner = (finalist["name"] for finalist in summary["configurations"][:2])
    completed = {(run["name"], run["seed"]) for run in summary["runs"] if run["state"] == "completed"}
    return any({(baseline, seed), (winner, seed)} <= completed for seed in range(len(summary["seeds"])))


def note_runs(summary: Summary, trainings: Sequence[Training], records: Records) -> None:
    """Bring `runs` up to date: what became of every training that has begun."""
    known = [(training, records.trials.get(training.number)) for training in trainings]
    summary["runs"] = [
        {
            "name": training.finalist,
            "seed": training.draw,
            "state": record.state,
            "epoch": record.reached,
            "error": record.error,
            "validation": record.value(records.objective) if record.epochs else None,
        }
        for training, record in known
        if record is not None
    ]
