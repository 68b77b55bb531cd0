"""PURE: from logits of a comparison to its record and tables: matrix, means, published rows, degradations."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genimage_core.intervals import Estimate, balanced, mean_accuracy, mean_of, ranking, share
from genimage_core.protocol import Fold
from genimage_core.published import (
    DEGRADATIONS,
    EACH,
    GENERATORS,
    THEIR_CUT,
    Conditions,
    PublishedRow,
    published_degradation,
    published_row,
)

Labels = Mapping[str, NDArray[np.integer]]
Logits = Mapping[str, NDArray[np.floating]]
MEANS = {
    "all": "all test generators, those of the training included (the paper's mean)",
    "elsewhere": "test generators that the detector was not trained on",
    "off family": "test generators outside the families of its training",
}


RANKED = ("real_accuracy", "fake_accuracy", "average_precision", "auroc")


@dataclass(frozen=True)
class Cell:
    """One detector on one generator.

    Attributes:
        accuracy: Balanced over real and fake.
        real_accuracy: Share of real images called real.
        fake_accuracy: Share of generated images called fake.
        average_precision: Fakes positive.
        auroc: Probability that a fake scores above a real one.
        images: Number of images.
    """

    accuracy: Estimate
    real_accuracy: Estimate
    fake_accuracy: Estimate
    average_precision: Estimate
    auroc: Estimate
    images: int


def describe_cell(logits: NDArray[np.floating], labels: NDArray[np.integer], seed: int) -> Cell:
    """Score one detector on one generator, with intervals.

    Args:
        logits: Shape (N,).
        labels: Shape (N,), 0 = real, 1 = fake.
        seed: Of resampled intervals.

    Raises:
        ValueError: If a logit is not finite or a class has fewer than 2 images.
    """
    if not np.isfinite(logits).all():
        raise ValueError(f"{int((~np.isfinite(logits)).sum())} of {logits.size} logits are not finite")
    real, fake = _shares(logits, labels)
    return Cell(balanced(real, fake), real, fake, **ranking(logits, labels, seed), images=len(labels))


def describe_detector(
    folds: Sequence[Fold], tests: Mapping[str, Logits], labels: Labels, seed: int
) -> dict[str, Any]:
    """Return matrix and means of one detector, as JSON holds them.

    Args:
        folds: What was trained on what.
        tests: Fold name -> test generator -> logits.
        labels: By test generator.
        seed: Of resampled intervals.
    """
    cells = {
        fold.name: {name: describe_cell(tests[fold.name][name], labels[name], seed) for name in labels}
        for fold in folds
    }
    return {
        "matrix": {fold: {name: asdict(cell) for name, cell in row.items()} for fold, row in cells.items()},
        "rows": {fold.name: _means([fold], tests, labels) for fold in folds},
        "columns": {
            name: asdict(_mean_of([(fold.name, name) for fold in folds], tests, labels)) for name in labels
        },
        "means": _means(folds, tests, labels),
        "elsewhere": {
            fold.name: _ranked([cells[fold.name][name] for name in fold.left_out]) for fold in folds
        },
    }


def _ranked(cells: Sequence[Cell]) -> dict[str, dict[str, float]] | None:
    """Means of one detector over generators; None where there are none."""
    if not cells:
        return None
    return {key: asdict(mean_of([getattr(cell, key) for cell in cells])) for key in RANKED}


def _means(
    folds: Sequence[Fold], tests: Mapping[str, Logits], labels: Labels
) -> dict[str, dict[str, float] | None]:
    chosen: dict[str, list[tuple[str, str]]] = {
        "all": [(fold.name, name) for fold in folds for name in labels],
        "elsewhere": [(fold.name, name) for fold in folds for name in fold.left_out],
        "off family": [(fold.name, name) for fold in folds for name in fold.off_family],
    }
    return {kind: asdict(_mean_of(cells, tests, labels)) if cells else None for kind, cells in chosen.items()}


def _mean_of(cells: Sequence[tuple[str, str]], tests: Mapping[str, Logits], labels: Labels) -> Estimate:
    right = [(name, (tests[fold][name] > 0) == (labels[name] == 1)) for fold, name in cells]
    return mean_accuracy(right, labels)


def compare_published(
    detector: str, described: Mapping[str, Any], folds: Sequence[Fold], conditions: Conditions
) -> list[dict[str, Any]]:
    """Put published rows beside ours, with the difference, where they were measured alike.

    A row is there for every fold that was trained on one generator, and, where all eight generators were
    trained on, for the mean over their detectors.
    """
    ours = {
        fold.train[0]: {
            name: cell["accuracy"]["value"] for name, cell in described["matrix"][fold.name].items()
        }
        for fold in folds
        if len(fold.train) == 1
    }
    if set(GENERATORS) <= set(ours):
        ours[EACH] = {test: fmean(ours[train][test] for train in GENERATORS) for test in GENERATORS}
    return [
        _beside(row, values)
        for trained_on, values in ours.items()
        if (row := published_row(detector, trained_on, conditions.alignment))
        and conditions.allow(row)
        and set(row.accuracy) <= set(values)
    ]


def _beside(row: PublishedRow, values: Mapping[str, float]) -> dict[str, Any]:
    published = {**row.accuracy, "mean": row.mean}
    ours = {name: values[name] for name in row.accuracy}
    ours["mean"] = fmean(ours.values())
    if row.mean_elsewhere is not None:
        published["elsewhere"] = row.mean_elsewhere
        ours["elsewhere"] = fmean(values[name] for name in row.accuracy if name != row.trained_on)
    return {
        "trained_on": row.trained_on,
        "source": row.source,
        "protocol": f"mean over all eight, the training's own included, and elsewhere; format_alignment "
        f"{row.alignment}; {THEIR_CUT}",
        "note": row.note,
        "published": published,
        "ours": ours,
        "difference": {name: ours[name] - value for name, value in published.items()},
    }


def describe_degraded(
    detector: str,
    fold: Fold,
    logits: Logits,
    labels: NDArray[np.integer],
    seed: int,
    conditions: Conditions,
) -> dict[str, Any]:
    """Return the second task of one detector: scores on its own generator's degraded images, and their mean.

    Args:
        detector: Its name.
        fold: What it was trained on.
        logits: By degradation and `unchanged`, all of the same images.
        labels: Of these images.
        seed: Of resampled intervals.
        conditions: Decide whether the published row is there too.
    """
    right = [(fold.name, (logits[kind] > 0) == (labels == 1)) for kind in DEGRADATIONS]
    published = published_degradation(detector) if fold.train == ("sd14",) else None
    return {
        "cells": {kind: asdict(describe_cell(values, labels, seed)) for kind, values in logits.items()},
        "mean": asdict(mean_accuracy(right, {fold.name: labels})),
        "published": asdict(published) if published and conditions.allow(published) else None,
    }


def _shares(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> tuple[Estimate, Estimate]:
    right = (logits > 0) == (labels == 1)
    real, fake = (right[labels == label] for label in (0, 1))
    return share(int(real.sum()), len(real)), share(int(fake.sum()), len(fake))
