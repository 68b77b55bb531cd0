"""What detectors say of every single image, kept as Parquet beside the records."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from genimage_core.data.batches import BadFile
from genimage_core.data.image_class import dependent_images
from genimage_core.data.layout import Layout
from genimage_core.data.recipe import Recipe
from genimage_core.metrics import Logits
from search.checkpoints import folder_of, trial_name
from search.records import TrialRecord

SCORES, IMAGES = "scores", "images.parquet"
LOGITS = ".logits.npz"


def write_logits(path: Path, logits: Logits) -> None:
    """Write the logits of one detector, by generator."""
    with path.open("wb") as file:
        np.savez(file, **logits)  # type: ignore[arg-type]


def read_logits(path: Path) -> Logits:
    """Read what `write_logits` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def tabulate_logits(logits: Mapping[str, Logits]) -> pd.DataFrame:
    """Return one row for each detector (by fold), generator and image, images counted within a generator."""
    rows = [
        pd.DataFrame({"fold": fold, "generator": name, "image": np.arange(len(values)), "logit": values})
        for fold, of_fold in logits.items()
        for name, values in of_fold.items()
    ]
    return pd.concat(rows, ignore_index=True).astype({"image": np.int32, "logit": np.float32})


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    table.to_parquet(partial, index=False)
    partial.replace(path)


def keep_scores(run_dir: Path, record: TrialRecord) -> None:
    """Keep what a trial that has ended says of the validation images, as its last checkpoint has it."""
    checkpoint = folder_of(run_dir, record.number) / f"epoch_{record.reached}"
    logits = {path.name.removesuffix(LOGITS): read_logits(path) for path in checkpoint.glob(f"*{LOGITS}")}
    if logits:
        table = tabulate_logits(logits).assign(epoch=np.int32(record.reached))
        write_table(table, run_dir / SCORES / f"{trial_name(record.number)}.parquet")


def tabulate_images(
    layout: Layout, recipes: Sequence[Recipe], bad: Iterable[BadFile], part: str
) -> pd.DataFrame:
    """List images in the order of their logits.

    Args:
        layout: Where they are.
        recipes: Of the sets, one for each generator.
        bad: What of them cannot be decoded, and has no logit.
        part: `val`, `test` or `sealed`.

    Returns:
        generator, part, image, label, path and cluster (see `dependent_images`), a row an image.
    """
    broken = {(file.generator, file.path) for file in bad}
    tables = [_tabulate_set(layout, recipe, broken) for recipe in recipes]
    return pd.concat(tables, ignore_index=True).assign(part=part)


def _tabulate_set(layout: Layout, recipe: Recipe, broken: set[tuple[str, str]]) -> pd.DataFrame:
    files = [file for file in recipe.files if (recipe.generator, file.name) not in broken]
    groups = dependent_images(layout, recipe.generator, recipe.split)
    return pd.DataFrame(
        {
            "generator": recipe.generator,
            "image": np.arange(len(files), dtype=np.int32),
            "label": np.array([file.label for file in files], dtype=np.int8),
            "path": [file.name for file in files],
            # The same file may stand under several generators: it is one image, wherever it is met.
            "cluster": [groups.get(file.path, file.name) for file in files],
        }
    )
