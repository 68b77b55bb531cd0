"""What the augmentation of the best configuration does to images: a sheet of pictures, mean spectra."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genimage_core.generators import Catalog
from reports.figures import STYLE, THEME, WIDTH, to_svg
from reports.pictures import Picture
from reports.views import Table
from reports.wording import generator_title, number

FOLDER, SHEET, SPECTRA = "pictures", "augmented.jpg", "spectra.json"
COLUMNS, PANEL = 4, 1.75  # of the small figures; inches
LINES = {  # of a class and a moment
    ("real", "before"): ("real, before", "muted", "-"),
    ("real", "after"): ("real, after", "muted", ":"),
    ("fake", "before"): ("fake, before", "trial", "-"),
    ("fake", "after"): ("fake, after", "baseline", (0, (4, 1.2))),
}
Curves = Mapping[tuple[str, str], tuple[float, ...]]


@dataclass(frozen=True)
class Change:
    """Mean radial spectra of the images of one generator.

    Attributes:
        generator: Its name.
        images: Images of each class.
        frequency: Of the rings, in cycles per pixel.
        power: In dB, by class and whether `before` or `after` the augmentation.
    """

    generator: str
    images: int
    frequency: tuple[float, ...]
    power: Curves

    def distance(self, moment: str) -> float:
        """Root mean square of fake less real over the rings, in dB."""
        real, fake = (np.array(self.power[name, moment]) for name in ("real", "fake"))
        return float(np.sqrt(np.mean((fake - real) ** 2)))


@dataclass(frozen=True)
class Augmentation:
    """What was kept of a trial.

    Attributes:
        trial: Its number.
        sheet: JPEG: originals, augmented images, log-spectra of the first and of the second, row by row.
        changes: By generator.
    """

    trial: int
    sheet: bytes
    changes: tuple[Change, ...]


def read_augmentation(run_dir: Path, trial: int | None) -> Augmentation | None:
    """Read what was kept of a trial; None where nothing was: it changes no image, or is of an older run.

    Raises:
        ValueError: If a file is not whole.
    """
    folder = run_dir / FOLDER / f"trial_{trial or 0:04d}"
    if trial is None or not folder.is_dir():
        return None
    path = folder / SPECTRA
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["generators"]
        changes = tuple(_change(name, found) for name, found in content.items())
        return Augmentation(trial, (folder / SHEET).read_bytes(), changes)
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read: {error}") from error


def _change(name: str, found: Mapping[str, Any]) -> Change:
    power = {(kind, moment): tuple(map(float, found[moment][kind])) for kind, moment in LINES}
    return Change(name, int(found["images"]), tuple(map(float, found["frequency"])), power)


def draw_sheet(kept: Augmentation | None) -> Markup | None:
    """Write the sheet as an image that is part of the page."""
    if kept is None:
        return None
    encoded = base64.b64encode(kept.sheet).decode("ascii")
    alt = (
        f"Four rows of pictures: originals, what trial {kept.trial} makes of them in training, log-spectra "
        "of the first and of the second."
    )
    return Markup('<img class="sheet" alt="{}" src="data:image/jpeg;base64,{}">').format(alt, encoded)


def tabulate_change(kept: Augmentation, catalog: Catalog) -> Table:
    """How far fakes lie from reals before and after."""
    rows = tuple(
        (
            generator_title(change.generator, catalog),
            str(change.images),
            number(change.distance("before")),
            number(change.distance("after")),
        )
        for change in kept.changes
    )
    columns = ("Generator", "Images of each class", "Fake from real before, dB", "after, dB")
    return Table(columns, rows, frozenset({1, 2, 3}))


def draw_spectra(kept: Augmentation | None, catalog: Catalog) -> Picture | None:
    """Mean radial spectra by generator, before and after."""
    if kept is None or not kept.changes:
        return None
    return Picture(
        title="Mean spectra before and after",
        svg=Markup(_draw(kept.changes, catalog, "spectra")),
        alt=f"Mean radial log-power of real and fake images of {len(kept.changes)} generators, before and "
        f"after the augmentation of trial {kept.trial}.",
        caption="Luma of validation images, under a Hann window. Where the lines of reals and fakes draw "
        "together, the augmentation takes away what gives fakes away there; detectors are tested without it. "
        "The table has the root mean square distance of fakes from reals over all frequencies.",
        table=tabulate_change(kept, catalog),
    )


def _draw(changes: Sequence[Change], catalog: Catalog, prefix: str) -> str:
    columns = min(COLUMNS, len(changes))
    rows = -(-len(changes) // columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, PANEL * rows + 0.8), layout="constrained")
        cells = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for cell, change in zip(cells, changes, strict=False):
            _draw_curves(cell, change, generator_title(change.generator, catalog))
        for cell in cells[len(changes) :]:
            cell.set_visible(False)
        figure.supxlabel("cycles per pixel", fontsize=9)
        figure.supylabel("power in dB", fontsize=9)
        handles, labels = cells[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
        return to_svg(figure, prefix, smallest=0.6)


def _draw_curves(cell: Axes, change: Change, title: str) -> None:
    for (kind, moment), (label, colour, style) in LINES.items():
        power = change.power[kind, moment]
        cell.plot(change.frequency, power, color=THEME[colour], ls=style, lw=1.5, label=label)
    cell.set_title(title, fontsize=9)
    cell.set(xlim=(0, 0.5), xticks=(0.1, 0.3))
    cell.tick_params(labelsize=8)
    cell.grid(lw=0.6)
