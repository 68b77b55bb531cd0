"""Ray's temporary folder: one for each run, gone with it, also when the run was killed."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "genimage-"
LOCK = "owner.lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end; first remove those whose owners were killed.

    Its path is short, because Ray's sockets have a limit on theirs.
    """
    _sweep(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = FileLock(folder / LOCK)
    lock.acquire()
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            # The system lets go of the lock of a process that has ended, however it did.
            with FileLock(path, timeout=0):
                shutil.rmtree(path.parent, ignore_errors=True)
        except (Timeout, OSError):
            continue  # its owner lives, or it belongs to another user
