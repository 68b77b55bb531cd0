import pandas as pd
import pytest

from genimage_core.data.file_facts import REASONS
from genimage_core.data.quarantine import bad_files, bad_shares, quarantine, require_readable


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


def test_shares_are_of_the_class(table):
    assert bad_shares(table).tolist() == [0.75, 0, 1, pytest.approx(1 / 3)]


def test_an_empty_or_good_table_counts_nothing(table):
    assert quarantine(table.iloc[:0]).empty and bad_shares(table.iloc[:0]).empty
    good = table[table["error"].isna()]
    assert quarantine(good)["bad"].sum() == 0
    require_readable(good, 0.0)


def test_too_many_bad_files_are_refused_naming_the_worst(table):
    with pytest.raises(ValueError) as refused:
        require_readable(table, 0.5)
    text = str(refused.value)
    assert "1 of 1 files of sd15, val, nature are bad (1 unreadable); 50.00% are allowed" in text
    assert "Classes over that: 2" in text


def test_the_allowed_share_is_the_last_that_passes(table):
    some = table[table["generator"] == "adm"]
    require_readable(some, 0.75)
    with pytest.raises(
        ValueError, match=r"3 of 4 files of adm, train, nature .*\(1 zero bytes, 2 truncated\)"
    ):
        require_readable(some, 0.7499)


@pytest.mark.parametrize("allowed", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_nothing_and_all(table, allowed):
    with pytest.raises(ValueError, match="between 0 and 1"):
        require_readable(table, allowed)
