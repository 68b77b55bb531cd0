"""Reads what a run keeps of its finalists and of every image; refuses what is not whole."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from genimage_core.resampling import Images
from reports.records import Shortcuts

Part: TypeAlias = Literal["val", "test", "sealed"]
IMAGE_COLUMNS = ("generator", "part", "image", "label", "cluster")
LOGIT_COLUMNS = ("fold", "generator", "image", "logit")


@dataclass(frozen=True)
class Configuration:
    """A configuration that was trained anew; `search_value` is the objective that its trial reached."""

    name: str
    trial: int
    role: Literal["baseline", "searched"]
    search_value: float
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """One of them with one fresh seed."""

    name: str
    seed: int
    state: str
    error: str | None = None


@dataclass(frozen=True)
class Finalists:
    """Content of `finalists.json`, as far as statistics need it.

    Attributes:
        configurations: The baseline, then the others from the best search value on.
        runs: What became of every training that has begun.
        seeds: The fresh seeds.
        sealed: Generators that the search did not see.
        opened_before: Those of them that an earlier run had opened, from which this one learnt.
        seal: When and how the sealed images were opened; None before all trainings have ended.
        simulated: The images are those of the embedded set.
        tested: Whether all that completed has been tested.
        shortcuts: What the files of the sealed generators tell of their class; None if not recorded.
    """

    configurations: tuple[Configuration, ...]
    runs: tuple[Training, ...]
    seeds: tuple[int, ...]
    sealed: tuple[str, ...]
    seal: Mapping[str, Any] | None
    simulated: bool
    opened_before: tuple[str, ...] = ()
    tested: bool = True
    shortcuts: Shortcuts | None = None

    def __post_init__(self) -> None:
        roles = [configuration.role for configuration in self.configurations]
        if roles[:1] != ["baseline"] or "searched" not in roles or "baseline" in roles[1:]:
            raise ValueError(f"configurations must be the baseline and then searched ones, got {roles}")

    def seeds_of(self, names: Iterable[str]) -> tuple[int, ...]:
        """Places of the seeds with which all of these configurations completed their training."""
        done = {(run.name, run.seed) for run in self.runs if run.state == "completed"}
        wanted = tuple(names)
        return tuple(s for s in range(len(self.seeds)) if all((name, s) in done for name in wanted))


def read_finalists(run_dir: Path) -> Finalists | None:
    """Read `finalists.json`; None if the run has none.

    Raises:
        ValueError: If it cannot be understood; the message names the file and the key.
    """
    path = run_dir / "finalists.json"
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Finalists).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ", ".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"{path}, {where}: {first['msg']}, got {first['input']!r:.60}") from error


def trial_scores(run_dir: Path, trial: int) -> Path:
    """Where it is kept what a trial says of the validation images."""
    return run_dir / "scores" / f"trial_{trial:04d}.parquet"


def finalist_scores(run_dir: Path, name: str, seed: int) -> Path:
    """Where it is kept what a finalist trained with a seed says of the test images."""
    return run_dir / "finalists" / "scores" / f"{name}_seed_{seed}.parquet"


def read_images(run_dir: Path) -> pd.DataFrame:
    """Read which images detectors were asked about, in the file's order.

    Raises:
        ValueError: If the file is missing or its content is not as it must be; the message names both.
    """
    path = run_dir / "scores" / "images.parquet"
    table = _read(path, IMAGE_COLUMNS)
    if wrong := sorted(set(table["label"].dropna().unique()) - {0, 1}):
        raise ValueError(f"{path}, column label: must be 0 (real) or 1 (fake), got {wrong[0]}")
    for column in ("generator", "part", "image", "label"):
        if table[column].isna().any():
            raise ValueError(f"{path}, column {column}: {int(table[column].isna().sum())} rows have no value")
    twice = table[table.duplicated(["generator", "part", "image"])]
    if len(twice):
        row = twice.iloc[0]
        raise ValueError(
            f"{path}, column image: {row['image']} of {row['generator']} ({row['part']}) is there twice"
        )
    return table


def images_of(table: pd.DataFrame, part: Part, generators: Sequence[str], path: Path) -> Images:
    """Take the images of a part of some generators from the table, sorted by generator.

    Args:
        table: See `read_images`.
        part: Which.
        generators: Which, in the order that they get.
        path: Of the table, for messages.

    Raises:
        ValueError: If a generator has fewer than two images of a class.
    """
    chosen = select(table, part, generators)
    places = {name: place for place, name in enumerate(generators)}
    clusters, _ = pd.factorize(chosen["cluster"])  # -1 where none is known
    alone = clusters < 0
    clusters[alone] = clusters.max(initial=-1) + 1 + np.arange(alone.sum())
    try:
        return Images(
            tuple(generators),
            chosen["generator"].map(places).to_numpy(np.int64),
            chosen["label"].to_numpy(np.int64),
            clusters,
        )
    except ValueError as error:
        raise ValueError(f"{path}, part {part}: {error}") from error


def select(table: pd.DataFrame, part: Part, generators: Sequence[str]) -> pd.DataFrame:
    """Rows of a part of some generators, generator by generator."""
    return pd.concat([table[(table["part"] == part) & (table["generator"] == name)] for name in generators])


def read_logits(path: Path, chosen: pd.DataFrame, folds: Sequence[str], part: Part) -> NDArray[np.float32]:
    """Read what the detectors of all folds say of some images.

    Args:
        path: Parquet file of a trial, or of a finalist, which has a column `part`.
        chosen: The images, see `select`.
        folds: Names of the folds.
        part: Of the images.

    Returns:
        Logits, shape (F, N), images in the order of `chosen`.

    Raises:
        ValueError: If the file is missing, or a fold lacks an image, has it twice, or without a finite logit.
    """
    table = _read(path, LOGIT_COLUMNS if part == "val" else (*LOGIT_COLUMNS, "part"))
    if part != "val":
        table = table[table["part"] == part]
    places = _keys(chosen, chosen).get_indexer(_keys(table, chosen))
    rows = table["fold"].map({fold: row for row, fold in enumerate(folds)})
    wanted = rows.notna().to_numpy() & (places >= 0)
    flat = rows[wanted].to_numpy(np.int64) * len(chosen) + places[wanted]
    _check_once(np.bincount(flat, minlength=len(folds) * len(chosen)), chosen, folds, path)
    logits = np.empty(len(folds) * len(chosen), np.float32)
    logits[flat] = table.loc[wanted, "logit"]
    _check_finite(logits, chosen, folds, path)
    return logits.reshape(len(folds), len(chosen))


def _keys(table: pd.DataFrame, chosen: pd.DataFrame) -> pd.Index:
    """One number for generator and image; below zero for generators that are not among the chosen."""
    places = {name: place for place, name in enumerate(chosen["generator"].unique())}
    generators = table["generator"].map(places).fillna(-1).to_numpy(np.int64)
    keys: pd.Index = pd.Index((generators << 32) + table["image"].to_numpy(np.int64))
    return keys


def _check_once(counts: NDArray[np.integer], chosen: pd.DataFrame, folds: Sequence[str], path: Path) -> None:
    if (counts > 1).any():
        raise ValueError(f"{_where(counts > 1, chosen, folds, path)} is there twice")
    if (counts == 0).any():
        first, missing = _where(counts == 0, chosen, folds, path), int((counts == 0).sum())
        raise ValueError(
            f"{first} is missing ({missing} of {len(counts)} rows are); delete the file and test again with "
            "search/run.py --finalists-only"
        )


def _check_finite(
    logits: NDArray[np.float32], chosen: pd.DataFrame, folds: Sequence[str], path: Path
) -> None:
    if not np.isfinite(logits).all():
        where = _where(~np.isfinite(logits), chosen, folds, path)
        raise ValueError(f"{where} has no finite value in column logit")


def _where(wrong: NDArray[np.bool_], chosen: pd.DataFrame, folds: Sequence[str], path: Path) -> str:
    """Name the first row that is wrong."""
    row, place = divmod(int(np.flatnonzero(wrong)[0]), len(chosen))
    image = chosen.iloc[place]
    return f"{path}, fold {folds[row]}: image {image['image']} of {image['generator']}"


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.is_file():
        raise ValueError(
            f"{path} is missing; if tests were cut off, search/run.py --finalists-only goes on with them"
        )
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"{path} is no Parquet file: {error}") from error
    if missing := [column for column in columns if column not in table]:
        raise ValueError(f"{path} has no column {missing[0]}; it has {', '.join(map(str, table.columns))}")
    return table
