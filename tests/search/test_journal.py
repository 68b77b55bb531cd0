import os
import resource

import pytest

from search.journal import Journal, append_line


def test_events_are_read_back_in_order(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    assert journal.events == []
    for number in range(3):
        journal.append({"event": "begin", "number": number, "name": "ß\n"})
    assert [event["number"] for event in Journal(tmp_path / "journal.jsonl").events] == [0, 1, 2]


def test_a_line_is_on_the_disk_before_it_counts(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    Journal(tmp_path / "j").append({"event": "end"})
    assert synced == [(tmp_path / "j").stat().st_size]


def test_a_torn_last_line_is_cut_off_and_writing_goes_on(tmp_path):
    path = tmp_path / "j"
    Journal(path).append({"event": "begin"})
    with path.open("a") as file:
        file.write('{"event": "epo')
    journal = Journal(path)
    journal.append({"event": "end"})
    assert [event["event"] for event in Journal(path).events] == ["begin", "end"]


def test_damage_in_the_middle_is_refused(tmp_path):
    (tmp_path / "j").write_text('{"event": "begin"}\n{"eve\n{"event": "end"}\n')
    with pytest.raises(ValueError, match="j is damaged"):
        Journal(tmp_path / "j")


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "j"
    append_line(path, "one")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_line(path, "two")
    assert path.read_text() == "one\n"


@pytest.fixture
def file_limit():
    """Lets files grow to a limit only, as a disk without room does, whoever runs the tests."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("length", [500, 10_000, 50_000])  # within, and beyond, what a file object buffers
def test_of_a_line_for_which_there_is_no_room_nothing_stays(tmp_path, file_limit, length):
    path = tmp_path / "lines"
    append_line(path, "first")
    file_limit(300)
    with pytest.raises(OSError):
        append_line(path, "x" * length)
    assert path.read_text() == "first\n"
    file_limit(resource.RLIM_INFINITY)
    append_line(path, "second")
    assert path.read_text() == "first\nsecond\n"
