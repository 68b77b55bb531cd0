"""Memory and time that the index of a data root of GenImage's size takes.

python -m tests.benchmarks.index_memory [--entries 2700000] [--workers 2] [--folder DIR] [--out FILE]

Makes a tree in GenImage's shape, whose entries are hard links to a few thousand small images (a file system
allows some 65,000 links to a file), indexes it, brings the index up to date where nothing changed, reads it,
and prints JSON. The images are small: the time is that of everything but decoding. The tree is removed
afterwards. Linux only (memory is read from /proc).
"""

import argparse
import io
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from genimage_core.data.audit import COLUMNS, audit
from genimage_core.data.imagenet_class import synsets
from genimage_core.data.index import build_index, read_compact, scan_index
from genimage_core.data.layout import CLASS_FOLDERS, Layout, find_layout
from genimage_core.data.leaks import exact_leaks
from genimage_core.data.quarantine import tally
from genimage_core.generators import GENIMAGE
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.results import publish

LINKS = 60_000  # to one file
VAL_SHARE = 100_000 / 2_681_167  # as in GenImage
WORDS = {"sd14": "sdv4", "sd15": "sdv5"}
LIMIT_MB = 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, default=2_700_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the tree is made (a temporary folder)")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    described = describe(arguments)
    home = Path(tempfile.mkdtemp(prefix="index-memory-", dir=arguments.folder))
    try:
        layout, seconds = timed(make_tree, home / "data", arguments.entries)
        print(f"tree of {arguments.entries:,} entries made in {seconds:.0f} s", file=sys.stderr)
        result = measure(layout, home / "index", arguments.workers)
    finally:
        shutil.rmtree(home)
    publish({"benchmark": "index_memory", **described, **result}, arguments.out)


def measure(layout: Layout, target: Path, workers: int) -> dict[str, Any]:
    """Index, index again, and do with it what `data index` and `data audit` do."""
    imported = own_peak_mb()
    with watched_workers() as peaks:
        _, seconds = timed(build_index, layout, target, workers=workers, report=show)
    parent = own_peak_mb()
    _, again = timed(build_index, layout, target, workers=workers, report=show)
    updating = own_peak_mb()
    counts, surveying = timed(survey, target)
    surveyed = own_peak_mb()
    _, auditing = timed(lambda: audit(read_compact(target, COLUMNS)))
    total = max(parent + peaks["sum"], own_peak_mb())
    return {
        "entries": int(counts["files"].sum()),
        "bad": int(counts["bad"].sum()),
        "seconds": round(seconds, 1),
        "files_per_second": round(int(counts["files"].sum()) / seconds),
        "seconds_when_nothing_changed": round(again, 1),
        "seconds_to_count_and_find_leaks": round(surveying, 1),
        "seconds_to_audit": round(auditing, 1),
        "peak_mb": {
            "imports": round(imported),
            "parent": round(parent),
            "parent_when_nothing_changed": round(updating),
            "parent_counting_and_finding_leaks": round(surveyed),
            "parent_auditing": round(own_peak_mb()),
            "workers_together": round(peaks["sum"]),
            "all_processes": {"value": round(total), "at_most": LIMIT_MB, "reached": total <= LIMIT_MB},
        },
        "index_mb_on_disk": round(sum(p.stat().st_size for p in target.rglob("*.parquet")) / 2**20),
        "parts": sum(1 for _ in target.rglob("*.parquet")),
    }


def survey(target: Path) -> Any:
    """What `data index` does when the index is made: count, and look for leaks."""

    def parts() -> Iterator[Any]:
        return scan_index(target, ("path", "generator", "split", "label", "content", "error"))

    exact_leaks(parts, most=20)
    return tally(parts())


def make_tree(root: Path, entries: int) -> Layout:
    """Links in GenImage's shape: eight generators, two splits, two classes."""
    sources = {label: source_images(root.parent / "sources", label, entries) for label in (0, 1)}
    ids = synsets()
    for generator in GENIMAGE.generators:
        for split, share in (("train", 1 - VAL_SHARE), ("val", VAL_SHARE)):
            for label, name in enumerate(CLASS_FOLDERS):
                folder = root / generator.top / generator.inner / split / name
                folder.mkdir(parents=True)
                word = WORDS.get(generator.name, generator.name)
                for number in range(round(entries / 16 * share)):
                    real, fake = (
                        f"{ids[number % 1000]}_{number}.JPEG",
                        f"{number % 1000:03d}_{word}_{number:06d}.png",
                    )
                    os.link(next(sources[label]), folder / (fake if label else real))
    return find_layout(root)


def source_images(folder: Path, label: int, entries: int) -> Iterator[Path]:
    """Small files to link to, in turn: PNG fakes, JPEG reals, one of a thousand cut short."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(label)
    paths = []
    for number in range(max(1000, 2 * entries // LINKS)):
        pixels = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        pixels.save(buffer, "PNG" if label else "JPEG", **({} if label else {"quality": 96}))
        data = buffer.getvalue()
        paths.append(folder / f"{label}-{number}")
        paths[-1].write_bytes(data[: len(data) // 2] if number == 0 else data)
    while True:
        yield from paths


@contextmanager
def watched_workers() -> Iterator[dict[str, float]]:
    """Sample the memory of the worker processes; `sum` is the largest total seen, in MiB."""
    peaks, ended = {"sum": 0.0}, threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            peaks["sum"] = max(peaks["sum"], sum(map(resident_mb, multiprocessing.active_children())))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ended.set()
        thread.join()


def resident_mb(process: Any) -> float:
    """Largest memory that a process has had, shared pages included; 0 if it ended."""
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def own_peak_mb() -> float:
    """Largest memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(function: Any, *arguments: Any, **options: Any) -> tuple[Any, float]:
    """What a function returns, and how long it takes, in s."""
    start = time.perf_counter()
    result = function(*arguments, **options)
    return result, time.perf_counter() - start


def show(done: int, total: int | None) -> None:
    """A line for every hundred thousand files."""
    if done and done % 100_000 < 32:
        print(f"{done:,} of {total:,}", file=sys.stderr)


def describe(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was run, and on what."""
    names = ("entries", "workers")
    options = [f"--{name} {getattr(arguments, name)}" for name in names if getattr(arguments, name)]
    command = " ".join(["python -m tests.benchmarks.index_memory", *options])
    return {"command": command, "machine": describe_machine()}


if __name__ == "__main__":
    main()
