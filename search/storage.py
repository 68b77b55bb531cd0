"""A copy of a run directory on S3-compatible storage, kept up to date while the search runs."""

import json
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from pyarrow import fs

from search.resume import ENVIRONMENT

SCHEME = "s3://"
STUDY, LINES = "study.db", ".jsonl"
PAUSE_S = 15.0  # between two rounds
LAST_TRIES_S = (0.0, 2.0, 8.0)  # at the end of a run: pauses, a try after each
SENDERS = 8
_OF_RAY = ("tune", "workers", "logs")
_PASSING = (".", "partial_", f"{STUDY}-")  # how the names begin of what is not whole yet
State = tuple[int, int]  # size in bytes, time of the last change in ns


class Mirror:
    """Brings the copy up to date, round by round.

    Whenever it is cut off, the copy is a run that can go on: checkpoints count by their checksums only, the
    journals come after all else, the study knows every trial of theirs, and what is dropped here is dropped
    there once all that replaces it has arrived.
    """

    def __init__(self, uri: str, run_dir: Path) -> None:
        """Look at what is there.

        Args:
            uri: s3://BUCKET/PREFIX; endpoint and credentials are those of AWS's environment variables.
            run_dir: Need not exist yet.

        Raises:
            ValueError: If it cannot be used, or holds something else than this run.
        """
        self.uri, self._run_dir = uri, run_dir
        self._sent: dict[str, State] = {}
        try:
            self._storage, self._root = _open(uri)
            self._there = set(_list_there(self._storage, self._root))
            foreign = self._there and not self._holds_this_run()
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"cannot use {uri}: {_one_line(error)}") from error
        if foreign:
            raise ValueError(f"{uri} holds something else than this run; name a prefix that is empty")

    def _holds_this_run(self) -> bool:
        here = self._run_dir / ENVIRONMENT
        if ENVIRONMENT not in self._there or not here.exists():
            return False
        with self._storage.open_input_stream(f"{self._root}/{ENVIRONMENT}") as file:
            there = json.loads(file.read())
        return bool(there["started"] == json.loads(here.read_text(encoding="utf-8"))["started"])

    def update(self) -> str:
        """Copy what has changed and drop what is gone; returns why that failed, empty if it did not."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                self._update(Path(folder))
        except (OSError, sqlite3.Error) as error:
            return _one_line(error)
        return ""

    def _update(self, folder: Path) -> None:
        before = _list_here(self._run_dir)
        lines = [name for name in self._changed(before) if name.endswith(LINES)]
        frozen = {name: _freeze_lines(self._run_dir / name, folder / f"{i}") for i, name in enumerate(lines)}
        # Looked at after the journals were read: the study may know more than they do, but never less.
        here = _list_here(self._run_dir)
        others = [name for name in self._changed(here) if not name.endswith(LINES)]
        if STUDY in others:
            frozen[STUDY] = _freeze_study(self._run_dir / STUDY, folder / STUDY)
        if self._send(others, here, frozen) and self._send(lines, before, frozen):
            self._drop(self._there - here.keys())

    def _changed(self, states: Mapping[str, State]) -> list[str]:
        return [name for name, state in states.items() if self._sent.get(name) != state]

    def _send(self, names: Collection[str], states: Mapping[str, State], frozen: Mapping[str, Path]) -> bool:
        """Copy files; returns whether all of them were still here."""

        def send(name: str) -> bool:
            source = frozen.get(name, self._run_dir / name)
            try:
                _copy(fs.LocalFileSystem(), source, self._storage, f"{self._root}/{name}")
            except OSError:
                if source.exists():
                    raise
                return False
            self._sent[name] = states[name]
            self._there.add(name)
            return True

        with ThreadPoolExecutor(SENDERS) as pool:
            return all(list(pool.map(send, names)))

    def _drop(self, names: Collection[str]) -> None:
        for name in names:
            self._storage.delete_file(f"{self._root}/{name}")
            self._there.discard(name)
            self._sent.pop(name, None)


@contextmanager
def kept_up(mirror: Mirror | None, tell: Callable[[str], None]) -> Iterator[list[str]]:
    """Keep a mirror up to date in a thread of its own; a connection that breaks is told once and tried on.

    Yields:
        What is filled at the end with the reason if the mirror is then behind.
    """
    behind: list[str] = []
    if mirror is None:
        yield behind
        return
    over = threading.Event()
    thread = threading.Thread(target=_keep_up, args=(mirror, over, tell), daemon=True)
    thread.start()
    try:
        yield behind
    finally:
        over.set()
        thread.join()
        behind += _finish(mirror)


def _keep_up(mirror: Mirror, over: threading.Event, tell: Callable[[str], None]) -> None:
    failed = ""
    while not over.wait(PAUSE_S):
        before, failed = failed, mirror.update()
        if failed and not before:
            tell(f"the mirror {mirror.uri} is behind, trying again: {failed}")


def _finish(mirror: Mirror) -> list[str]:
    failed = ""
    for pause in LAST_TRIES_S:
        time.sleep(pause)
        failed = mirror.update()
        if not failed:
            return []
    return [failed]


def fetch(uri: str, run_dir: Path) -> None:
    """Bring the run that is mirrored at `uri` into a new run directory, whole or not at all.

    Raises:
        ValueError: If there is none, or something is in the way.
    """
    if run_dir.exists():
        raise ValueError(f"{run_dir} exists: go on with it by --resume {run_dir}, or name another with --out")
    partial = run_dir.with_name(f".{run_dir.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        storage, root = _open(uri)
        names = _list_there(storage, root)
        if ENVIRONMENT not in names:
            raise OSError("no run is there")
        for name in names:
            if ".." in PurePosixPath(name).parts:
                raise OSError(f"{name} leads out of the run directory")
            (partial / name).parent.mkdir(parents=True, exist_ok=True)

        def get(name: str) -> None:
            _copy(storage, f"{root}/{name}", fs.LocalFileSystem(), partial / name)

        with ThreadPoolExecutor(SENDERS) as pool:
            list(pool.map(get, names))
        partial.rename(run_dir)
    except OSError as error:
        raise ValueError(f"cannot fetch {uri}: {_one_line(error)}") from error


def _open(uri: str) -> tuple[Any, str]:
    parts = urlsplit(uri)
    if "@" in parts.netloc or parts.query:  # not shown: it may be a secret
        raise ValueError(
            "the address of a mirror is s3://BUCKET/PREFIX alone; keys and endpoint belong into the "
            "environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL"
        )
    bucket, prefix = parts.netloc, parts.path.strip("/")
    if parts.scheme != "s3" or not bucket or not prefix:
        raise ValueError(f"a mirror is s3://BUCKET/PREFIX, got {uri}")
    storage, root = fs.FileSystem.from_uri(f"{SCHEME}{bucket}/{prefix}")
    if storage.get_file_info(bucket).type == fs.FileType.NotFound:
        raise OSError(f"there is no bucket {bucket}")
    return storage, root


def _list_there(storage: Any, root: str) -> list[str]:
    found = storage.get_file_info(fs.FileSelector(root, allow_not_found=True, recursive=True))
    return [info.path.removeprefix(f"{root}/") for info in found if info.type == fs.FileType.File]


def _list_here(run_dir: Path) -> dict[str, State]:
    """Find the files of a run directory, but for what Ray keeps there and what is not whole yet."""
    found = {}
    for path in run_dir.rglob("*"):
        parts = path.relative_to(run_dir).parts
        if parts[0] in _OF_RAY or any(part.startswith(_PASSING) for part in parts):
            continue
        try:
            if path.is_file():
                status = path.stat()
                found["/".join(parts)] = (status.st_size, status.st_mtime_ns)
        except FileNotFoundError:
            continue  # gone meanwhile
    return found


def _copy(source: Any, path: Path | str, target: Any, to: Path | str) -> None:
    fs.copy_files(str(path), str(to), source_filesystem=source, destination_filesystem=target)


def _freeze_lines(path: Path, copy: Path) -> Path:
    content = path.read_bytes()
    copy.write_bytes(content[: content.rfind(b"\n") + 1])  # the last one may be half-written
    return copy


def _freeze_study(path: Path, copy: Path) -> Path:
    here = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(here, uri=True)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    return copy


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
