import pandas as pd
import pytest

from genimage_core.data.file_facts import REASONS
from genimage_core.data.quarantine import bad_files, quarantine, tally


@pytest.fixture
def table():
    rows = [
        ("adm", "train", 0, None),
        ("adm", "train", 0, "truncated"),
        ("adm", "train", 0, "truncated"),
        ("adm", "train", 0, "zero bytes"),
        ("adm", "train", 1, None),
        ("sd15", "val", 0, "unreadable"),
        ("sd15", "val", 1, None),
        ("sd15", "val", 1, None),
        ("sd15", "val", 1, "bad header"),
    ]
    return pd.DataFrame(rows, columns=["generator", "split", "label", "error"])


def test_bad_files_are_listed(table):
    assert bad_files(table)["error"].tolist() == [
        "truncated",
        "truncated",
        "zero bytes",
        "unreadable",
        "bad header",
    ]


def test_files_are_counted_by_class_and_reason(table):
    counts = quarantine(table)
    assert list(counts.columns) == ["files", "bad", *REASONS]
    assert counts.index.names == ["generator", "split", "label"]
    assert counts.loc[("adm", "train", 0), ["files", "bad", "truncated", "zero bytes"]].tolist() == [
        4,
        3,
        2,
        1,
    ]
    assert counts["files"].tolist() == [4, 1, 1, 3] and counts["bad"].tolist() == [3, 0, 1, 1]
    assert (counts[list(REASONS)].sum(axis=1) == counts["bad"]).all()


def test_parts_add_up(table):
    parts = [table.iloc[:2], table.iloc[2:7], table.iloc[7:]]
    pd.testing.assert_frame_equal(tally(parts), quarantine(table))


def test_an_empty_or_good_table_counts_nothing(table):
    assert quarantine(table.iloc[:0]).empty
    assert quarantine(table[table["error"].isna()])["bad"].sum() == 0
