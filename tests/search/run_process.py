"""`search/run.py` as a user starts it, and what it leaves behind."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import optuna
import yaml

REPOSITORY = Path(__file__).parents[2]


class Run:
    """The command as a process of its own, with its output read as it comes."""

    def __init__(self, cache: Path, *options: str | Path, **variables: str):
        command = [sys.executable, "search/run.py", *options]
        environment = {**os.environ, "GENIMAGE_CACHE": str(cache), **variables}
        self.lines: list[tuple[float, str]] = []
        self.process = subprocess.Popen(
            list(map(str, command)),
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append((time.time(), line))

    @property
    def text(self) -> str:
        return "".join(line for _, line in self.lines)

    def wait_for(self, pattern: str, seconds: float) -> float:
        """Return when a line matching `pattern` came."""
        limit = time.time() + seconds
        while time.time() < limit:
            for at, line in list(self.lines):
                if re.search(pattern, line):
                    return at
            assert self.process.poll() is None or self._reader.is_alive(), self.text
            time.sleep(0.05)
        raise AssertionError(f"no line matches {pattern!r} within {seconds} s:\n{self.text}")

    def workers(self) -> list[int]:
        """Processes of the Ray Train workers below it."""
        return [pid for pid, command in descendants(self.process.pid) if "RayTrainWorker" in command]

    def finish(self, seconds: float = 400) -> int:
        code = self.process.wait(seconds)
        self._reader.join(30)
        return code

    def end(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            self.finish(60)


def descendants(pid: int) -> list[tuple[int, str]]:
    """Every process below `pid` with its command line, from /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, waiting = [], [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            found.append((child, command))
            waiting.append(child)
    return found


def listening(pids: Iterable[int]) -> set[str]:
    """Addresses on which processes wait for connections, in the hexadecimal of /proc; IPv4 ones shortened."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            target = str(descriptor.readlink()) if descriptor.is_symlink() else ""
            inodes |= {target[8:-1]} if target.startswith("socket:") else set()
    tables = "".join(Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6"))
    rows = [fields for line in tables.splitlines() if (fields := line.split())[0] != "sl"]
    return {
        row[1].partition(":")[0].removeprefix("0000000000000000FFFF0000")
        for row in rows
        if row[3] == "0A" and row[9] in inodes
    }


def write_space(space: dict, path: Path) -> Path:
    path.write_text(yaml.safe_dump(space))
    return path


def read_records(run_dir: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run_dir / "trials.jsonl").read_text().splitlines()]
    records = {record["number"]: record for record in lines}  # of a run that was resumed, the last ones
    return [records[number] for number in sorted(records)]


def matrices(run_dir: Path) -> list[list[dict]]:
    """The matrix of every epoch of every trial."""
    return [[epoch["matrix"] for epoch in record["epochs"]] for record in read_records(run_dir)]


def study_of(run_dir: Path, name: str = "tiny") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{run_dir / 'study.db'}")
