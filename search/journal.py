"""The journal of a run: what happened, one event a line, on the disk before it counts."""

import json
import os
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class Journal:
    """Appends events to a file; each is on the disk when `append` returns.

    A last line that a power cut has left half-written never counted, and is cut off when the file is opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.events = _read(path)

    def append(self, event: Event) -> None:
        """Write one event.

        Raises:
            OSError: If it cannot be written; the file is then as it was before.
        """
        append_line(self._path, json.dumps(event))


def append_line(path: Path, line: str) -> None:
    """Append a line that is on the disk, whole, when this returns; after an error nothing of it stays."""
    rest = memoryview(line.encode() + b"\n")
    with path.open("ab", buffering=0) as file:  # a buffer would write its rest once more when it is closed
        before = file.tell()
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, before)
            raise


def _read(path: Path) -> list[Event]:
    if not path.exists():
        return []
    content = path.read_bytes()
    whole, _, torn = content.rpartition(b"\n")
    if torn:
        os.truncate(path, len(content) - len(torn))
    try:
        return [json.loads(line) for line in whole.splitlines()]
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
