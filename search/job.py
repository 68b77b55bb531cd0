"""What travels between the search, a trial and its workers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genimage_core.data.layout import Layout
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.metrics import Scores
from genimage_core.protocol import Fold
from genimage_core.settings import DataSettings


@dataclass(frozen=True)
class ReadyBase:
    """Weights that trials start from, where every worker finds them.

    Attributes:
        path: Of the weights; None for random ones.
        info: What the description of a detector that starts from them begins with.
        judged: Generators that they were trained on, of which there are images here.
    """

    path: Path | None
    info: CheckpointInfo
    judged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What stays the same for every trial of a search; everything a worker needs, paths included.

    Attributes:
        run_dir: Run directory, absolute, reachable from every node.
        cache: Folder for decoded images, on each node its own.
        layout: Where the images are.
        search: Search generators.
        folds: Detectors that a trial trains.
        data: How images are read.
        detector: Name of the detector.
        bases: Weights to start from, by their names in the space file.
        objective: Metric that the search maximises.
        seed: Seed of the search.
        identities: `Recipe.identity` of the images of each generator, split and seed, where the search began.
        board: Folder for TensorBoard.
        validated: Images that this search, or one that it learnt from, chose by: never tested on.
    """

    run_dir: Path
    cache: Path
    layout: Layout
    search: tuple[str, ...]
    folds: tuple[Fold, ...]
    data: DataSettings
    detector: str
    bases: Mapping[str, ReadyBase]
    objective: str
    seed: int
    identities: Mapping[tuple[str, str, int], str]
    board: Path
    validated: frozenset[Path]


@dataclass(frozen=True)
class FoldResult:
    """One epoch of one fold.

    Attributes:
        scores: By search generator.
        loss: Mean training loss, in nats.
        train_s: Seconds of training.
        eval_s: Seconds of evaluation.
        forgotten: Accuracy that the base had on the generators it was trained on, minus what is left of it;
            NaN without such a base.
        micro_batch: Images at a time, where whole batches do not fit into the memory of the device.
    """

    scores: dict[str, Scores]
    loss: float
    train_s: float
    eval_s: float
    forgotten: float
    micro_batch: int | None


@dataclass(frozen=True)
class EpochTable:
    """What an epoch gave in detail, out of sight of Ray Tune, which keeps a history of every number.

    Attributes:
        matrix: Scores by fold and test generator.
        losses: Mean training loss by fold, in nats.
    """

    matrix: Mapping[str, Mapping[str, Mapping[str, float]]]
    losses: Mapping[str, float]


def merge(results: Sequence[Mapping[str, FoldResult]]) -> dict[str, FoldResult]:
    """Put the folds of all ranks together."""
    return {name: result for rank in results for name, result in rank.items()}


def smallest_micro_batch(results: Mapping[str, FoldResult]) -> dict[str, int]:
    """Return `micro_batch` of the fold that had to divide its batches most; nothing if none had to."""
    sizes = [result.micro_batch for result in results.values() if result.micro_batch is not None]
    return {"micro_batch": min(sizes)} if sizes else {}
