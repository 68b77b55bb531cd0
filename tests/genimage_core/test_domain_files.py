from dataclasses import replace

import pandas as pd
import pytest

from genimage_core.analysis.domain_files import FileSummary, file_notes, shared_files, summarise_files

JPEG = FileSummary({"JPEG": 1.0}, 500.0, 400, 96.0)
PNG = FileSummary({"PNG": 1.0}, 500.0, 500, None)


def table():
    rows = [(0, "JPEG", 400, 100, 90, "a"), (0, "JPEG", 300, 300, 96, "b"), (0, None, None, None, None, None)]
    rows += [(1, "PNG", 256, 256, None, "c"), (1, "WEBP", 512, 512, None, "d")]
    columns = ["label", "format", "width", "height", "quality", "content"]
    found = pd.DataFrame(rows, columns=columns).astype(
        {"width": "Int32", "height": "Int32", "quality": "Int16"}
    )
    return found.assign(path=[f"{number}.x" for number in range(len(rows))])


def test_files_are_summed_up_class_by_class_but_for_unreadable_ones():
    nature, ai = summarise_files(table())
    assert nature == FileSummary({"JPEG": 1.0}, 250.0, 100, 93.0)
    assert ai == FileSummary({"PNG": 0.5, "WEBP": 0.5}, 384.0, 256, None)
    assert str(nature) == "JPEG 100%, 250 px, quality 93"


def test_files_that_are_in_both_domains_are_found_by_their_bytes():
    other = table().assign(content=["x", "b", None, "d", "y"])
    assert shared_files(table(), other) == ["1.x", "3.x"]


def test_alike_files_need_no_word():
    near = replace(JPEG, side=540.0, quality=95.0, formats={"JPEG": 0.96, "PNG": 0.04})
    assert not list(file_notes("faces", (JPEG, JPEG), (near, near), 224, cropped=True))


@pytest.mark.parametrize(
    "changed",
    [
        {"formats": {"JPEG": 0.94, "PNG": 0.06}},
        {"side": 560.0},
        {"side": 440.0},
        {"quality": 93.0},
        {"quality": None},
    ],
)
def test_a_difference_of_one_class_is_told(changed):
    [note] = file_notes("faces", (JPEG, PNG), (JPEG, PNG), 224, cropped=True)
    assert "a shortcut" in note
    first, _ = file_notes("faces", (JPEG, PNG), (replace(JPEG, **changed), PNG), 224, cropped=True)
    assert "not only in content: reals" in first and "fakes" not in first
