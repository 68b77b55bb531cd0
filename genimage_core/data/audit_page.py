"""Puts an audit on a page: one HTML file with its pictures, offline, no script."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from genimage_core.data.audit import Audit
from genimage_core.data.audit_checks import ALIGNMENTS, FEWEST, VISIBLE, Check
from genimage_core.data.audit_facts import QUANTILES, ClassFacts, GeneratorAudit, parts
from genimage_core.data.audit_figures import QUANTITIES, Quantity, bars, histograms, short, sizes
from genimage_core.data.audit_wording import listed, percent

TEMPLATES = Environment(
    loader=PackageLoader("genimage_core.data", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
CLASSES = ("nature", "ai")
UNKNOWN_QUALITY = (
    "Files that are no JPEG, or whose tables are no standard ones, have none; to the tree that is a value "
    "like any other."
)


@dataclass(frozen=True)
class Picture:
    """A figure, the words that stand in for it and what the reader should know."""

    title: str
    svg: Markup
    alt: str
    caption: str


def write_page(audit: Audit, table: pd.DataFrame, folder: Path) -> Path:
    """Write `index.html` into `folder`, which is made if it is missing.

    Args:
        audit: The verdict and its numbers.
        table: The index that it was made from; the distributions are drawn from it.
        folder: Where the page goes.

    Returns:
        The path of the page.

    Raises:
        ValueError: If the table's generators are not the audit's.
    """
    if set(parts(table)) != {g.name for g in audit.generators}:
        raise ValueError("the index holds other generators than the audit: make the audit from this index")
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "index.html"
    page.write_text(html(audit, table), encoding="utf-8", newline="\n")
    return page


def html(audit: Audit, table: pd.DataFrame) -> str:
    """Return the page; it loads nothing and runs nothing. The arguments are those of `write_page`."""
    measured = [g for g in audit.generators if g.checks]
    return TEMPLATES.get_template("audit.html.j2").render(
        audit=audit,
        title=_title(audit),
        accuracies=[*_accuracies(measured, audit.alignment)],
        distributions=[*_distributions(audit, table)],
        remaining=[_remaining(g) for g in measured],
        alignments=ALIGNMENTS,
        classes=[(g.name, name, facts) for g in audit.generators for name, facts in _classes(g)],
        bad=[*_bad_files(audit)],
        ranges=_ranges,
        formats=_formats,
        fewest=FEWEST,
    )


def _title(audit: Audit) -> str:
    after = "" if audit.alignment == "none" else f" after {audit.alignment}"
    titles = {
        "clean": f"No shortcut is left{after}" if after else "No shortcut found",
        "shortcut": f"A shortcut tells real from fake{after}",
        "too few": "Too few files to tell",
    }
    return titles[audit.level]


def _classes(generator: GeneratorAudit) -> tuple[tuple[str, ClassFacts], ...]:
    return tuple(zip(CLASSES, (generator.nature, generator.ai), strict=True))


def _accuracies(measured: Sequence[GeneratorAudit], alignment: str) -> Iterator[Picture]:
    if not measured:
        return
    for chosen in dict.fromkeys(("none", alignment)):
        groups = [(g.name, g.after(chosen)) for g in measured]
        where = "Files as they lie" if chosen == "none" else f"After format_alignment: {chosen}"
        seen = "each kind of fact" if chosen == "none" else listed(VISIBLE)
        yield Picture(
            f"{where}: how well facts tell real from fake",
            Markup(bars(groups, f"bars-{chosen}")),
            f"Accuracy per generator. {'; '.join(_spoken(name, checks) for name, checks in groups)}.",
            f"Cross-validated balanced accuracy of a decision tree that sees only {seen}. Thin lines: "
            "intervals that hold jointly with 95 % for all checks of this audit.",
        )


def _spoken(name: str, checks: Sequence[Check]) -> str:
    return f"{name}: {', '.join(f'{c.features} {percent(c)}' for c in checks)}"


def _distributions(audit: Audit, table: pd.DataFrame) -> Iterator[Picture]:
    readable = table[table["error"].isna()]
    part = parts(table)[readable.index]
    for quantity in QUANTITIES:
        values = [(g.name, _values(readable[part == g.name], quantity)) for g in audit.generators]
        if any(len(v) for _, classes in values for v in classes):
            yield Picture(
                f"Distribution of {quantity.name}",
                Markup(histograms(quantity, values)),
                f"Histograms of {quantity.name} per generator. "
                + "; ".join(f"{name}: {_medians(classes)}" for name, classes in values)
                + ".",
                _shape(quantity),
            )


def _values(rows: pd.DataFrame, quantity: Quantity) -> list[NDArray[np.float64]]:
    column = sizes(rows) if quantity.name == "size" else rows[quantity.name].astype("Float64")
    return [np.asarray(column[rows["label"] == label].dropna(), dtype=np.float64) for label in (0, 1)]


def _medians(classes: Sequence[NDArray[np.float64]]) -> str:
    words = [f"median {short(float(np.median(v)))}" if len(v) else "no value" for v in classes]
    return ", ".join(f"{name} {word}" for name, word in zip(CLASSES, words, strict=True))


def _shape(quantity: Quantity) -> str:
    common = "Readable files; every class is scaled to the same height."
    return f"{common} {UNKNOWN_QUALITY}" if quantity.name == "quality" else common


def _remaining(generator: GeneratorAudit) -> tuple[str, list[list[Check]]]:
    cells = [[c for c in generator.after(a) if c.features in VISIBLE] for a in ALIGNMENTS]
    return generator.name, cells


def _bad_files(audit: Audit) -> Iterator[tuple[str, str, str, str]]:
    for generator in audit.generators:
        for name, facts in _classes(generator):
            for reason, count in facts.bad.items():
                share = f"{100 * count / facts.files:.2f} %"
                yield generator.name, name, reason, f"{count:,} ({share})"


def _ranges(facts: ClassFacts, quantity: str) -> str:
    """Write median, 5 % and 95 % quantile."""
    if quantity not in facts.quantiles:
        return "–"
    at = dict(zip(QUANTILES, facts.quantiles[quantity], strict=True))
    return f"{short(at[0.5])} ({short(at[0.05])} to {short(at[0.95])})"


def _formats(facts: ClassFacts) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in facts.formats.items()) or "–"
