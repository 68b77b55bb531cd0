"""The images of a run: which root, whether they are there, and making them ready."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from genimage_core.data.images import choose_images, digest, load_images
from genimage_core.data.layout import SPLITS, Layout, find_layout
from genimage_core.data.mini import MiniSettings, ensure_mini
from search.space import MINI, Space, is_mini, load_space

Report = Callable[[int, int], None]  # done, total


@dataclass(frozen=True)
class Inputs:
    """Images that are ready to be read.

    Attributes:
        layout: Where they are; generators of the search and of the base.
        simulated: Whether they are the embedded data set's.
        fingerprint: Hash of every image that the search can see.
    """

    layout: Layout
    simulated: bool
    fingerprint: str


def choose_root(space_file: Path, given: Path | None) -> str:
    """Decide on the data root: --data, else the space file's, else GENIMAGE_ROOT, else mini."""
    if given is not None:
        return MINI if str(given) == MINI else str(given.absolute())
    root = load_space(space_file).data.root or os.environ.get("GENIMAGE_ROOT") or MINI
    return root if root == MINI else str(Path(root).absolute())


def check_inputs(space: Space, generators: Sequence[str]) -> None:
    """Refuse a data root that is missing, lacks a generator or has too few images.

    Raises:
        ValueError: With what is missing and where it was looked for.
    """
    if is_mini(space.data.root):
        mini_settings(space)
        return
    layout = _find(Path(str(space.data.root)), space, generators)
    counts = (space.data.train_per_class, space.data.val_per_class)
    for name in generators:
        for split, count in zip(SPLITS, counts, strict=True):
            choose_images(layout, name, split, count, space.search.seed)


def _find(root: Path, space: Space, generators: Sequence[str]) -> Layout:
    data = space.data
    layout = find_layout(root, generators, mapping=data.layout, follow_links=data.follow_links)
    layout.require(generators)
    return layout


def mini_settings(space: Space) -> MiniSettings:
    """Size the embedded data set: as it is by default, larger when the space asks for more images."""
    usual = MiniSettings()
    return MiniSettings(
        image_size=space.data.image_size,
        train_per_class=max(usual.train_per_class, space.data.train_per_class),
        val_per_class=max(usual.val_per_class, space.data.val_per_class),
    )


def prepare_inputs(space: Space, generators: Sequence[str], cache: Path, console: Console) -> Inputs:
    """Make the embedded data set if it is asked for, and decode what the search will read, once."""
    if is_mini(space.data.root):
        with progress(console, "making the embedded data set (simulated; once)") as report:
            root = ensure_mini(cache, mini_settings(space), report)
    else:
        root = Path(str(space.data.root))
    layout = _find(root, space, generators)
    wanted = [(name, split) for name in generators for split in SPLITS]
    fingerprints = []
    with progress(console, "decoding images") as report:
        for done, (name, split) in enumerate(wanted):
            images = load_images(layout, name, split, space.data, space.search.seed, cache)
            fingerprints.append(images.fingerprint)
            report(done + 1, len(wanted))
    return Inputs(layout, is_simulated(root), digest(fingerprints))


def is_simulated(root: Path) -> bool:
    """Whether `root` holds the embedded data set: its card says so."""
    card = root / "CARD.md"
    return card.exists() and "simulated" in card.read_text(encoding="utf-8").lower()


@contextmanager
def progress(console: Console, text: str) -> Iterator[Report]:
    """Show a bar on a terminal and one line elsewhere; yields what is to be called with done and total."""
    if not console.is_terminal:
        console.print(text)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
