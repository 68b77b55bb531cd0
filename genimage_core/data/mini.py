"""The embedded data set: eight simulated generators, made on the user's machine in GenImage's own layout.

Its images are SIMULATED. They prove that the machinery works and that a search ranks what it should; they say
nothing about a detector's quality on real generators.

The pictures are made by worker processes that are told their share on standard input. They are plain
`python -m genimage_core.data.mini` processes rather than a multiprocessing pool: a spawned pool imports the
caller's main module again, and with it torch and Ray, once for each worker.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import IO

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from genimage_core.data.decoders import DECODERS, reconstruct
from genimage_core.data.layout import CLASS_FOLDERS, SPLITS
from genimage_core.data.mini_card import CARD, render_card
from genimage_core.data.photographs import load_photographs
from genimage_core.data.scenes import draw_scene, shoot
from genimage_core.generators import GENIMAGE
from genimage_core.settings import require

MINI_VERSION = 4  # raise it when the same settings would give other bytes
PHOTO_SHARE = 0.35
JPEG_QUALITY = (92, 99)  # drawn evenly, both ends included, for either class
HEADER_BYTES, BYTES_PER_PIXEL = 1024, 4  # the length of every file; no picture comes near it by itself
GRID = 16  # period of the coarsest imprint, in pixels
MOST_WORKERS = 8
REPORT_EVERY = 8  # scenes between two lines of progress

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MiniSettings:
    """Size and seed of the embedded data set.

    Attributes:
        image_size: Side of the images in pixels, a multiple of 16: the decoders' grids start at the corner.
        train_per_class: Training images per generator and class.
        val_per_class: Validation images per generator and class: half for a search, half for its finalists.
        seed: Decides every image.
    """

    image_size: int = 64
    train_per_class: int = 500
    val_per_class: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        valid_size = self.image_size >= 2 * GRID and self.image_size % GRID == 0
        require(valid_size, "image_size", self.image_size, f"a multiple of {GRID} and at least {2 * GRID}")
        require(self.train_per_class >= 1, "train_per_class", self.train_per_class, "at least 1")
        require(self.val_per_class >= 1, "val_per_class", self.val_per_class, "at least 1")
        require(self.seed >= 0, "seed", self.seed, "at least 0")


@dataclass(frozen=True)
class _Job:
    """One scene: a nature image and an aligned reconstruction of it; `number` counts within the split."""

    number: int
    generator: str
    split: str


def mini_folder(cache: Path, settings: MiniSettings) -> Path:
    """Return where the data set of `settings` lies under `cache`, whether or not it is there."""
    content = json.dumps([MINI_VERSION, asdict(settings), repr(DECODERS), PHOTO_SHARE, JPEG_QUALITY])
    return cache / f"mini-{MINI_VERSION}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def ensure_mini(cache: Path, settings: MiniSettings | None = None, progress: Progress | None = None) -> Path:
    """Return the root of the embedded data set, making it first if it is not there.

    The same settings give the same bytes. Of several processes that ask at once, one makes it and the others
    wait. It appears whole or not at all: what an interrupted attempt left behind is removed by the next.

    Args:
        cache: Folder that data sets are kept in; made if it is missing.
        settings: Size and seed.
        progress: Called with the number of scenes done and their total.

    Raises:
        RuntimeError: If a worker process fails; the message ends with what it said last.
    """
    settings = settings or MiniSettings()
    root = mini_folder(cache, settings)
    if root.is_dir():
        return root
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{root.name}.lock"):
        if not root.is_dir():
            _make(root, settings, progress or (lambda done, total: None))
    return root


def _make(root: Path, settings: MiniSettings, progress: Progress) -> None:
    for leftover in root.parent.glob(f"{root.name}.partial-*"):
        _remove(leftover)
    partial = Path(tempfile.mkdtemp(prefix=f"{root.name}.partial-", dir=root.parent))
    try:
        for generator in GENIMAGE.generators:
            for split in SPLITS:
                for name in CLASS_FOLDERS:
                    (partial / generator.top / generator.inner / split / name).mkdir(parents=True)
        _run_workers(partial, settings, progress)
        (partial / CARD).write_text(render_card(asdict(settings), JPEG_QUALITY), encoding="utf-8")
        partial.chmod(0o755)  # mkdtemp makes it private
        partial.rename(root)
    except BaseException:
        _remove(partial)
        raise


def _remove(folder: Path) -> None:
    # A worker whose parent was killed may still add a file or two before it notices.
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


@dataclass(frozen=True)
class _Worker:
    """A process that makes one share of the scenes, and the file that takes its complaints."""

    process: "subprocess.Popen[str]"
    complaints: IO[str]

    def listen(self, news: "SimpleQueue[int | _Worker]") -> None:
        """Pass on how many scenes were made, and at last, once the process has ended, the worker itself."""
        assert self.process.stdout
        for line in self.process.stdout:
            news.put(int(line))
        self.process.wait()
        news.put(self)

    def check(self) -> None:
        """Raise `RuntimeError` if the process that has ended failed."""
        self.complaints.seek(0)
        last = self.complaints.read()[-2000:].strip() or "it said nothing"
        if self.process.returncode != 0:
            raise RuntimeError(
                f"a worker that makes mini ended with status {self.process.returncode}: {last}"
            )


def _run_workers(folder: Path, settings: MiniSettings, progress: Progress) -> None:
    total = len(_jobs(settings))
    count = min(MOST_WORKERS, os.cpu_count() or 1, total)
    news: SimpleQueue[int | _Worker] = SimpleQueue()
    with ExitStack() as files, ThreadPoolExecutor(count) as pool:
        workers = [_start_worker(folder, settings, (share, count), files) for share in range(count)]
        try:
            for worker in workers:
                pool.submit(worker.listen, news)
            done, running = 0, count
            while running:
                message = news.get()
                if isinstance(message, _Worker):
                    message.check()
                    running -= 1
                else:
                    done += message
                    progress(done, total)
        finally:
            for worker in workers:  # those that have ended take no notice
                worker.process.kill()


def _start_worker(folder: Path, settings: MiniSettings, share: tuple[int, int], files: ExitStack) -> _Worker:
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    complaints = files.enter_context(tempfile.TemporaryFile("w+"))  # noqa: SIM115 - the stack closes it
    process = files.enter_context(
        subprocess.Popen(
            [sys.executable, "-m", "genimage_core.data.mini"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            # Arrays of 64 x 64 gain nothing from threads, and each worker would start one per core.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )
    )
    assert process.stdin
    with suppress(BrokenPipeError), process.stdin as order:  # one that is dead already is noticed later
        json.dump({"folder": str(folder), "settings": asdict(settings), "share": share}, order)
    return _Worker(process, complaints)


def _work() -> None:
    """Make the share of scenes that standard input names; print how many were made since the last line."""
    order = json.load(sys.stdin)
    settings, (share, count) = MiniSettings(**order["settings"]), order["share"]
    photographs = {split: load_photographs(split) for split in SPLITS}
    jobs = _jobs(settings)[share::count]
    for start in range(0, len(jobs), REPORT_EVERY):
        batch = jobs[start : start + REPORT_EVERY]
        for job in batch:
            _write_pair(Path(order["folder"]), job, settings, photographs[job.split])
        print(len(batch), flush=True)  # also notices a parent that is gone: the pipe is broken


def _jobs(settings: MiniSettings) -> list[_Job]:
    per_class = {"train": settings.train_per_class, "val": settings.val_per_class}
    return [
        _Job(number, generator.name, split)
        for generator in GENIMAGE.generators
        for split in SPLITS
        for number in range(per_class[split])
    ]


def _write_pair(
    folder: Path, job: _Job, settings: MiniSettings, photographs: Mapping[str, NDArray[np.uint8]]
) -> None:
    # Nothing of the other counts: a larger data set holds the smaller one.
    place = (GENIMAGE.names.index(job.generator), SPLITS.index(job.split), job.number)
    rng = np.random.default_rng([settings.seed, *place])
    scene = draw_scene(rng, settings.image_size, photographs, PHOTO_SHARE)
    pictures = {
        "nature": shoot(scene, rng),
        "ai": reconstruct(job.generator, shoot(scene, rng), rng),  # a fresh shot: the noise differs
    }
    low, high = JPEG_QUALITY
    quality = int(rng.integers(low, high + 1))  # one for both classes of a scene
    generator = GENIMAGE.get(job.generator)
    for name in CLASS_FOLDERS:
        path = (
            folder
            / generator.top
            / generator.inner
            / job.split
            / name
            / f"{job.number:06d}_{scene.source}.jpg"
        )
        path.write_bytes(_encode(pictures[name], quality))


def _encode(picture: NDArray[np.float32], quality: int) -> bytes:
    """Compress, filled up with zeros after the end of the picture.

    Without the filling, the bytes of a file tell the classes apart a little: a decoder takes detail away and
    its imprint adds some, and the two do not cancel for every generator.
    """
    buffer = io.BytesIO()
    pixels = np.round(picture * 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
    length = HEADER_BYTES + BYTES_PER_PIXEL * pixels.shape[0] * pixels.shape[1]
    assert buffer.tell() <= length, f"a picture took {buffer.tell()} bytes"
    return buffer.getvalue().ljust(length, b"\0")


if __name__ == "__main__":
    _work()
