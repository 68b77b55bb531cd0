"""Errors, as a person wants to read them."""

import errno
import os
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

from ray.exceptions import RayTaskError


def one_line(error: BaseException | None) -> str:
    """Say what went wrong on one line; of an error in another process, what went wrong there.

    Ray Tune gives a whole traceback for a message, whose last line is the error.
    """
    cause = error.cause if isinstance(error, RayTaskError) else error
    lines = _lines(str(cause))
    if not lines:
        return type(cause).__name__
    return lines[-1] if lines[0].startswith("Traceback ") else lines[0]


def disk_is_full(text: str) -> bool:
    """Whether an error, in its own words or SQLite's, is that of a disk without room."""
    return os.strerror(errno.ENOSPC) in text or "database or disk is full" in text


def notes_of(error: BaseException) -> str:
    """Say where an error happened, as far as it was noted on its way."""
    return "".join(f"{note}: " for note in getattr(error, "__notes__", ()))


def last_line(traceback: str) -> str:
    """Return the last line of a traceback: the error."""
    lines = _lines(traceback)
    return lines[-1] if lines else ""


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def story_of(run_dir: Path, trial: str) -> Path:
    """Where the whole story of what went wrong with a trial is."""
    return run_dir / "errors" / f"{trial}.log"


def keep_story(story: str, run_dir: Path, trial: str) -> Path:
    """Add what happened to a trial to its log in the run directory."""
    path = story_of(run_dir, trial)
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(story.rstrip() + "\n\n")
    return path


def keep_traceback(error: BaseException, run_dir: Path) -> Path:
    """Write the whole story into the run directory's logs, or into a temporary file if that cannot be."""
    story = "".join(traceback.format_exception(error))
    if run_dir.exists():
        path = run_dir / "logs" / "error.log"
        with suppress(OSError):  # its disk may be full
            path.parent.mkdir(exist_ok=True)
            path.write_text(story, encoding="utf-8")
            return path
    path = Path(tempfile.mkdtemp(prefix="genimage-error-")) / "error.log"
    path.write_text(story, encoding="utf-8")
    return path
