"""Winner and baseline on degraded test images of the generators that each detector learnt from (task 2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from genimage_core.intervals import Estimate, over_seeds
from reports.finalist_files import read_finalists, read_images

FOLDER = "robustness"
UNCHANGED = "unchanged"
KEY = ["generator", "image"]


@dataclass(frozen=True)
class Degraded:
    """One degradation; intervals are over seeds (Student's t), of one seed without width.

    Attributes:
        name: What was done to the images.
        winner: Balanced accuracy, mean over folds and seeds.
        baseline: The same.
        difference: Winner less baseline, paired by seed.
    """

    name: str
    winner: Estimate
    baseline: Estimate
    difference: Estimate


def read_robustness(run_dir: Path) -> tuple[Degraded, ...]:
    """Read what winner and baseline say of degraded images, those that are not degraded first.

    Args:
        run_dir: Of the run.

    Returns:
        Nothing if the run has no finalists, or they have not been tested.

    Raises:
        ValueError: If a file has not the columns that it should have.
    """
    finalists = read_finalists(run_dir)
    if finalists is None:
        return ()
    names = [configuration.name for configuration in finalists.configurations[:2]]
    seeds = [seed for seed in finalists.seeds_of(names) if all(_paths(run_dir, n, seed) for n in names)]
    if not seeds:
        return ()
    images = read_images(run_dir).query("part == 'test'")[[*KEY, "label"]]
    baseline, winner = (pd.concat([_accuracies(run_dir, n, s, images) for s in seeds], axis=1) for n in names)
    return tuple(_compare(str(name), winner.loc[name], baseline.loc[name]) for name in winner.index)


def _paths(run_dir: Path, name: str, seed: int) -> tuple[Path, Path] | None:
    """Scores on degraded and on unchanged images, once both are there."""
    file = f"{name}_seed_{seed}.parquet"
    degraded, unchanged = (run_dir / "finalists" / folder / file for folder in (FOLDER, "scores"))
    return (degraded, unchanged) if degraded.exists() and unchanged.exists() else None


def _accuracies(run_dir: Path, name: str, seed: int, images: pd.DataFrame) -> "pd.Series[float]":
    """Balanced accuracy by degradation, mean over the cells of folds and their own generators."""
    paths = _paths(run_dir, name, seed)
    assert paths is not None, "only what is there is read"
    degraded, tested = (_read(path, more) for path, more in zip(paths, ("degradation", "part"), strict=True))
    own = degraded[["fold", "generator"]].drop_duplicates()
    unchanged = tested[tested.part == "test"].merge(own).assign(degradation=UNCHANGED)
    table = pd.concat([unchanged, degraded]).merge(images, on=KEY)
    table["right"] = (table.logit > 0) == (table.label == 1)
    by_class = table.groupby(["degradation", "fold", "generator", "label"], sort=False).right.mean()
    return (
        by_class.groupby(["degradation", "fold", "generator"], sort=False)
        .mean()
        .groupby("degradation", sort=False)
        .mean()
    )


def _read(path: Path, more: str) -> pd.DataFrame:
    table = pd.read_parquet(path)
    for column in ("fold", *KEY, "logit", more):
        if column not in table:
            raise ValueError(f"{path} has no column {column}; it has {', '.join(map(str, table.columns))}")
    return table


def _compare(name: str, winner: "pd.Series[float]", baseline: "pd.Series[float]") -> Degraded:
    difference = winner - baseline
    return Degraded(name, _over(winner), _over(baseline), _over(difference, lowest=-1.0))


def _over(by_seed: "pd.Series[float]", lowest: float = 0.0) -> Estimate:
    values: Sequence[float] = by_seed.tolist()
    mean = sum(values) / len(values)
    return over_seeds(values, Estimate(mean, mean, mean), lowest)
