"""Puts runs side by side on a page: one self-contained HTML file, Markdown and JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from genimage_core.resampling import RESAMPLES
from reports import comparison_figure, comparison_views
from reports.comparability import Comparability, compare_conditions
from reports.compared_runs import ComparedRun, read_compared
from reports.comparison_summary import GeneratorRow, Summary, by_generator, summarise
from reports.paired_runs import Pairing, pair_winners
from reports.pictures import Picture
from reports.render import TEMPLATES
from reports.wording import count

SCHEMA = 1
KIND = "comparison of runs"  # tells a folder that may be written again
DATA = "comparison.json"


@dataclass(frozen=True)
class SideBySide:
    """Everything that the page says, as data.

    Attributes:
        runs: What a reader asks first, run by run.
        conditions: Whether their values can be compared, and the settings that differ.
        generators: Winner and baseline of each run by generator.
        winners: Winner against winner, where it follows from paired scores.
        notes: What weakens all that.
    """

    runs: tuple[Summary, ...]
    conditions: Comparability
    generators: tuple[GeneratorRow, ...]
    winners: Pairing
    notes: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Letters of the runs."""
        return tuple(run.label for run in self.runs)


def write_comparison(folders: Sequence[Path], out: Path, resamples: int = RESAMPLES) -> Path:
    """Write `index.html`, `comparison.md` and `comparison.json` about several runs, finished or not.

    Args:
        folders: Run directories, see `read_compared`.
        out: Folder to write to: a new or empty one, or one that holds an earlier comparison.
        resamples: Of every bootstrap.

    Returns:
        The path of the page.

    Raises:
        ValueError: If `out` holds something else, or a run cannot be compared; the message names it.
    """
    check_out(out)
    runs = read_compared(folders, resamples)
    found = set_side_by_side(runs, resamples)
    out.mkdir(parents=True, exist_ok=True)
    written = {"index.html": _html(found), "comparison.md": _markdown(found), DATA: _data(found)}
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8", newline="\n")
    return out / "index.html"


def check_out(out: Path) -> None:
    """Refuse to write over anything but an earlier comparison.

    Raises:
        ValueError: If there is something else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not out.is_dir():
        raise ValueError(f"{out} is a file; name a folder for the comparison with --out")
    try:
        earlier = json.loads((out / DATA).read_text("utf-8"))["kind"] == KIND
    except (OSError, ValueError, KeyError, TypeError):
        earlier = False
    if not earlier:
        raise ValueError(f"{out} holds something else than a comparison; name another folder with --out")


def set_side_by_side(runs: Sequence[ComparedRun], resamples: int = RESAMPLES) -> SideBySide:
    """Compare runs that have been read."""
    conditions = compare_conditions(runs)
    return SideBySide(
        runs=tuple(map(summarise, runs)),
        conditions=conditions,
        generators=by_generator(runs),
        winners=pair_winners(runs, conditions.comparable, resamples),
        notes=tuple(_notes(runs)),
    )


def _notes(runs: Sequence[ComparedRun]) -> list[str]:
    lacking = [run.label for run in runs if run.settings is None]
    notes = [
        "Of each run this page claims what its own report claims: its winner against its own baseline.",
        "A value of the search is the highest of as many noisy scores as trials completed, one seed each: of "
        "more trials it is more optimistic.",
        "Device hours are those of training and evaluation of what has ended, summed over devices of any "
        "kind; waiting and start-up are left out.",
    ]
    if lacking:
        notes.append(f"Settings are not compared of {', '.join(lacking)}: there is no space.yaml.")
    return notes + _known_before(runs)


def _known_before(runs: Sequence[ComparedRun]) -> list[str]:
    """Say which runs began when the seal of another was open: their planning may rest on what it showed."""
    return [
        f"{later.label} began after {run.label} had opened its seal: if it was planned by what {run.label} "
        "showed of sealed generators, they were not unseen any more."
        for run in runs
        for later in runs
        if _opened_before(run, later)
    ]


def _opened_before(run: ComparedRun, later: ComparedRun) -> bool:
    """Tell whether a run began when a generator that it seals had been opened by the other."""
    opened = (run.finished.finalists.seal or {}).get("opened") if run.finished else None
    began = later.report.environment.get("started")
    shared = set(run.report.sealed) & set(later.report.sealed)
    return bool(shared) and isinstance(opened, str) and isinstance(began, str) and began > opened


def _data(found: SideBySide) -> str:
    content = {"kind": KIND, "schema": SCHEMA, **asdict(found)}
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _html(found: SideBySide) -> str:
    style = Markup(TEMPLATES.get_template("style.css").render())
    page = TEMPLATES.get_template("comparison.html.j2")
    return page.render(**_content(found), picture=_picture(found), style=style)


def _markdown(found: SideBySide) -> str:
    return TEMPLATES.get_template("comparison.md.j2").render(**_content(found))


def _content(found: SideBySide) -> Mapping[str, Any]:
    simulated = [run.label for run in found.runs if run.simulated]
    return {
        "found": found,
        "simulated": ", ".join(simulated),
        "facts": comparison_views.facts_table(found.runs),
        "configurations": comparison_views.configuration_table(found.runs),
        "differences": comparison_views.differences_table(found.conditions, found.labels),
        "settings": comparison_views.settings_table(found.conditions, found.labels),
        "generators": comparison_views.generators_table(found.generators, found.labels),
    }


def _picture(found: SideBySide) -> Picture | None:
    if not found.generators:
        return None
    said = "; ".join(comparison_views.row_in_words(row, found.labels) for row in found.generators)
    return Picture(
        title="Winners by generator",
        svg=Markup(comparison_figure.winners(found.generators, found.labels, "winners")),
        alt=f"Accuracy of the winners of {count(len(found.runs), 'run')} by generator. {said}.",
        caption="Filled, with 95 % intervals over seeds and images: trained anew, on images that no trial "
        "saw. Hollow: of the search itself, one seed, optimistic. Dashed: chance.",
        table=comparison_views.generators_table(found.generators, found.labels),
    )
