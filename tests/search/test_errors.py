import pickle
import tempfile

import pytest
from ray.exceptions import RayTaskError

from search.errors import disk_is_full, keep_traceback, last_line, one_line
from search.workers import CommandFailed


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("the radius is wrong"), "the radius is wrong"),
        (RuntimeError("\n  the cause  \n\n(where to read more)"), "the cause"),
        (
            RuntimeError("Traceback (most recent call last):\n  File x\nOSError: no room\n"),
            "OSError: no room",
        ),
        (KeyError(), "KeyError"),
        (RayTaskError("make_base", "Traceback\n ...", OSError(28, "no room")), "[Errno 28] no room"),
    ],
)
def test_an_error_on_one_line(error, line):
    assert one_line(error) == line


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("OSError: [Errno 28] No space left on device", True),
        ("sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) database or disk is full", True),
        ("ValueError: the disk is full of images", False),
    ],
)
def test_a_disk_without_room_is_known_by_its_words(text, full):
    assert disk_is_full(text) == full


def test_the_last_line_of_a_traceback_is_its_error():
    assert last_line("Traceback\n  File x\nValueError: the cause\n\n") == "ValueError: the cause"
    assert last_line(" \n\n") == ""


@pytest.mark.parametrize("made", [True, False])
def test_the_traceback_is_kept(tmp_path, made, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run_dir = tmp_path / "run"
    if made:
        run_dir.mkdir()
    try:
        raise ValueError("the cause")
    except ValueError as error:
        path = keep_traceback(error, run_dir)
    assert path.is_relative_to(run_dir) == made
    assert "test_errors.py" in path.read_text() and "ValueError: the cause" in path.read_text()


def test_a_failed_command_travels_between_processes():
    error = pickle.loads(pickle.dumps(CommandFailed("detector of adm: broken", "Traceback")))
    assert (str(error), error.story) == ("detector of adm: broken", "Traceback")
