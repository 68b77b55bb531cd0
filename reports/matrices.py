"""PURE: the cross-generator matrix of a trial, which of its cells count, and their means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from genimage_core.generators import GENIMAGE, Catalog
from reports.records import Fold, Role, Score, Trial
from reports.wording import fold_title, generator_title

# Which cells of the matrix each objective averages (or takes the worst of).
COUNTED = {
    "off_family_accuracy": ("off_family",),
    "left_out_accuracy": ("left_out", "off_family"),
    "worst_left_out": ("left_out", "off_family"),
    "in_domain_accuracy": ("trained",),
}


@dataclass(frozen=True)
class Cell:
    """A detector of one fold on one generator.

    Attributes:
        kind: `trained` on it; `off_family`; `left_out` but of a family it knows; or `known` to its base.
        counts: The objective looks at this cell.
        score: Accuracies are balanced over real and fake images.
    """

    kind: str
    counts: bool
    score: Score


@dataclass(frozen=True)
class Matrix:
    """Cross-generator matrix of one trial after its last epoch.

    Attributes:
        trial: Its number.
        role: Baseline or searched.
        folds: Rows.
        generators: Columns, members of a family side by side.
        row_titles: What the detector of each row was trained on, in words.
        column_titles: Generators as their papers spell them.
        families: Families with more than one column: name, first and last column.
        cells: Row by row; None where nothing was measured.
        row_means: Mean accuracy of the counted cells of each row.
        column_means: The same for each column.
        mean: Mean of the row means, so that no fold counts more for having more left-out generators.
    """

    trial: int
    role: Role
    folds: tuple[Fold, ...]
    generators: tuple[str, ...]
    row_titles: tuple[str, ...]
    column_titles: tuple[str, ...]
    families: tuple[tuple[str, int, int], ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    row_means: tuple[float | None, ...]
    column_means: tuple[float | None, ...]
    mean: float | None


def cross_generator(
    trial: Trial, folds: Sequence[Fold], objective: str, catalog: Catalog = GENIMAGE
) -> Matrix | None:
    """Lay the last epoch's scores out as training sets by test generators; None if there are none."""
    measured = trial.epochs[-1].matrix if trial.epochs else {}
    if not any(measured.values()):
        return None
    columns = _columns({name for row in measured.values() for name in row}, catalog)
    rows = _rows(tuple(measured), folds, columns)
    cells = tuple(tuple(_cell(fold, g, measured[fold.name], objective) for g in columns) for fold in rows)
    row_means = tuple(map(_mean, cells))
    means = [mean for mean in row_means if mean is not None]
    return Matrix(
        trial=trial.number,
        role=trial.role,
        folds=rows,
        generators=columns,
        row_titles=tuple(fold_title(fold.name, fold.train, catalog) for fold in rows),
        column_titles=tuple(generator_title(name, catalog) for name in columns),
        families=_brackets(columns, catalog),
        cells=cells,
        row_means=row_means,
        column_means=tuple(_mean(column) for column in zip(*cells, strict=True)),
        mean=fmean(means) if means else None,
    )


def subtract(one: Matrix, other: Matrix) -> Matrix | None:
    """Return `one` less `other`, cell by cell, in accuracies; None if they are not laid out alike."""
    if (one.folds, one.generators) != (other.folds, other.generators):
        return None
    pairs = zip(one.cells, other.cells, strict=True)
    cells = tuple(
        tuple(_less(cell, beside) for cell, beside in zip(row, row_beside, strict=True))
        for row, row_beside in pairs
    )
    row_means = tuple(map(_mean, cells))
    means = [mean for mean in row_means if mean is not None]
    return replace(
        one,
        cells=cells,
        row_means=row_means,
        column_means=tuple(_mean(column) for column in zip(*cells, strict=True)),
        mean=fmean(means) if means else None,
    )


def _less(cell: Cell | None, other: Cell | None) -> Cell | None:
    if cell is None or other is None:
        return None
    names = ("accuracy", "real_accuracy", "fake_accuracy")
    pairs = {name: (getattr(cell.score, name), getattr(other.score, name)) for name in names}
    found = {name: None if a is None or b is None else a - b for name, (a, b) in pairs.items()}
    return replace(cell, score=Score(**found))


def _rows(names: Sequence[str], folds: Sequence[Fold], columns: Sequence[str]) -> tuple[Fold, ...]:
    """Order detectors of one generator like the columns, so that the diagonal is what trained them."""
    known = {fold.name: fold for fold in folds}
    rows = [known.get(name, Fold(name)) for name in (*(n for n in known if n in names), *names)]
    places = {name: place for place, name in enumerate(columns)}
    rows = list(dict.fromkeys(rows))
    return tuple(sorted(rows, key=lambda fold: places.get(fold.train[0], -1) if len(fold.train) == 1 else -1))


def _columns(names: set[str], catalog: Catalog) -> tuple[str, ...]:
    by_family = [name for members in catalog.families.values() for name in members]
    return (*(name for name in by_family if name in names), *sorted(names - set(by_family)))


def _brackets(columns: Sequence[str], catalog: Catalog) -> tuple[tuple[str, int, int], ...]:
    brackets = []
    for family, members in catalog.families.items():
        found = [columns.index(name) for name in members if name in columns]
        if len(found) > 1:
            brackets.append((family, found[0], found[-1]))
    return tuple(brackets)


def _cell(fold: Fold, generator: str, row: Mapping[str, Score], objective: str) -> Cell | None:
    if generator not in row:
        return None
    kind = _kind(fold, generator)
    return Cell(kind, kind in COUNTED.get(objective, ("off_family",)), row[generator])


def _kind(fold: Fold, generator: str) -> str:
    if generator in fold.train:
        return "trained"
    if generator in fold.off_family:
        return "off_family"
    return "left_out" if generator in fold.left_out else "known"


def judges(folds: Sequence[Fold], objective: str, catalog: Catalog = GENIMAGE) -> tuple[str, ...]:
    """Name the generators whose cells the objective looks at, in matrix order."""
    kinds = COUNTED.get(objective, ("off_family",))
    names = {g for fold in folds for g in (*fold.train, *fold.left_out, *fold.off_family)}
    return tuple(g for g in _columns(names, catalog) if any(_kind(fold, g) in kinds for fold in folds))


def _mean(cells: Sequence[Cell | None]) -> float | None:
    values = [c.score.accuracy for c in cells if c and c.counts and c.score.accuracy is not None]
    return fmean(values) if values else None
