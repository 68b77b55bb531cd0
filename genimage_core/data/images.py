"""Images of one generator and split: chosen by seed, decoded once, kept as memory-mapped uint8."""

import hashlib
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from genimage_core.data.layout import CLASS_FOLDERS, Layout
from genimage_core.settings import DataSettings

DECODER_VERSION = 1  # raise it when the same file would give other pixels


@dataclass(frozen=True)
class ImageSet:
    """Decoded images of one generator and split.

    Attributes:
        images: Shape (N, H, W, 3), uint8, RGB, read-only memory map.
        labels: Shape (N,), uint8, 0 = nature, 1 = ai.
        fingerprint: Hash of the files chosen and of everything that decides their pixels.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    fingerprint: str


def choose_images(
    layout: Layout, generator: str, split: str, per_class: int, seed: int
) -> list[tuple[Path, int]]:
    """Choose `per_class` images of each class of a generator by seed: first all nature, then all ai.

    Raises:
        ValueError: If a class has fewer.
    """
    chosen: list[tuple[Path, int]] = []
    for label, name in enumerate(CLASS_FOLDERS):
        paths = list(layout.images(generator, split, label))
        if len(paths) < per_class:
            raise ValueError(
                f"{generator} has {len(paths)} {split} images of {name} under {layout.root}, "
                f"{per_class} were asked for; lower data.{split}_per_class or add images"
            )
        order = np.random.default_rng([seed, label]).permutation(len(paths))[:per_class]
        chosen += [(paths[i], label) for i in sorted(order)]
    return chosen


def load_images(
    layout: Layout, generator: str, split: str, settings: DataSettings, seed: int, cache: Path
) -> ImageSet:
    """Return the images of one generator and split, decoding them into `cache` if they are not there.

    Safe when several processes ask for the same images at once: one decodes, the others wait.

    Args:
        layout: Where the images are.
        generator: Which generator's.
        split: `train` or `val`.
        settings: How many images, at which size, with which format alignment.
        seed: Chooses the subset.
        cache: Folder for decoded images.

    Raises:
        ValueError: If there are too few images or one cannot be decoded; the message names the file.
    """
    per_class = settings.train_per_class if split == "train" else settings.val_per_class
    chosen = choose_images(layout, generator, split, per_class, seed)
    fingerprint = _fingerprint(chosen, layout.root, settings)
    target = cache / "decoded" / f"{fingerprint}.npy"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.exists():
                _decode_into(target, chosen, settings)
    labels = np.array([label for _, label in chosen], dtype=np.uint8)
    return ImageSet(np.load(target, mmap_mode="r"), labels, fingerprint)


def join(sets: Sequence[ImageSet]) -> ImageSet:
    """Concatenate sets, as the training set of a fold with several generators; one set is not copied."""
    if len(sets) == 1:
        return sets[0]
    return ImageSet(
        np.concatenate([s.images for s in sets]),
        np.concatenate([s.labels for s in sets]),
        digest([s.fingerprint for s in sets]),
    )


def digest(content: object) -> str:
    """Short stable hash of anything JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _fingerprint(chosen: Sequence[tuple[Path, int]], root: Path, settings: DataSettings) -> str:
    files = []
    for path, label in chosen:
        stat = path.stat()
        files.append((path.relative_to(root).as_posix(), label, stat.st_size, stat.st_mtime_ns))
    return digest([DECODER_VERSION, settings.image_size, settings.format_alignment, files])


def _decode_into(target: Path, chosen: Sequence[tuple[Path, int]], settings: DataSettings) -> None:
    size = settings.image_size
    partial = target.with_suffix(".partial")
    shape = (len(chosen), size, size, 3)
    images = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)

    def decode_at(index: int) -> None:
        path, label = chosen[index]
        images[index] = decode(path, size, settings.format_alignment if label == 1 else "none")

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(decode_at, range(len(chosen))):
            pass  # draws the errors out
    images.flush()
    partial.rename(target)


def decode(path: Path, size: int, alignment: str = "none") -> NDArray[np.uint8]:
    """Decode one file to (size, size, 3) uint8: aligned format, centre crop at native scale, reflection.

    Raises:
        ValueError: If the file is not a readable image.
    """
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot decode {path}: {error}; replace or remove the file") from error
    if alignment == "jpeg96":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=96)
        image = Image.open(buffer).convert("RGB")
    return _centre_crop(np.asarray(image), size)


def _centre_crop(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    tall, wide = max(0, size - height), max(0, size - width)
    if tall or wide:
        before = (tall // 2, wide // 2)
        pad = ((before[0], tall - before[0]), (before[1], wide - before[1]), (0, 0))
        pixels = np.pad(pixels, pad, mode="reflect" if min(height, width) > 1 else "edge")
        height, width = pixels.shape[:2]
    top, left = (height - size) // 2, (width - size) // 2
    return pixels[top : top + size, left : left + size]
