"""Reads runs that are to stand side by side, each with what its own report says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from genimage_core.generators import Catalog
from genimage_core.resampling import RESAMPLES
from reports.evidence import Evidence, read_evidence
from reports.finalist_files import Finalists, read_finalists
from reports.finished_run import FinishedRun, read_finished
from reports.records import Trial, read_run, read_trials
from reports.tables import Report, build

MOST = 6  # colours and markers that can be told apart in one figure


@dataclass(frozen=True)
class ComparedRun:
    """A run among others.

    Attributes:
        label: The letter that it goes by on the page.
        folder: Its directory as the user named it.
        report: The tables of its own report.
        evidence: What its finalists show; None while they have not been tested.
        finished: Files behind the evidence.
        catalog: What its generators are called.
        settings: Resolved space file; None if the directory has none.
        status: How far it has come, in words.
        search_s: Seconds of training and evaluation of all trials that have ended, all devices together.
        finalists_s: The same of the finalists; None if there are none.
    """

    label: str
    folder: str
    report: Report
    evidence: Evidence | None
    finished: FinishedRun | None
    catalog: Catalog
    settings: Mapping[str, Any] | None
    status: str
    search_s: float
    finalists_s: float | None


def read_compared(folders: Sequence[Path], resamples: int = RESAMPLES) -> tuple[ComparedRun, ...]:
    """Read runs, finished or not, in the order in which they are named.

    Args:
        folders: Run directories, two to `MOST`.
        resamples: Of the bootstrap behind each run's own claims.

    Raises:
        ValueError: If there are too few or too many, one is no run directory or named twice, or a record
            cannot be understood; the message names it.
    """
    check_folders(folders)
    return tuple(
        _read(letter, folder, resamples) for letter, folder in zip(ascii_uppercase, folders, strict=False)
    )


def check_folders(folders: Sequence[Path]) -> None:
    """Refuse what cannot be compared; reads no records.

    Raises:
        ValueError: As `read_compared`, but for the records.
    """
    if not 2 <= len(folders) <= MOST:
        raise ValueError(f"two to {MOST} runs can be compared on a page, got {len(folders)}")
    known: dict[Path, Path] = {}
    for folder in folders:
        check_folder(folder)
        first = known.setdefault(folder.resolve(), folder)
        if first is not folder:
            raise ValueError(f"{first} and {folder} are the same run; name each run once")


def check_folder(folder: Path) -> None:
    """Refuse what is no run directory.

    Raises:
        ValueError: Says why it is none.
    """
    if not (folder / "environment.json").is_file():
        why = "it has no environment.json" if folder.is_dir() else "there is no such directory"
        raise ValueError(f"{folder} is not a run directory: {why}")


def _read(label: str, folder: Path, resamples: int) -> ComparedRun:
    records, finalists = read_run(folder), read_finalists(folder)
    evidence, trained = read_evidence(folder, records, resamples), folder / "finalists" / "trials.jsonl"
    report = build(records, tested_anew=evidence is not None)
    return ComparedRun(
        label=label,
        folder=str(folder),
        report=report,
        evidence=evidence,
        finished=read_finished(folder, records),
        catalog=records.environment.catalog,
        settings=_read_settings(folder / "space.yaml"),
        status=_status(report, finalists, evidence is not None),
        search_s=_device_seconds(records.trials),
        finalists_s=_device_seconds(read_trials(trained)) if trained.is_file() else None,
    )


def _read_settings(path: Path) -> Mapping[str, Any] | None:
    from genimage_core.yaml_files import read_yaml  # not at the top: the report of one run needs no YAML

    return read_yaml(path) if path.is_file() else None


def _status(report: Report, finalists: Finalists | None, tested: bool) -> str:
    if tested:
        return "ended, finalists tested"
    if finalists is not None:
        done = sum(training.state == "completed" for training in finalists.runs)
        planned = len(finalists.configurations) * len(finalists.seeds)
        return f"search ended, finalists not tested ({done} of {planned} trainings completed)"
    return "search ended, no finalists" if report.finished else "still going on, or cut off"


def _device_seconds(trials: Sequence[Trial]) -> float:
    """Training and evaluation alone: waiting and start-up depend on the machine."""
    spent = [epoch.seconds.get(key) for t in trials for epoch in t.epochs for key in ("train_s", "eval_s")]
    return sum(seconds for seconds in spent if seconds is not None)
