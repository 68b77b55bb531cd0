"""Indexes a data root in a process of its own: what the tests kill.

python -m tests.genimage_core.data.index_process ROOT TARGET WORKERS CHUNK
                                                 [--generators A,B] [--die-after-reports N | --die-at N]

With `--die-at N` the process kills itself before the N-th step that touches the disk.
"""

import argparse
import os
import shutil
import signal
from pathlib import Path

from genimage_core.data.index import build_index
from tests.genimage_core.data.index_trees import genimage_layout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("workers", type=int)
    parser.add_argument("chunk", type=int)
    parser.add_argument("--generators", default="sd14,adm")
    parser.add_argument("--die-after-reports", type=int)
    parser.add_argument("--die-at", type=int)
    arguments = parser.parse_args()
    reports = 0

    def report(done: int, total: int | None) -> None:
        nonlocal reports
        reports += 1
        if reports == arguments.die_after_reports:
            die()

    if arguments.die_at:
        die_before_step(arguments.die_at)
    layout = genimage_layout(arguments.root, arguments.generators.split(","))
    build_index(layout, arguments.target, workers=arguments.workers, report=report, chunk=arguments.chunk)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before_step(number: int) -> None:
    """Count every change of the disk, and die before one of them."""
    steps = 0

    def counted(change):
        def wrapper(*arguments, **options):
            nonlocal steps
            steps += 1
            if steps == number:
                die()
            return change(*arguments, **options)

        return wrapper

    for owner, name in ((Path, "replace"), (Path, "unlink"), (os, "fsync"), (shutil, "rmtree")):
        setattr(owner, name, counted(getattr(owner, name)))


if __name__ == "__main__":
    main()
