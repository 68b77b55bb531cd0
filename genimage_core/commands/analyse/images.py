"""`python -m genimage_core analyse images`: accuracy by the number of training images."""

import argparse
from typing import TYPE_CHECKING, Any

from rich.console import Console

from genimage_core.cache import cache_folder
from genimage_core.commands.analyse.shared import (
    TEST_IMAGES,
    Findings,
    count_tests,
    data_record,
    make_table,
    publish,
    read_numbers,
)
from genimage_core.commands.analyse.training import (
    Asked,
    add_training,
    check,
    data_settings,
    told,
    training_record,
)
from genimage_core.commands.files import MINI, add_data, open_layout, progress
from genimage_core.data.images import count_images
from genimage_core.data.layout import Layout
from genimage_core.protocol import Fold, Protocol
from genimage_core.settings import require

if TYPE_CHECKING:
    from genimage_core.analysis.class_files import ClassFiles
    from genimage_core.analysis.image_counts import CountResult
    from genimage_core.data.batches import ImageSet

COUNTS, EMBEDDED_COUNTS = "250,500,1000,2000", "50,100,200,400"
LABEL = "training images of each class (logarithmic)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    add_data(parser)
    parser.add_argument("--train-on", required=True, metavar="NAME", help="generator to learn from")
    parser.add_argument("--counts", metavar="N,N", help=f"training images of each class ({COUNTS})")
    parser.add_argument(
        "--equal",
        choices=("steps", "epochs"),
        default="steps",
        help="what all have in common: steps, those of the largest number with --epochs, or epochs (steps)",
    )
    parser.add_argument(
        "--test-per-class",
        type=int,
        metavar="N",
        help=f"test images of each class and generator (what there is, up to {TEST_IMAGES})",
    )
    add_training(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Train a detector for every number of images and seed, print the table, write the folder."""
    arguments.counts = arguments.counts or (EMBEDDED_COUNTS if arguments.data == MINI else COUNTS)
    counts = read_numbers("--counts", arguments.counts, least=2)
    asked = check(arguments)
    layout = open_layout(arguments, console)
    layout.require((arguments.train_on,), ("train",))
    layout.require(layout.generators, ("val",))
    fold = _fold(layout, arguments.train_on, asked.seen)
    there = count_images(layout, fold.train, "train", counts[-1])
    require(there == counts[-1], "--counts", arguments.counts, f"at most {there}: so many images there are")
    asked_for = arguments.test_per_class
    arguments.test_per_class = count_tests("--test-per-class", asked_for, [(layout, layout.generators)])
    found, files, images = _measure(asked, layout, fold, counts, arguments, console)
    context = {"data": data_record(images, layout, arguments)} | training_record(asked)
    publish("images", _describe(found, files, fold, context, arguments), arguments, console)


def _fold(layout: Layout, train_on: str, seen: tuple[str, ...]) -> Fold:
    protocol = Protocol("one", layout.generators, (), seen, layout.catalog)
    [fold] = [fold for fold in protocol.folds if fold.name == train_on]
    require(bool(fold.off_family), "--train-on", train_on, "a generator with others outside its family there")
    return fold


def _measure(
    asked: Asked,
    layout: Layout,
    fold: Fold,
    counts: tuple[int, ...],
    arguments: argparse.Namespace,
    console: Console,
) -> "tuple[list[CountResult], tuple[ClassFiles, ClassFiles], list[ImageSet]]":
    from genimage_core.analysis.class_files import describe_files
    from genimage_core.analysis.image_counts import measure_counts
    from genimage_core.data.images import describe_images, load_images, open_images

    data = data_settings(arguments, counts[-1], arguments.test_per_class)
    tests = {}
    for name in layout.generators:
        with progress(console, f"decoding {name} val") as report:
            tests[name] = load_images(
                layout, name, "val", data, arguments.seed, cache_folder(), report=report
            )
    recipes = {s: describe_images(layout, arguments.train_on, "train", data, s) for s in asked.seeds}
    pools = {}
    for seed, recipe in recipes.items():
        with progress(console, f"decoding training images of seed {seed}") as report:
            pools[seed] = open_images(recipe, data, cache_folder(), report)
    first = asked.seeds[0]
    files = describe_files(recipes[first], pools[first].bad, data.image_size)
    learning, done = asked.learning(), told(console)
    found = measure_counts(learning, pools, tests, fold, counts, arguments.equal, done)
    return found, files, [*tests.values(), *pools.values()]


def _describe(
    found: "list[CountResult]",
    files: "tuple[ClassFiles, ClassFiles]",
    fold: Fold,
    context: dict[str, Any],
    arguments: argparse.Namespace,
) -> Findings:
    from genimage_core.analysis import image_counts_wording as words
    from genimage_core.analysis.accuracy_figures import Series, curve_figure
    from genimage_core.analysis.class_files import different_formats
    from genimage_core.analysis.wording import over_seeds, simulated_images

    data = (
        f"{simulated_images(simulated=context['data']['simulated'])}format_alignment: {arguments.alignment}"
    )
    title = f"Number of training images: {arguments.detector} trained on {fold.name} ({data})"
    notes = [*words.notes(found, fold, arguments.equal), different_formats(files, arguments.alignment)]
    series = [
        Series(f"{words.IN_DOMAIN} ({fold.name})", [one.in_domain for one in found]),
        Series(words.OFF_FAMILY, [one.off_family for one in found]),
    ]
    caption = f"images: of each class; balanced accuracy, {over_seeds(arguments.seeds)}; sd: between seeds"
    return Findings(
        tables=[make_table(title, words.HEAD, [words.cells(one) for one in found], caption)],
        notes=[note for note in notes if note],
        rows=words.rows(found),
        figure=curve_figure(title, LABEL, [one.count for one in found], series),
        record=context | words.record(found, fold),
    )
