"""Going on with a run that was cut off or is to have more trials."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from search.checkpoints import folder_of, newest_whole
from search.records import LINES, Records
from search.space import Space, load_space
from search.study import restore_study

SPACE, ENVIRONMENT, FINALISTS = "space.yaml", "environment.json", "finalists.json"
TIMING = "timing.json"
MAY_CHANGE = (
    "search.trials",
    "resources.",
    "data.root",
    "data.max_bad_share",
)  # none of these changes what a trial gives


def read_resumed(
    run_dir: Path, wanted: Path | None, overrides: Mapping[str, Mapping[str, Any]]
) -> tuple[Space, tuple[str, ...]]:
    """Read the space of a run that is to go on.

    Args:
        run_dir: Of the run.
        wanted: Space file that it should agree with, if the user names one.
        overrides: Values of the command line by section and key; None is skipped.

    Returns:
        The space, and in words what differs from before.

    Raises:
        ValueError: If there is no such run, or the space would be another one.
    """
    path = run_dir / SPACE
    if not path.is_file() or not (run_dir / ENVIRONMENT).is_file():
        raise ValueError(f"{run_dir} holds no run that could go on: it lacks {SPACE} or {ENVIRONMENT}")
    before, space = load_space(path), load_space(wanted or path, overrides)
    changed = _differences(before.model_dump(mode="json"), space.model_dump(mode="json"))
    if "search.trials" in changed and (run_dir / FINALISTS).exists():
        raise ValueError(
            f"{run_dir} has chosen its finalists, so its search is over ({changed['search.trials']}). For "
            f"more trials begin a new run that takes over its best configurations: --warm-start {run_dir}"
        )
    refused = [line for key, line in changed.items() if not key.startswith(MAY_CHANGE)]
    if refused:
        raise ValueError(
            f"{run_dir} searches another space: {'; '.join(refused)}. Leave --space out to go on with the "
            f"old one, or begin a new run that takes over its best configurations: --warm-start {run_dir}"
        )
    return space, tuple(changed.values())


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """Say by key what two nested mappings do not share."""
    found: dict[str, str] = {}
    for key in dict.fromkeys((*before, *now)):
        old, new, name = before.get(key), now.get(key), f"{above}{key}"
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= _differences(old, new, f"{name}.")
        elif old != new:
            found[name] = f"{name}: {json.dumps(old)} then, {json.dumps(new)} now"
    return found


@contextmanager
def sole_writer(run_dir: Path) -> Iterator[None]:
    """Keep every other search out of a run directory.

    Raises:
        ValueError: If another one is at work there.
    """
    lock = FileLock(run_dir / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(f"another search is at work in {run_dir}; wait for its end, or end it") from None
    try:
        yield
    finally:
        lock.release()


def reopen(records: Records, study: Path, name: str) -> None:
    """Bring a run back to where it can go on: every trial that was cut off, at its last whole checkpoint.

    What a trial reported after that is forgotten and done again, so that the scheduler decides again too.
    """
    for record in records.in_order():
        if record.state in ("running", "interrupted"):
            epoch = newest_whole(folder_of(records.run_dir, record.number), record.reached)
            ended = epoch == records.epochs or records.is_stopped(record.number, record.reached)
            if ended:  # only the word that it had was missing
                records.finish(record.number)
            else:
                records.resume(record.number, epoch)
    _complete_lines(records)
    if study.exists():
        restore_study(study, name, records)


def drop_ray_state(run_dir: Path) -> None:
    """Drop what Ray has left behind, of which nothing is ever read."""
    for name in ("tune", "workers"):
        shutil.rmtree(run_dir / name, ignore_errors=True)


def _complete_lines(records: Records) -> None:
    """Write the line of every trial that had ended, but died before it was written."""
    path = records.run_dir / LINES
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    written = {line["number"]: line["state"] for line in map(json.loads, lines)}
    for record in records.in_order():
        if record.state == "running":
            continue
        if record.state != written.get(record.number):
            records.write_line(record.number)
        record.forget_matrices()


def require_same(run_dir: Path, description: Mapping[str, Any]) -> tuple[str, ...]:
    """Refuse to go on with other images, folds or base weights; note this session in `environment.json`.

    Returns:
        What else is not as before, in words: versions, commit.

    Raises:
        ValueError: Naming what differs.
    """
    path = run_dir / ENVIRONMENT
    before = json.loads(path.read_text(encoding="utf-8"))
    for key in ("protocol", "base", "detector", "objective", "epochs"):
        if before[key] != json.loads(json.dumps(description[key])):
            raise ValueError(f"{run_dir} was begun with another {key}: {before[key]}, now {description[key]}")
    if before["data"]["fingerprint"] != description["data"]["fingerprint"]:
        raise ValueError(
            f"{run_dir} was begun with other images than those under {description['data']['root']}"
        )
    session = {key: description[key] for key in ("started", "command", "commit", "versions", "hardware")}
    before["trials"] = description["trials"]
    before.setdefault("resumed", []).append(session)
    write_json(path, before)
    keys = ("versions", "commit")
    return tuple(_differences({k: before[k] for k in keys}, {k: session[k] for k in keys}).values())


def write_json(path: Path, content: object) -> None:
    """Write a JSON file at once or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
