"""Files that cannot be used: listed, counted, and refused where they are too many."""

import pandas as pd

from genimage_core.data.file_facts import REASONS
from genimage_core.data.layout import CLASS_FOLDERS

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


def bad_shares(table: pd.DataFrame) -> pd.Series:
    """Return the share (0 to 1) of bad files for each generator, split and label."""
    counts = quarantine(table)
    return (counts["bad"] / counts["files"]).rename("bad_share")


def require_readable(table: pd.DataFrame, allowed: float) -> None:
    """Refuse data of which too much is bad.

    Args:
        table: Index table.
        allowed: Largest share of bad files of a class, 0 to 1.

    Raises:
        ValueError: If a class of a generator and split has a larger one; the message names the worst.
    """
    if not 0 <= allowed <= 1:
        raise ValueError(f"the allowed share of bad files is {allowed}; it must lie between 0 and 1")
    shares = bad_shares(table)
    refused = shares[shares > allowed].sort_values(ascending=False)
    if refused.empty:
        return
    generator, split, label = refused.index[0]
    counts = quarantine(table).loc[refused.index[0]]
    reasons = ", ".join(f"{counts[reason]} {reason}" for reason in REASONS if counts[reason])
    name = CLASS_FOLDERS[label]
    raise ValueError(
        f"{counts['bad']} of {counts['files']} files of {generator}, {split}, {name} "
        f"are bad ({reasons}); {allowed:.2%} are allowed. Classes over that: {len(refused)}. "
        "Unzip them again, or allow more"
    )
