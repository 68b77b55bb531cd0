"""`python -m genimage_core baseline --data ROOT`: the paper's tables, by detectors trained here."""

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from rich.console import Console

from genimage_core.cache import cache_folder
from genimage_core.commands.baseline_print import print_tables, write_markdown
from genimage_core.commands.files import MINI, add_data, open_layout, progress
from genimage_core.commands.learning import (
    EMBEDDED_TRAINING,
    OVERRIDES,
    add_overrides,
    check_start,
    seen_by_base,
)
from genimage_core.data.batches import ImageSet
from genimage_core.data.images import load_images
from genimage_core.data.layout import SPLITS, Layout
from genimage_core.data.mini import MiniSettings
from genimage_core.data.recipe import digest
from genimage_core.detectors.catalogue import DETECTORS, find_detector
from genimage_core.protocol import TrainOn, make_folds
from genimage_core.settings import ALIGNMENTS, CROPS, DataSettings, TrainingSettings

REAL = {"detectors": "swin_t", "base": "imagenet", "image_size": 224}
REAL |= {"train_per_class": 2000, "val_per_class": 500}
# On the embedded data set: what its card was measured with.
EMBEDDED = {"detectors": "swin_nano", "base": "scratch", "image_size": MiniSettings.image_size}
EMBEDDED |= {"train_per_class": MiniSettings.train_per_class, "val_per_class": MiniSettings.val_per_class}
SETTINGS, RESULTS, SCORES, TABLES = "settings.json", "results.json", "scores.csv", "tables.md"


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
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="weights, order, images (0)")
    parser.add_argument(
        "--out", type=Path, default=Path("baseline"), metavar="DIR", help="kept here; goes on there"
    )


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Train and test every detector, going on where an earlier call ended, and write the tables."""
    import torch

    from genimage_core.baseline import Bench, run_detector

    _fill_in(arguments)
    data, names = _data_settings(arguments), arguments.detectors.split(",")
    for name in names:
        check_start(name, arguments.base, data.image_size)
    layout = open_layout(arguments, console)
    seen = seen_by_base(arguments.base)
    generators = layout.generators
    folds = make_folds(arguments.train_on, generators, seen, layout.catalog)
    sets = _load(layout, generators, data, arguments.seed, console)
    usual = EMBEDDED_TRAINING if arguments.data == MINI else {}
    overrides = usual | {key: value for key in OVERRIDES if (value := getattr(arguments, key)) is not None}
    described = _describe(arguments, data, names, overrides, sets)
    _claim(arguments.out, described)
    bench = Bench(
        out=arguments.out,
        folds=folds,
        training_sets={name: sets[name, "train"] for name in generators},
        validation={name: sets[name, "val"] for name in generators},
        data=data,
        base=arguments.base,
        seen=seen,
        overrides=overrides,
        seed=arguments.seed,
        simulated=arguments.data == MINI,
    )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    results: dict[str, Any] = {"settings": described, "detectors": {}}
    for name in names:

        def report(what: str, done: int, total: int, loss: float) -> None:
            console.print(f"{what}: epoch {done}/{total}, loss {loss:.4f}")

        logits = run_detector(bench, name, device, report)
        results["detectors"][name] = _summarise(bench, name, logits)
        _write(arguments.out, results, console)


def _fill_in(arguments: argparse.Namespace) -> None:
    for key, value in (EMBEDDED if arguments.data == MINI else REAL).items():
        if getattr(arguments, key) is None:
            setattr(arguments, key, value)


def _data_settings(arguments: argparse.Namespace) -> DataSettings:
    return DataSettings(
        image_size=arguments.image_size,
        train_per_class=arguments.train_per_class,
        val_per_class=arguments.val_per_class,
        format_alignment=arguments.alignment,
        crop=arguments.crop,
        follow_links=arguments.follow_links,
    )


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
        "seed": arguments.seed,
        "data": {key: value for key, value in asdict(data).items() if key not in ("root", "layout")},
        "images": digest([images.identity for images in sets.values()]),
        "generators": sorted({name for name, _ in sets}),
        "simulated": arguments.data == MINI,
        "training": {
            name: asdict(TrainingSettings(**{**find_detector(name).training, **overrides})) for name in names
        },
        "command": shlex.join(["python", "-m", "genimage_core", *sys.argv[1:]]),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def _claim(out: Path, described: Mapping[str, Any]) -> None:
    """Write the settings down; refuse a folder that holds the results of others.

    Raises:
        ValueError: Naming what differs.
    """
    path = out / SETTINGS
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        same = json.loads(json.dumps(described))
        for key in ("train_on", "base", "seed", "data", "images", "generators"):
            if before.get(key) != same[key]:
                raise ValueError(
                    f"{out} holds results with {key} {before.get(key)!r}, asked for now: {same[key]!r}; "
                    "choose another --out"
                )
        for name in set(before["training"]) & set(same["training"]):
            if before["training"][name] != same["training"][name]:
                raise ValueError(f"{out} holds {name} with other training settings; choose another --out")
        described = {**described, "training": {**before["training"], **same["training"]}}
    out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


def _summarise(bench: Any, name: str, logits: Mapping[str, Any]) -> dict[str, Any]:
    from genimage_core.baseline_tables import compare_published, describe_degraded, describe_detector
    from genimage_core.data.batches import join

    labels = {generator: images.labels for generator, images in bench.validation.items()}
    tests = {fold: found.tests for fold, found in logits.items()}
    described = describe_detector(bench.folds, tests, labels, bench.seed)
    alignment = bench.data.format_alignment
    published = [] if bench.simulated else compare_published(name, described, bench.folds, alignment)
    degraded = {
        fold.name: describe_degraded(
            name,
            fold,
            logits[fold.name].degraded,
            join([bench.validation[g] for g in fold.train]).labels,
            simulated=bench.simulated,
        )
        for fold in bench.folds
    }
    training = {fold: {"loss": found.loss, "seconds": found.seconds} for fold, found in logits.items()}
    return {**described, "published": published, "degraded": degraded, "training": training}


def _write(out: Path, results: Mapping[str, Any], console: Console) -> None:
    (out / RESULTS).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    _long(results).to_csv(out / SCORES, index=False)
    for name, described in results["detectors"].items():
        matrix = json.dumps(_bare_matrix(described), indent=1) + "\n"
        (out / f"matrix_{name}.json").write_text(matrix, encoding="utf-8")
    with (out / TABLES).open("w", encoding="utf-8") as file:
        write_markdown(results, file)
    print_tables(results, console)
    console.print(f"tables {out / TABLES}, every score with its interval {out / SCORES}")


def _bare_matrix(described: Mapping[str, Any]) -> dict[str, Any]:
    """What `analyse generators` reads."""
    matrix = described["matrix"]
    columns = list(next(iter(matrix.values())))
    accuracy = [[row[name]["accuracy"]["value"] for name in columns] for row in matrix.values()]
    return {"rows": list(matrix), "columns": columns, "accuracy": accuracy}


def _long(results: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for detector, described in results["detectors"].items():
        for fold, row in described["matrix"].items():
            for generator, cell in row.items():
                flat = pd.json_normalize(cell, sep="_").iloc[0].to_dict()
                rows.append({"detector": detector, "fold": fold, "generator": generator, **flat})
    return pd.DataFrame(rows)
