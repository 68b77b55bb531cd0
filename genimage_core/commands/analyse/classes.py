"""`python -m genimage_core analyse classes`: accuracy on image classes that were not trained on."""

import argparse
from typing import TYPE_CHECKING, Any

from rich.console import Console

from genimage_core.analysis.class_draw import Draw, Files, Sizes, draw_classes
from genimage_core.cache import cache_folder
from genimage_core.commands.analyse.shared import Findings, data_record, make_table, publish, read_numbers
from genimage_core.commands.analyse.training import (
    Asked,
    add_training,
    check,
    data_settings,
    told,
    training_record,
)
from genimage_core.commands.files import MINI, add_data, open_layout, progress
from genimage_core.data.image_class import UNKNOWN, images_by_class
from genimage_core.data.layout import SPLITS, Layout
from genimage_core.settings import DataSettings, require

if TYPE_CHECKING:
    from genimage_core.analysis.class_files import ClassFiles
    from genimage_core.analysis.image_classes import ClassResult, Pool

# GenImage has about 160 fakes of a class and generator, `mini` about 170 of the rarer of its two kinds.
USUAL = {"classes": "10,50,100,500", "train_images": 1000, "test_images": 500}
EMBEDDED = {"classes": "1", "train_images": 100, "test_images": 50}
LABEL = "image classes trained on (logarithmic)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    add_data(parser)
    parser.add_argument("--train-on", required=True, metavar="NAME", help="generator to learn from")
    parser.add_argument("--classes", metavar="K,K", help=f"image classes to train on ({USUAL['classes']})")
    parser.add_argument(
        "--train-images",
        type=int,
        metavar="N",
        help="reals, and fakes, whatever the number of classes (1000)",
    )
    parser.add_argument(
        "--test-images", type=int, metavar="N", help="reals, and fakes, seen and unseen alike (500)"
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="train",
        help="whose images are trained on and tested; GenImage's reals tell their class in train (train)",
    )
    add_training(parser)


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Draw classes for every seed, train, test, print the table, write the folder."""
    asked, sizes = check(arguments), _sizes(arguments)
    layout = open_layout(arguments, console)
    layout.require((arguments.train_on,), (arguments.split,))
    files, unknown = _by_class(layout, arguments.train_on, arguments.split)
    draws = {seed: draw_classes(files, sizes, seed) for seed in asked.seeds}
    data = data_settings(arguments, sizes.train, sizes.test)
    pools, kinds = _open(layout, draws, data, arguments, console)
    found = _measure(asked, pools, sizes, console)
    images = [pool.images for pool in pools.values()]
    context = {"data": data_record(images, layout, arguments)} | training_record(asked)
    publish("classes", _describe(found, draws, sizes, unknown, kinds, context, arguments), arguments, console)


def _sizes(arguments: argparse.Namespace) -> Sizes:
    for key, value in (EMBEDDED if arguments.data == MINI else USUAL).items():
        if getattr(arguments, key) is None:
            setattr(arguments, key, value)
    classes = read_numbers("--classes", arguments.classes, least=1)
    train, test = arguments.train_images, arguments.test_images
    require(train >= max(2, classes[-1]), "--train-images", train, "at least 2, and one for every class")
    require(test >= 2, "--test-images", test, "at least 2")
    return Sizes(classes, train, test)


def _by_class(layout: Layout, generator: str, split: str) -> tuple[Files, tuple[int, int]]:
    """Files by image class, and how many reals and fakes tell none.

    Raises:
        ValueError: If no class has both.
    """
    reals, fakes = (images_by_class(layout, generator, split, label) for label in (0, 1))
    unknown = (len(reals.pop(UNKNOWN, ())), len(fakes.pop(UNKNOWN, ())))
    if not set(reals) & set(fakes):
        raise ValueError(
            f"the {split} images of {generator} under {layout.root} tell no image class that reals and fakes "
            "have in common; it is read off GenImage's file names (n03495258_20762.JPEG, 594_sdv4_00152.png) "
            "or off folders (airplane/0_real); reals of ImageNet's validation set do not tell theirs"
        )
    return {name: (reals[name], fakes[name]) for name in sorted(set(reals) & set(fakes))}, unknown


def _open(
    layout: Layout,
    draws: dict[int, Draw],
    data: DataSettings,
    arguments: argparse.Namespace,
    console: Console,
) -> "tuple[dict[int, Pool], tuple[ClassFiles, ClassFiles]]":
    """Decode the images of every seed; the kinds of files of the first."""
    from genimage_core.analysis.class_files import describe_files
    from genimage_core.analysis.image_classes import Pool
    from genimage_core.data.images import make_recipe, open_images

    pools, kinds = {}, []
    for seed, draw in draws.items():
        recipe = make_recipe(layout.root, arguments.train_on, arguments.split, draw.files, data, seed)
        with progress(console, f"decoding images of seed {seed}") as report:
            images = open_images(recipe, data, cache_folder(), report)
        pools[seed] = Pool.of(draw, recipe, images)
        kinds.append(describe_files(recipe, images.bad, data.image_size))
    return pools, kinds[0]


def _measure(asked: Asked, pools: "dict[int, Pool]", sizes: Sizes, console: Console) -> "list[ClassResult]":
    from genimage_core.analysis.image_classes import measure_classes

    return measure_classes(asked.learning(), pools, sizes.classes, told(console))


def _describe(
    found: "list[ClassResult]",
    draws: dict[int, Draw],
    sizes: Sizes,
    unknown: tuple[int, int],
    kinds: "tuple[ClassFiles, ClassFiles]",
    context: dict[str, Any],
    arguments: argparse.Namespace,
) -> Findings:
    from genimage_core.analysis import image_classes_wording as words
    from genimage_core.analysis.accuracy_figures import Series, curve_figure
    from genimage_core.analysis.class_files import different_formats
    from genimage_core.analysis.wording import over_seeds, simulated_images

    data = (
        f"{simulated_images(simulated=context['data']['simulated'])}format_alignment: {arguments.alignment}"
    )
    title = f"Image classes: {arguments.detector} trained on {arguments.train_on} ({data})"
    notes = [
        *words.notes(found, draws, sizes, unknown, arguments.split),
        different_formats(kinds, arguments.alignment),
    ]
    series = [
        Series("classes trained on", [one.seen for one in found]),
        Series("other classes", [one.unseen for one in found]),
    ]
    change = Series(words.DIFFERENCE, [one.difference for one in found])
    caption = f"balanced accuracy, {over_seeds(arguments.seeds)}; difference: seen − unseen"
    return Findings(
        tables=[make_table(title, words.HEAD, [words.cells(one) for one in found], caption)],
        notes=[note for note in notes if note],
        rows=words.rows(found),
        figure=curve_figure(title, LABEL, [one.classes for one in found], series, change),
        record=context | words.record(found, draws, sizes),
    )
