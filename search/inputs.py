"""The images of a run: which root, whether they are there, and making them ready."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from genimage_core.data.audit import Audit
from genimage_core.data.batches import BadFile
from genimage_core.data.decoded import is_decoded
from genimage_core.data.decoding import readable, require_room
from genimage_core.data.images import (
    choose_images,
    describe_images,
    describe_tests,
    list_validation,
    open_images,
)
from genimage_core.data.layout import SPLITS, Layout, find_layout
from genimage_core.data.mini import MiniSettings, ensure_mini
from genimage_core.data.mini_card import is_simulated
from genimage_core.data.recipe import Recipe, digest
from genimage_core.data.run_audit import audit_run
from genimage_core.settings import DataSettings
from search.space import MINI, Space, is_mini, load_space

Report = Callable[[int, int], None]  # done, total
NAMED = 10  # bad files on the terminal
LEFT_OUT = "left_out.csv"


@dataclass(frozen=True)
class Inputs:
    """Images that are ready to be read.

    Attributes:
        layout: Where they are; generators of the search and of the base.
        simulated: Whether they are the embedded data set's.
        fingerprint: Hash of every image that the search can see.
        bad: Those that were chosen but cannot be decoded; they are left out.
        audit: Whether facts about the files alone tell real from fake.
        identities: Which files were chosen, by generator and split.
        recipes: How they are decoded, for each generator and split.
    """

    layout: Layout
    simulated: bool
    fingerprint: str
    bad: tuple[BadFile, ...]
    audit: Audit
    identities: dict[tuple[str, str], str]
    recipes: tuple[Recipe, ...]

    def searched(self, generators: Sequence[str]) -> list[Recipe]:
        """Recipes of the validation images of some generators, in their order."""
        found = {recipe.generator: recipe for recipe in self.recipes if recipe.split == "val"}
        return [found[name] for name in generators]


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
    layout = find_images(space, generators)
    counts = (space.data.train_per_class, space.data.val_per_class)
    for name in generators:
        for split, count in zip(SPLITS, counts, strict=True):
            choose_images(layout, name, split, count, space.search.seed, space.data.real_size)


def check_tests(space: Space, validated: Iterable[str] = ()) -> None:
    """Refuse a data root without the images that the finalists of a search are to be tested on.

    Args:
        space: Of the search.
        validated: Images that searches chose by which this one learns from, relative to the data root.

    Raises:
        ValueError: With what is missing and what to do.
    """
    if is_mini(space.data.root) or not space.finalists.top:
        return
    catalog, data, count = space.catalog, space.data, space.finalists.test_per_class
    searched, sealed = catalog.expand(space.protocol.search), catalog.expand(space.protocol.sealed)
    try:
        layout, seed = find_images(space, (*searched, *sealed)), space.search.seed
        used = list_validation(layout, searched, data, seed) | {layout.root / name for name in validated}
        for name in (*searched, *sealed):
            describe_tests(layout, name, data, seed, per_class=count, without=used)
    except ValueError as error:
        raise ValueError(
            f"finalists: {error}. Lower finalists.test_per_class, seal other generators, or search without "
            "finalists: --no-finalists"
        ) from error


def find_images(space: Space, generators: Sequence[str], root: Path | None = None) -> Layout:
    """Find the images of some generators, below another root than the space's if one is given.

    Raises:
        ValueError: If one is missing.
    """
    data = space.data
    root = root or Path(str(data.root))
    layout = find_layout(root, generators, mapping=data.layout, follow_links=data.follow_links)
    layout.require(generators)
    return layout


def mini_settings(space: Space) -> MiniSettings:
    """Size the embedded data set: as it is by default, larger when the space asks for more images."""
    usual = MiniSettings()
    tests = space.finalists.test_per_class if space.finalists.top else 0
    return MiniSettings(
        image_size=space.data.image_size,
        train_per_class=max(usual.train_per_class, space.data.train_per_class),
        val_per_class=max(usual.val_per_class, space.data.val_per_class + tests),
    )


def prepare_inputs(space: Space, generators: Sequence[str], cache: Path, console: Console) -> Inputs:
    """Make the embedded data set if it is asked for, and decode what the search will read, once."""
    if is_mini(space.data.root):
        with progress(console, "making the embedded data set (simulated; once)") as report:
            root = ensure_mini(cache, mini_settings(space), report)
    else:
        root = Path(str(space.data.root))
    layout = find_images(space, generators, root)
    recipes = [
        describe_images(layout, name, split, space.data, space.search.seed)
        for name in generators
        for split in SPLITS
    ]
    bad = decode_all(recipes, space.data, cache, console)
    with progress(console, "looking for shortcuts in the files"):
        audit = audit_run(recipes, space.search.seed, cache)
    for sentence in audit.sentences:
        console.print(sentence, markup=False)
    identities = {(recipe.generator, recipe.split): recipe.identity for recipe in recipes}
    seen = digest([[r.fingerprint for r in recipes], space.data.image_size])  # a margin is not seen
    return Inputs(layout, is_simulated(root), seen, bad, audit, identities, tuple(recipes))


def decode_all(
    recipes: Sequence[Recipe], settings: DataSettings, cache: Path, console: Console
) -> tuple[BadFile, ...]:
    """Decode what is not in the cache, verify what is, and return what cannot be decoded.

    Raises:
        ValueError: If there is no room for it, or too many images cannot be decoded.
    """
    cache.mkdir(parents=True, exist_ok=True)
    needed = sum(recipe.needed_bytes for recipe in recipes if not is_decoded(recipe, cache))
    require_room(needed, cache)
    text = f"decoding images ({readable(needed)} in {cache})" if needed else "checking decoded images"
    total, before = sum(len(recipe.files) for recipe in recipes), 0
    bad: list[BadFile] = []
    with progress(console, text) as report:
        for recipe in recipes:

            def step(done: int, _: int, before: int = before) -> None:
                report(before + done, total)

            bad += open_images(recipe, settings, cache, step).bad
            before += len(recipe.files)
            report(before, total)
    for file in bad[:NAMED]:
        name = f"{file.generator} {file.split}: {file.path}: {file.reason}"
        console.print(f"left out: {name}", markup=False)
    if len(bad) > NAMED:
        console.print(f"left out: {len(bad) - NAMED} more; {LEFT_OUT} in the run directory has all of them")
    return tuple(bad)


def write_left_out(bad: Sequence[BadFile], run_dir: Path) -> None:
    """List the files that cannot be decoded in the run directory, if there are any."""
    if bad:
        pd.DataFrame([asdict(file) for file in bad]).to_csv(run_dir / LEFT_OUT, index=False)


@contextmanager
def progress(console: Console, text: str) -> Iterator[Report]:
    """Show a bar on a terminal and one line elsewhere; yields what is to be called with done and total."""
    if not console.is_terminal:
        console.print(text)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
