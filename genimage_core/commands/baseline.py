"""`python -m genimage_core baseline --data ROOT`: the paper's tables, by detectors trained here."""

import argparse
import hashlib
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rich.console import Console

from genimage_core.cache import cache_folder
from genimage_core.commands.baseline_files import SCORES, TABLES, claim, write_results
from genimage_core.commands.baseline_print import print_tables
from genimage_core.commands.files import add_data, is_embedded, open_layout, progress
from genimage_core.commands.learning import (
    EMBEDDED_TRAINING,
    OVERRIDES,
    add_limits,
    add_overrides,
    check_start,
    is_simulated_base,
    read_sides,
    seen_by_base,
)
from genimage_core.data.batches import ImageSet
from genimage_core.data.images import load_images
from genimage_core.data.layout import SPLITS, Layout
from genimage_core.data.mini import MiniSettings
from genimage_core.data.recipe import digest
from genimage_core.detectors.catalogue import DETECTORS, find_detector
from genimage_core.protocol import TrainOn, make_folds
from genimage_core.published import Conditions
from genimage_core.settings import ALIGNMENTS, CROPS, DataSettings, TrainingSettings, require

if TYPE_CHECKING:
    from genimage_core.baseline import Bench, FoldLogits

REAL = {"detectors": "swin_t", "base": "imagenet", "image_size": 224}
REAL |= {"train_per_class": 2000, "val_per_class": 500}
# On the embedded data set: what its card was measured with.
EMBEDDED = {"detectors": "swin_nano", "base": "scratch", "image_size": MiniSettings.image_size}
EMBEDDED |= {"train_per_class": MiniSettings.train_per_class, "val_per_class": MiniSettings.val_per_class}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    add_data(parser)
    parser.add_argument("--detectors", metavar="A,B", help=f"of {', '.join(DETECTORS)} (swin_t)")
    parser.add_argument("--train-on", choices=get_args(TrainOn), default="one", help="the paper: one")
    parser.add_argument("--base", help="imagenet (default), scratch or checkpoint:PATH")
    parser.add_argument("--image-size", type=int, metavar="N", help="pixels (224)")
    parser.add_argument("--train-per-class", type=int, metavar="N", help="images (2000)")
    parser.add_argument("--val-per-class", type=int, metavar="N", help="images (500)")
    parser.add_argument("--alignment", choices=ALIGNMENTS, default="none", help="format alignment (none)")
    parser.add_argument("--crop", choices=CROPS, default="centre", help="how images are cut (centre)")
    add_overrides(parser)
    add_limits(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="weights, order, images (0)")
    parser.add_argument(
        "--out", type=Path, default=Path("baseline"), metavar="DIR", help="kept here; goes on there"
    )


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Train and test every detector, going on where an earlier call ended, and write the tables."""
    from genimage_core.baseline import Bench

    simulated = is_embedded(arguments)
    _fill_in(arguments, EMBEDDED if simulated else REAL)
    data, names = _data_settings(arguments), _names(arguments.detectors)
    for name in names:
        check_start(name, arguments.base, data.image_size)
    layout = open_layout(arguments, console)
    seen, simulated_base = seen_by_base(arguments.base), is_simulated_base(arguments.base)
    generators = layout.generators
    folds = make_folds(arguments.train_on, generators, seen, layout.catalog)
    sets = _load(layout, generators, data, arguments.seed, console)
    usual = EMBEDDED_TRAINING if simulated else {}
    overrides = usual | {key: value for key in OVERRIDES if (value := getattr(arguments, key)) is not None}
    described = _describe(arguments, data, names, overrides, sets)
    described |= {"simulated": simulated, "simulated_base": simulated_base}
    settings = claim(arguments.out, described)
    bench = Bench(
        out=arguments.out,
        folds=folds,
        training_sets={name: sets[name, "train"] for name in generators},
        validation={name: sets[name, "val"] for name in generators},
        data=data,
        base=arguments.base,
        seen=seen,
        simulated_base=simulated_base,
        overrides=overrides,
        seed=arguments.seed,
        simulated=simulated,
    )
    _train_and_write(bench, names, settings, console)


def _train_and_write(bench: "Bench", names: list[str], settings: Mapping[str, Any], console: Console) -> None:
    """Finish the detectors that are asked for; those that an earlier call finished stand beside them."""
    import torch

    from genimage_core.baseline import run_detector

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    earlier = [name for name in settings["training"] if bench.is_finished(name)]
    results: dict[str, Any] = {"settings": settings, "detectors": {}}

    def report(what: str, done: int, total: int, loss: float) -> None:
        console.print(f"{what}: epoch {done}/{total}, loss {loss:.4f}")

    for name in dict.fromkeys((*earlier, *names)):
        logits = run_detector(bench, name, device, report)
        results["detectors"][name] = _summarise(bench, name, logits)
        write_results(bench.out, results)
        if name in names:
            print_tables(name, results, console)
    console.print(f"tables {bench.out / TABLES}, every score with its interval {bench.out / SCORES}")


def _names(given: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in given.split(",")))


def _fill_in(arguments: argparse.Namespace, usual: Mapping[str, Any]) -> None:
    for key, value in usual.items():
        if getattr(arguments, key) is None:
            setattr(arguments, key, value)


def _data_settings(arguments: argparse.Namespace) -> DataSettings:
    require(arguments.val_per_class >= 2, "--val-per-class", arguments.val_per_class, "at least 2")
    return DataSettings(
        image_size=arguments.image_size,
        train_per_class=arguments.train_per_class,
        val_per_class=arguments.val_per_class,
        format_alignment=arguments.alignment,
        crop=arguments.crop,
        follow_links=arguments.follow_links,
        real_size=read_sides(arguments.real_size),
        max_bad_share=arguments.max_bad_share,
    )


def _content_of_base(base: str) -> str | None:
    """Hash of a checkpoint's content, which may change under one path; None of what is no checkpoint."""
    kind, _, path = base.partition(":")
    if kind != "checkpoint":
        return None
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load(
    layout: Layout, generators: tuple[str, ...], data: DataSettings, seed: int, console: Console
) -> dict[tuple[str, str], ImageSet]:
    sets = {}
    for name in generators:
        for split in SPLITS:
            with progress(console, f"decoding {name} {split}") as report:
                sets[name, split] = load_images(
                    layout, name, split, data, seed, cache_folder(), report=report
                )
    return sets


def _describe(
    arguments: argparse.Namespace,
    data: DataSettings,
    names: list[str],
    overrides: Mapping[str, Any],
    sets: Mapping[tuple[str, str], ImageSet],
) -> dict[str, Any]:
    return {
        "train_on": arguments.train_on,
        "base": arguments.base,
        "base_content": _content_of_base(arguments.base),
        "seed": arguments.seed,
        "data": {key: value for key, value in asdict(data).items() if key not in ("root", "layout")},
        "images": digest([images.identity for images in sets.values()]),
        "generators": sorted({name for name, _ in sets}),
        "training": {
            name: asdict(TrainingSettings(**{**find_detector(name).training, **overrides})) for name in names
        },
        "commands": dict.fromkeys(names, shlex.join(["python", "-m", "genimage_core", *sys.argv[1:]])),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _summarise(bench: "Bench", name: str, logits: Mapping[str, "FoldLogits"]) -> dict[str, Any]:
    from genimage_core.baseline_tables import compare_published, describe_degraded, describe_detector
    from genimage_core.data.batches import join

    labels = {generator: images.labels for generator, images in bench.validation.items()}
    tests = {fold: found.tests for fold, found in logits.items()}
    described = describe_detector(bench.folds, tests, labels, bench.seed)
    data = bench.data
    conditions = Conditions(
        data.format_alignment, bench.base, data.image_size, bench.simulated, data.real_size
    )
    degraded = {
        fold.name: describe_degraded(
            name,
            fold,
            logits[fold.name].degraded,
            join([bench.validation[g] for g in fold.train]).labels,
            bench.seed,
            conditions,
        )
        for fold in bench.folds
    }
    return {
        **described,
        "published": compare_published(name, described, bench.folds, conditions),
        "degraded": degraded,
        "training": {fold: {"loss": found.loss, "seconds": found.seconds} for fold, found in logits.items()},
    }
