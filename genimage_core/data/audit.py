"""Could a cheap shortcut tell real from fake here? Looks at facts about the files, never at a pixel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import TypeAdapter

from genimage_core.data.audit_checks import ALIGNMENTS, PLAN
from genimage_core.data.audit_facts import GeneratorAudit, audit_generator, parts
from genimage_core.data.audit_wording import describe

COLUMNS = ("generator", "split", "label", "width", "height", "format", "quality", "bytes", "content", "error")


@dataclass(frozen=True)
class Audit:
    """The verdict and the numbers that it follows from.

    Attributes:
        alignment: The format alignment in effect.
        seed: Seed of samples and folds.
        level: `shortcut` if something that is left after the alignment tells real from fake on any generator,
            else `too few` if there is a generator with too few files to tell, else `clean`.
        sentences: The verdict in plain words.
        generators: One for each of `parts`, ordered by name.
    """

    alignment: str
    seed: int
    level: str
    sentences: tuple[str, ...]
    generators: tuple[GeneratorAudit, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain JSON values."""
        record: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return record

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> "Audit":
        """Read what `to_dict` returned, also after a detour through JSON.

        Raises:
            ValueError: If a key is missing or a value is of the wrong type.
        """
        return _ADAPTER.validate_python(record)


_ADAPTER = TypeAdapter(Audit)


def audit(table: pd.DataFrame, *, alignment: str = "none", seed: int = 0) -> Audit:
    """Ask of every generator and split whether facts about the files alone tell real from fake.

    A decision tree sees only format, size, quality, bytes or all of them, as they lie on disk, and only
    format and quality after every format alignment. It is judged on files that it was not fitted to.

    Args:
        table: The index, one row per file.
        alignment: The format alignment that training will use.
        seed: Decides samples, folds and drawn qualities.

    Raises:
        ValueError: If a column is missing, a label is neither 0 nor 1, or the alignment is unknown.
    """
    _require_valid(table, alignment)
    groups = table.groupby(parts(table), sort=True, observed=True)
    tests = max(1, groups.ngroups * len(PLAN))
    # One after the other: of millions of rows there is no second copy.
    generators = tuple(audit_generator(str(name), rows, tests=tests, seed=seed) for name, rows in groups)
    return Audit(alignment, seed, _level(generators, alignment), describe(generators, alignment), generators)


def _require_valid(table: pd.DataFrame, alignment: str) -> None:
    if alignment not in ALIGNMENTS:
        raise ValueError(f"format_alignment is {alignment!r}; allowed are {', '.join(ALIGNMENTS)}")
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ValueError(f"the index has no column {', '.join(missing)}: build it again")
    if not table["label"].isin((0, 1)).all():
        raise ValueError("the index has labels other than 0 (nature) and 1 (ai): build it again")


def _level(generators: tuple[GeneratorAudit, ...], alignment: str) -> str:
    if any(check.above_chance for generator in generators for check in generator.after(alignment)):
        return "shortcut"
    return "clean" if generators and all(g.checks for g in generators) else "too few"
