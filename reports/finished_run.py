"""A run whose finalists are tested: which images and generators count, and what was said of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from genimage_core.comparison import Bools
from genimage_core.generators import Catalog
from genimage_core.resampling import Floats, Images, average_cells
from reports.claims import Logits, Tested, fit_temperatures, told_right
from reports.finalist_files import (
    Finalists,
    Part,
    finalist_scores,
    images_of,
    read_finalists,
    read_images,
    read_logits,
    select,
    trial_scores,
)
from reports.records import Records

# What the two objectives average that are means of balanced accuracies.
CELLS = {"off_family_accuracy": "off_family", "left_out_accuracy": "left_out"}


@dataclass(frozen=True)
class FinishedRun:
    """A run directory with what is read from it once.

    Attributes:
        folder: The directory.
        records: Of the search.
        finalists: Of the run; the winner and the baseline have completed with a common seed.
        images: See `read_images`.
    """

    folder: Path
    records: Records
    finalists: Finalists
    images: pd.DataFrame

    def generators(self, part: Part) -> tuple[str, ...]:
        """Generators of a part; sealed ones only if nothing that the search learnt from had read them."""
        if part == "sealed":
            return tuple(n for n in self.finalists.sealed if n not in self.finalists.opened_before)
        return tuple(self.images.loc[self.images["part"] == part, "generator"].unique())

    def counted(self, part: Part) -> tuple[tuple[str, ...], ...]:
        """Of each fold, the generators of a part that are of families its detectors do not know."""
        environment = self.records.environment
        if part != "sealed":
            return tuple(fold.off_family for fold in environment.folds)
        base = environment.details.get("base", {}).get("generators", [])
        names = self.generators(part)
        return tuple(
            strange_to((*fold.train, *base), names, environment.catalog) for fold in environment.folds
        )

    def parts(self) -> tuple[Part, ...]:
        """Parts that something can be claimed of, the most telling one first."""
        return ("sealed", "test") if any(self.counted("sealed")) else ("test",)

    def images_of(self, part: Part) -> Images:
        """Images of a part, in the order of the logits that are read below."""
        path = self.folder / "scores" / "images.parquet"
        return images_of(self.images, part, self.generators(part), path)


def read_finished(run_dir: Path, records: Records) -> FinishedRun | None:
    """Read a run; None if it has no finalists, or the winner and the baseline have not been tested.

    Raises:
        ValueError: If a file is missing or not whole.
    """
    finalists = read_finalists(run_dir)
    if finalists is None or finalists.seal is None or not finalists.tested:
        return None
    names = [configuration.name for configuration in finalists.configurations[:2]]
    if not finalists.seeds_of(names):
        return None
    return FinishedRun(run_dir, records, finalists, read_images(run_dir))


def strange_to(known: Sequence[str], generators: Sequence[str], catalog: Catalog) -> tuple[str, ...]:
    """Return the generators that share no family with known ones; a name no catalog has is a family alone."""
    families = {catalog.family_of(name) if name in catalog.names else name for name in known}
    return tuple(name for name in generators if catalog.family_of(name) not in families)


def read_tested(run: FinishedRun, name: str, part: Part) -> Tested | None:
    """Read what a finalist and the baseline say of a part; None if no seed completed with both."""
    baseline = run.finalists.configurations[0].name
    seeds = run.finalists.seeds_of((baseline, name))
    if not seeds:
        return None
    catalog = run.records.environment.catalog
    return Tested(
        images=run.images_of(part),
        candidate=read_seeds(run, name, part, seeds),
        baseline=read_seeds(run, baseline, part, seeds),
        counted=run.counted(part),
        families=tuple(catalog.family_of(generator) for generator in run.generators(part)),
    )


def read_seeds(run: FinishedRun, name: str, part: Part, seeds: Sequence[int]) -> Logits:
    """Read what a finalist says of a part with each of some seeds, by their places; shape (S, F, N)."""
    chosen = select(run.images, part, run.generators(part))
    paths = [finalist_scores(run.folder, name, seed) for seed in seeds]
    return np.stack([read_logits(path, chosen, _folds(run), part) for path in paths])


def _folds(run: FinishedRun) -> list[str]:
    return [fold.name for fold in run.records.environment.folds]


def read_temperatures(run: FinishedRun, tested: Tested) -> tuple[Floats, Floats]:
    """Fit the temperatures of the candidate's and the baseline's detectors on images of search generators."""
    trained = [fold.train for fold in run.records.environment.folds]
    return (
        fit_temperatures(tested.candidate, tested.images, trained),
        fit_temperatures(tested.baseline, tested.images, trained),
    )


def read_search(run: FinishedRun) -> tuple[Bools, Bools, Images, Floats] | None:
    """Read what the search knew when it chose: which validation images its trials told right.

    Returns:
        Of the completed searched trials (C, F, N), of the baseline (F, N), the images, and what the objective
        averages (F, G); None for an objective that is no mean of balanced accuracies.
    """
    environment = run.records.environment
    if environment.objective not in CELLS:
        return None
    done = [t.number for t in run.records.trials if t.state == "completed" and t.role == "searched"]
    numbers = (*done, run.finalists.configurations[0].trial)
    chosen, images = select(run.images, "val", run.generators("val")), run.images_of("val")
    logits = [read_logits(trial_scores(run.folder, n), chosen, _folds(run), "val") for n in numbers]
    right = told_right(np.stack(logits), images)
    counted = [getattr(fold, CELLS[environment.objective]) for fold in environment.folds]
    return right[:-1], right[-1], images, average_cells(counted, images.generators)
