"""`python -m genimage_core {data,augment} …`: the commands that need no Ray."""

import argparse
import json
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from genimage_core.cache import cache_folder
from genimage_core.data.mini import MiniSettings, ensure_mini
from genimage_core.policy import FrequencyPolicy


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    arguments = _parse(argv)
    console = Console(highlight=False, soft_wrap=True)
    try:
        if arguments.command == "augment":
            _draw_contact_sheet(arguments, console)
        elif arguments.action == "mini":
            _make_mini(console)
        else:
            _measure_mini(arguments, console)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m genimage_core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_augment(commands.add_parser("augment", help="show what a space file does to an image"))
    data = commands.add_parser("data", help="the embedded, simulated data set")
    actions = data.add_subparsers(dest="action", required=True)
    actions.add_parser("mini", help="make it if it is not there, and print where it is")
    measure = actions.add_parser(
        "measure-mini", help="measure its cross-generator matrix and shortcut check (a quarter of an hour)"
    )
    measure.add_argument("--seeds", type=int, default=3, metavar="N", help="detectors per generator (3)")
    measure.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON file to write")
    return parser.parse_args(argv)


def _add_augment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="IMAGE", help="any image file; its centre is shown")
    parser.add_argument("--space", type=Path, required=True, metavar="FILE", help="space file (YAML)")
    parser.add_argument("--partner", type=Path, metavar="IMAGE", help="image whose amplitudes are mixed in")
    parser.add_argument("--size", type=int, default=224, metavar="N", help="side in pixels (224)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the random fields (0)")
    parser.add_argument(
        "--out", type=Path, default=Path("augment.png"), metavar="FILE", help="picture (augment.png)"
    )


def _draw_contact_sheet(arguments: argparse.Namespace, console: Console) -> None:
    from genimage_core.contact_sheet import draw_contact_sheet

    space, options = _read_space(arguments.space), {"partner": arguments.partner, "seed": arguments.seed}
    figure = draw_contact_sheet(arguments.image, space, size=arguments.size, **options)
    figure.savefig(arguments.out, dpi=110)
    console.print(str(arguments.out))


def _read_space(path: Path) -> dict[str, Any]:
    # The one place where the core reads YAML: `search`, which validates space files, stands above it.
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        space = content["space"]
        known = {field.name for field in fields(FrequencyPolicy)}
        return {name: entry for name, entry in space.items() if name in known}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"cannot read a space from {path}: {' '.join(str(error).split())}") from error


def _make_mini(console: Console) -> None:
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("making the embedded data set", total=None)
        root = ensure_mini(
            cache_folder(), MiniSettings(), lambda done, total: bar.update(task, completed=done, total=total)
        )
    console.print(str(root))


def _measure_mini(arguments: argparse.Namespace, console: Console) -> None:
    import torch

    from genimage_core.measure_mini import measure

    if arguments.seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {arguments.seeds}")
    torch.set_num_threads(1)  # sums in one order: the same numbers again
    command = f"python -m genimage_core data measure-mini --seeds {arguments.seeds} --out {arguments.out}"
    record = measure(cache_folder(), range(arguments.seeds), command, console.print)
    arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
