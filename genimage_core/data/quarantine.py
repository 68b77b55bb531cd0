"""Files that cannot be used: listed and counted."""

from collections.abc import Iterable

import pandas as pd

from genimage_core.data.file_facts import REASONS

_CLASS = ["generator", "split", "label"]


def bad_files(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of an index table whose file does not decode."""
    return table[table["error"].notna()].reset_index(drop=True)


def quarantine(table: pd.DataFrame) -> pd.DataFrame:
    """Count files, and bad ones by reason.

    Args:
        table: Index table, at least `generator`, `split`, `label`, `error`.

    Returns:
        One row for each generator, split and label that occurs (the index); columns `files`, `bad`, and one
        for each of `file_facts.REASONS`, int64.
    """
    classes = [table[name] for name in _CLASS]
    counts = pd.DataFrame({"files": table.groupby(_CLASS).size()})
    counts["bad"] = table["error"].notna().groupby(classes).sum()
    for reason in REASONS:
        counts[reason] = (table["error"] == reason).groupby(classes).sum()
    return counts.astype("int64")


def tally(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Add up `quarantine` over the parts of an index table."""
    counts = [quarantine(part) for part in parts]
    return pd.concat(counts).groupby(level=_CLASS).sum()
