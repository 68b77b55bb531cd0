"""Images of one generator and split: chosen by seed, decoded once, read from the cache."""

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import islice
from pathlib import Path

import numpy as np

from genimage_core.data.batches import BadFile, ImageSet
from genimage_core.data.decoded import open_decoded
from genimage_core.data.decoding import Report
from genimage_core.data.layout import CLASS_FOLDERS, Layout
from genimage_core.data.pixels import read_size
from genimage_core.data.recipe import Recipe, find_sources
from genimage_core.settings import DataSettings

NAMED_AT_MOST = 5  # bad files in a message


def choose_images(
    layout: Layout,
    generator: str,
    split: str,
    per_class: int,
    seed: int,
    real_size: tuple[int, int] | None = None,
    *,
    without: Set[Path] = frozenset(),
) -> list[tuple[Path, int]]:
    """Choose `per_class` images of each class of a generator by seed: first all nature, then all ai.

    Args:
        layout: Where the images are.
        generator: Which generator's.
        split: `train` or `val`.
        per_class: How many of each class.
        seed: Chooses.
        real_size: Choose only reals whose width and height lie within these two, by their headers.
        without: Leave these out.

    Raises:
        ValueError: If a class has fewer, or a file belongs to both.
    """
    chosen: list[tuple[Path, int]] = []
    key = f"data.{split}_per_class (in commands: --{split}-per-class or --per-class)"
    found = [list(layout.images(generator, split, label)) for label in (0, 1)]
    _require_one_label(*found)
    for label, (name, paths) in enumerate(zip(CLASS_FOLDERS, found, strict=True)):
        taken = sum(path in without for path in paths)
        if len(paths) < taken + per_class:
            beside = f" beside {taken} others" if taken else ""
            raise ValueError(
                f"{generator} has {len(paths)} {split} images of {name} under {layout.root}, "
                f"{per_class}{beside} were asked for; lower {key} or add images"
            )
        drawn = np.random.default_rng([seed, label]).permutation(len(paths))
        order = [int(i) for i in drawn if paths[i] not in without]
        if label == 0 and real_size is not None:
            order = _within_size(paths, order, per_class, real_size, key)
        chosen += [(paths[i], label) for i in sorted(order[:per_class])]
    return chosen


def count_images(
    layout: Layout, names: Sequence[str], split: str, at_most: int, real_size: tuple[int, int] | None = None
) -> int:
    """Return how many images of each class every generator has, `at_most` if there are more.

    Args:
        layout: Where the images are.
        names: Which generators.
        split: `train` or `val`.
        at_most: Counting ends here.
        real_size: Count only reals whose width and height lie within these two, by their headers.
    """
    least = at_most
    for name in names:
        reals, fakes = (list(layout.images(name, split, label)) for label in (0, 1))
        fitting: Iterable[int] = range(len(reals))
        if real_size is not None:
            fitting = islice(_fitting(reals, fitting, real_size), least)
        least = min(least, len(list(fitting)), len(fakes))
    return least


def _require_one_label(nature: Sequence[Path], ai: Sequence[Path]) -> None:
    both = set(nature) & set(ai)
    if both:
        raise ValueError(
            f"{min(both)} counts as nature and as ai, like {len(both) - 1} more; "
            "narrow the patterns of the mapping"
        )


def _within_size(
    paths: Sequence[Path], order: Sequence[int], count: int, bounds: tuple[int, int], key: str
) -> list[int]:
    """Keep the first `count` whose sides lie within `bounds`.

    One whose header cannot be read is kept as well, so that it is counted and listed like any bad file.
    """
    kept = list(islice(_fitting(paths, order, bounds), count))
    if len(kept) == count:
        return kept
    low, high = bounds
    raise ValueError(
        f"{paths[0].parent} has {len(kept)} images of {len(paths)} whose width and height are within "
        f"data.real_size [{low}, {high}], {count} were asked for; lower {key} or widen data.real_size"
    )


def _fitting(paths: Sequence[Path], order: Iterable[int], bounds: tuple[int, int]) -> Iterator[int]:
    low, high = bounds
    for index in order:
        size = read_size(paths[index])
        if size is None or (low <= min(size) and max(size) <= high):
            yield index


def describe_images(layout: Layout, generator: str, split: str, settings: DataSettings, seed: int) -> Recipe:
    """Choose the images of one generator and split and write down how they are decoded.

    Raises:
        ValueError: If there are too few.
    """
    per_class = settings.train_per_class if split == "train" else settings.val_per_class
    chosen = choose_images(layout, generator, split, per_class, seed, settings.real_size)
    return make_recipe(layout.root, generator, split, chosen, settings, seed)


def list_validation(
    layout: Layout, names: Iterable[str], settings: DataSettings, seed: int
) -> frozenset[Path]:
    """Return the validation images that a search chooses by; generators may share their reals.

    Raises:
        ValueError: If there are too few.
    """
    count, sizes = settings.val_per_class, settings.real_size
    chosen = (choose_images(layout, name, "val", count, seed, sizes) for name in names)
    return frozenset(path for pairs in chosen for path, _ in pairs)


def describe_tests(
    layout: Layout,
    generator: str,
    settings: DataSettings,
    seed: int,
    *,
    per_class: int,
    without: Set[Path],
) -> Recipe:
    """Choose images of the validation split that no search has used, as `describe_images` does.

    Args:
        layout: Where the images are.
        generator: Which generator's.
        settings: As of the search.
        seed: As of the search.
        per_class: How many of each class.
        without: What the search has used, of this generator or another (`list_validation`).

    Raises:
        ValueError: If there are too few.
    """
    chosen = choose_images(layout, generator, "val", per_class, seed, settings.real_size, without=without)
    return make_recipe(layout.root, generator, "val", chosen, settings, seed)


def make_recipe(
    root: Path,
    generator: str,
    split: str,
    chosen: Sequence[tuple[Path, int]],
    settings: DataSettings,
    seed: int,
) -> Recipe:
    """Write down how files below `root` that were chosen, each with its label, are decoded."""
    return Recipe(
        generator=generator,
        split=split,
        files=find_sources(root, chosen),
        alignment=settings.format_alignment,
        crop=settings.crop,
        size=settings.stored_size,
        seed=seed,
    )


def load_images(
    layout: Layout,
    generator: str,
    split: str,
    settings: DataSettings,
    seed: int,
    cache: Path,
    *,
    report: Report | None = None,
) -> ImageSet:
    """Return the images of one generator and split, decoding them into `cache` if they are not there.

    Safe when several processes ask for the same images at once: one decodes, the others wait.

    Args:
        layout: Where the images are.
        generator: Which generator's.
        split: `train` or `val`.
        settings: How many images, at which size, with which format alignment and crop.
        seed: Chooses the subset.
        cache: Cache folder.
        report: Told how many images are done while decoding.

    Raises:
        ValueError: If there are too few images, too many of them cannot be decoded, or there is no room for
            them.
    """
    recipe = describe_images(layout, generator, split, settings, seed)
    return open_images(recipe, settings, cache, report)


def open_images(
    recipe: Recipe, settings: DataSettings, cache: Path, report: Report | None = None
) -> ImageSet:
    """Return the images of a recipe of `describe_images`; otherwise like `load_images`."""
    decoded = open_decoded(recipe, cache, report)
    bad = tuple(
        BadFile(recipe.generator, recipe.split, label, name, reason)
        for name, label, reason in decoded.manifest.bad
    )
    require_readable(recipe, bad, settings.max_bad_share)
    labels = np.array(decoded.manifest.labels, dtype=np.uint8)
    margin = settings.stored_size - settings.image_size
    return ImageSet(decoded.shards, labels, recipe.fingerprint, margin, bad, recipe.identity, (decoded.pin,))


def require_readable(recipe: Recipe, bad: Sequence[BadFile], max_share: float) -> None:
    """Refuse a set of which more than `max_share` of a class, or all of it, cannot be decoded.

    Raises:
        ValueError: Naming generator, class, number and the first files.
    """
    for label, name in enumerate(CLASS_FOLDERS):
        total = sum(file.label == label for file in recipe.files)
        of_class = [file for file in bad if file.label == label]
        if not of_class or (len(of_class) < total and len(of_class) / total <= max_share):
            continue
        named = ", ".join(f"{file.path} ({file.reason})" for file in of_class[:NAMED_AT_MOST])
        more = ", ..." if len(of_class) > NAMED_AT_MOST else ""
        way_out = (
            "none is left"
            if len(of_class) == total
            else f"data.max_bad_share (--max-bad-share) allows {max_share:g}; set it to 1.0 to go on "
            "without them"
        )
        raise ValueError(
            f"{recipe.generator} {recipe.split}: {len(of_class)} of {total} {name} images cannot be decoded: "
            f"{named}{more}; repair or remove them ({way_out})"
        )
