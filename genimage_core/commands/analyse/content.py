"""`python -m genimage_core analyse content CHECKPOINT`: accuracy of a kept detector on another domain."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console

from genimage_core.cache import cache_folder
from genimage_core.commands.analyse.shared import (
    TEST_IMAGES,
    Findings,
    add_out,
    count_tests,
    data_record,
    make_table,
    publish,
)
from genimage_core.commands.evaluate import settings_of
from genimage_core.commands.files import add_data, open_layout, progress
from genimage_core.commands.learning import add_bad_share
from genimage_core.data.batches import ImageSet, join
from genimage_core.data.layout import Layout
from genimage_core.data.mini_card import is_simulated
from genimage_core.detectors.info import CheckpointInfo, read_info
from genimage_core.settings import DataSettings, require

if TYPE_CHECKING:
    from genimage_core.analysis.content import Domain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a kept detector (.safetensors)")
    add_data(parser)
    parser.add_argument("--other", required=True, metavar="ROOT", help="data root of another domain")
    parser.add_argument("--other-layout", type=Path, metavar="FILE", help="mapping (YAML) for it")
    parser.add_argument("--other-generators", metavar="A,B", help="only these of the other domain")
    parser.add_argument(
        "--per-class",
        type=int,
        metavar="N",
        help=f"images of each class and generator (what both have, up to {TEST_IMAGES})",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of choice and intervals (0)")
    add_bad_share(parser)
    add_out(parser)


@dataclass(frozen=True)
class _Source:
    """Images of some generators of a root, decoded, and the table of their files."""

    name: str
    generators: tuple[str, ...]
    images: ImageSet
    files: pd.DataFrame


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Score the detector on both domains, print how they differ, write the folder."""
    require(arguments.seed >= 0, "--seed", arguments.seed, "at least 0")
    info = read_info(arguments.checkpoint)
    layout, other = open_layout(arguments, console), open_layout(_of_other(arguments), console)
    own = _own_generators(layout, info, arguments)
    layout.require(own, ("val",))
    other.require(other.generators, ("val",))
    roots = [(layout, own), (other, other.generators)]
    arguments.per_class = count_tests("--per-class", arguments.per_class, roots, info.real_size)
    settings = settings_of(info, arguments.per_class, arguments)
    sources = [_read("own domain", layout, own, settings, arguments.seed, console)]
    for name in other.generators:
        sources.append(_read(f"other: {name}", other, (name,), settings, arguments.seed, console))
    _require_independent(sources)
    domains = _measure(arguments, sources)
    publish("content", _describe(domains, sources, info, (layout, other), arguments), arguments, console)


def _of_other(arguments: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments of `open_layout` that tell where the other domain is."""
    return argparse.Namespace(
        data=arguments.other,
        layout=arguments.other_layout,
        generators=arguments.other_generators,
        follow_links=arguments.follow_links,
    )


def _own_generators(layout: Layout, info: CheckpointInfo, arguments: argparse.Namespace) -> tuple[str, ...]:
    """Generators that stand for the detector's own domain: those of its training, unless others are named."""
    if arguments.generators:
        return layout.generators
    own = tuple(name for name in layout.generators if name in info.generators)
    if not own:
        raise ValueError(
            f"data root {layout.root} has none of the generators that {arguments.checkpoint} was trained on "
            f"({', '.join(info.generators)}); it has {', '.join(layout.generators)}. Name with --generators "
            "those that stand for its own domain"
        )
    return own


def _read(
    name: str,
    layout: Layout,
    generators: tuple[str, ...],
    settings: DataSettings,
    seed: int,
    console: Console,
) -> _Source:
    from genimage_core.data.images import describe_images, open_images
    from genimage_core.data.run_audit import tabulate

    recipes = [describe_images(layout, generator, "val", settings, seed) for generator in generators]
    sets = []
    for recipe in recipes:
        with progress(console, f"decoding {name}, {recipe.generator}") as report:
            sets.append(open_images(recipe, settings, cache_folder(), report))
    return _Source(name, generators, join(sets), tabulate(recipes))


def _require_independent(sources: Sequence[_Source]) -> None:
    """Refuse another domain that has files of the detector's own: intervals take the two as independent."""
    from genimage_core.analysis.domain_files import shared_files

    for source in sources[1:]:
        same = shared_files(sources[0].files, source.files)
        if same:
            raise ValueError(
                f"--other: {len(same)} files that were chosen are byte for byte in --data too, {same[0]} for "
                "one; the other domain must have images of its own"
            )


def _measure(arguments: argparse.Namespace, sources: Sequence[_Source]) -> "list[Domain]":
    import torch

    from genimage_core.analysis.content import measure_domain
    from genimage_core.analysis.domain_files import summarise_files
    from genimage_core.detectors.detector import load_detector

    detector = load_detector(arguments.checkpoint).to("cuda" if torch.cuda.is_available() else "cpu")
    return [
        measure_domain(
            detector, one.name, one.generators, one.images, summarise_files(one.files), arguments.seed
        )
        for one in sources
    ]


def _describe(
    domains: "Sequence[Domain]",
    sources: Sequence[_Source],
    info: CheckpointInfo,
    layouts: tuple[Layout, Layout],
    arguments: argparse.Namespace,
) -> Findings:
    from genimage_core.analysis import content_wording as words
    from genimage_core.analysis.accuracy_figures import panels_figure

    own, *others = domains
    both = zip(("own", "other"), layouts, strict=True)
    simulated = [name for name, layout in both if is_simulated(layout.root)]
    said = f" (SIMULATED images: {' and '.join(simulated)})" if simulated else ""
    title = f"Content: {info.detector} trained on {', '.join(info.generators)}{said}"
    settings = argparse.Namespace(image_size=info.image_size, alignment=info.format_alignment, crop=info.crop)
    data = {
        "data": data_record([sources[0].images], layouts[0], settings),
        "other": data_record([source.images for source in sources[1:]], layouts[1], settings),
    }
    return Findings(
        tables=[make_table(title, words.head(own, other), words.cells(own, other)) for other in others],
        notes=[*words.notes(own, others, info)],
        rows=words.rows(own, others),
        figure=panels_figure(
            title, {one.name: one.scores() for one in domains}, chance=("accuracy", "AUROC", "AP")
        ),
        record={"seed": arguments.seed, **data, "detector": asdict(info), **words.record(own, others)},
    )
