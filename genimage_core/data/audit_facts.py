"""What is measured of one generator: its files, by class, and what tells the classes apart."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd

from genimage_core.data.audit_checks import PLAN, Check, balanced, check, known_qualities

MEASURED = ("quality", "bytes", "width", "height")
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
TOP_FORMATS = 5


@dataclass(frozen=True)
class ClassFacts:
    """What the files of one class of a generator are like.

    Attributes:
        files: All of them, the bad ones too.
        bad: Files that cannot be used, by reason.
        formats: The most frequent formats of the readable files, with their counts.
        quantiles: Of quality, bytes, width and height of the readable files, at `QUANTILES`; absent where
            no file has a value.
    """

    files: int
    bad: dict[str, int]
    formats: dict[str, int]
    quantiles: dict[str, tuple[float, ...]]

    @property
    def readable(self) -> int:
        """How many files decode."""
        return self.files - sum(self.bad.values())


@dataclass(frozen=True)
class GeneratorAudit:
    """One generator.

    Attributes:
        name: Short name, with the split where there are two.
        nature: The real files.
        ai: The fake files.
        matchable: Whether a real file has a known JPEG quality that `match_quality` can draw.
        checks: One for each of `audit_checks.PLAN`; empty if there are too few files to tell.
    """

    name: str
    nature: ClassFacts
    ai: ClassFacts
    matchable: bool
    checks: tuple[Check, ...]

    def after(self, alignment: str) -> tuple[Check, ...]:
        """Return the checks of the files after `alignment`."""
        return tuple(c for c in self.checks if c.alignment == alignment)


def parts(table: pd.DataFrame) -> "pd.Series[Any]":
    """Return what every row is judged with: its generator, and its split where the generator has two.

    A shortcut that only one split has, or that both have the other way round, cancels out in their sum.
    """
    pairs = table.groupby(["generator", "split"], observed=True)
    found: list[tuple[str, str]] = list(pairs.groups)  # type: ignore[arg-type]
    splits = Counter(generator for generator, _ in found)
    names = pd.Index([f"{name} {split}" if splits[name] > 1 else name for name, split in found])
    of_row = pd.Categorical.from_codes(pairs.ngroup().to_numpy(), names)
    return pd.Series(of_row.reorder_categories(sorted(names)), table.index, name="part")


def audit_generator(name: str, rows: pd.DataFrame, *, tests: int, seed: int) -> GeneratorAudit:
    """Measure one generator.

    Args:
        name: Its short name, with the split where there are two.
        rows: Its rows of the index.
        tests: Checks in the whole audit.
        seed: Decides samples, folds and drawn qualities.
    """
    sample, pool = balanced(rows, seed), known_qualities(rows)
    checks = (
        ()
        if sample is None
        else tuple(check(sample, *plan, pool=pool, tests=tests, seed=seed) for plan in PLAN)
    )
    nature, ai = (_facts(rows[rows["label"] == label]) for label in (0, 1))
    return GeneratorAudit(name, nature, ai, not pool.empty, checks)


def _facts(rows: pd.DataFrame) -> ClassFacts:
    readable = rows[rows["error"].isna()]
    values = {name: readable[name].dropna().astype(float) for name in MEASURED}
    return ClassFacts(
        len(rows),
        _counts(rows["error"].dropna()),
        _counts(readable["format"].astype(object).fillna("unknown"), TOP_FORMATS),
        {name: tuple(v.quantile(list(QUANTILES))) for name, v in values.items() if len(v)},
    )


def _counts(column: "pd.Series[str]", most: int | None = None) -> dict[str, int]:
    counts = column.astype(str).value_counts().head(most or len(column))
    return {str(name): int(count) for name, count in counts.items()}
