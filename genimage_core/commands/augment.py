"""`python -m genimage_core augment IMAGE --space FILE`: a contact sheet of what a space does to an image."""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console

from genimage_core.policy import FrequencyPolicy
from genimage_core.yaml_files import read_yaml


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.set_defaults(run=run)
    parser.add_argument("image", type=Path, metavar="IMAGE", help="any image file; its centre is shown")
    parser.add_argument("--space", type=Path, required=True, metavar="FILE", help="space file (YAML)")
    parser.add_argument("--partner", type=Path, metavar="IMAGE", help="image whose amplitudes are mixed in")
    parser.add_argument("--size", type=int, default=224, metavar="N", help="side in pixels (224)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random fields (0)")
    parser.add_argument(
        "--out", type=Path, default=Path("augment.png"), metavar="FILE", help="picture (augment.png)"
    )


def run(arguments: argparse.Namespace, console: Console) -> None:
    """Draw the sheet and print where it is."""
    from genimage_core.contact_sheet import draw_contact_sheet

    space, options = _policy_fields(arguments.space), {"partner": arguments.partner, "seed": arguments.seed}
    figure = draw_contact_sheet(arguments.image, space, size=arguments.size, **options)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.out, dpi=110)
    console.print(str(arguments.out))


def _policy_fields(path: Path) -> dict[str, Any]:
    space = read_yaml(path).get("space")
    if not isinstance(space, dict):
        raise ValueError(f"{path} has no section space: that holds keys and values")
    known = {field.name for field in fields(FrequencyPolicy)}
    return {name: entry for name, entry in space.items() if name in known}
