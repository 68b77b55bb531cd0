"""What a search leaves behind for its user: the winner's space file and its detectors."""

import json
import shutil
from pathlib import Path

from search.checkpoints import folder_of, trial_name
from search.finalists import FOLDER, read_summary
from search.records import Records, TrialRecord
from search.space import Space, dump_space

HEADER = """\
# The best configuration of a search, fixed: trial 0 is the baseline again, trial 1 the winner.
# Run it: python search/run.py --space {path}
"""


def keep_winner(space: Space, records: Records) -> tuple[str, ...]:
    """Write `best.yaml` and `best/`, and drop the checkpoints of all other trials that have ended.

    Returns:
        Folds of the best trial of which no detector was saved before the search was cut off.
    """
    best, run_dir = records.best, records.run_dir
    if best is None:
        drop_useless(records, but=None)
        return ()
    path = run_dir / "best.yaml"
    path.write_text(HEADER.format(path=path.name) + dump_space(fix(space, best)), encoding="utf-8")
    _keep_detectors(best, run_dir)
    drop_useless(records, but=None)
    return tuple(fold for fold in best.epochs[-1]["losses"] if not _weights(run_dir, fold).exists())


def _keep_detectors(best: TrialRecord, run_dir: Path) -> None:
    """Copy the detectors into `best/`, unless an earlier end of the same search has put them there."""
    target, source = run_dir / "best", folder_of(run_dir, best.number) / f"epoch_{best.reached}"
    said = target / "trial.json"
    trial = {"trial": best.number, "epoch": best.reached}
    if said.exists() and trial.items() <= json.loads(said.read_text(encoding="utf-8")).items():
        return
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in sorted(source.glob("*.safetensors")):
        shutil.copy(path, target / path.name)
    said.write_text(json.dumps(trial) + "\n", encoding="utf-8")


def keep_finalist(run_dir: Path) -> None:
    """Put the detectors that were trained anew in the place of the search's: theirs are the final scores."""
    summary, source = read_summary(run_dir), run_dir / FOLDER / "best"
    if summary is None or not source.exists():
        return
    winner, target = summary["configurations"][1], run_dir / "best"
    target.mkdir(exist_ok=True)
    for path in source.glob("*.safetensors"):
        shutil.copy(path, target / path.name)
    trial = {"trial": winner["trial"], "epoch": summary["epochs"], "finalist": winner["name"]}
    (target / "trial.json").write_text(json.dumps(trial) + "\n", encoding="utf-8")


def _weights(run_dir: Path, fold: str) -> Path:
    return run_dir / "best" / f"{fold}.safetensors"


def drop_useless(records: Records, but: TrialRecord | None) -> None:
    """Drop the checkpoints of all trials that have ended, but one; those of what may go on stay."""
    kept = {
        trial_name(record.number)
        for record in records.in_order()
        if record is but or record.state in ("running", "interrupted")
    }
    for folder in (records.run_dir / "checkpoints").glob("*"):
        if folder.name not in kept:
            shutil.rmtree(folder)
    if not kept:
        shutil.rmtree(records.run_dir / "checkpoints", ignore_errors=True)


def fix(space: Space, best: TrialRecord) -> Space:
    """Return the space with every parameter fixed at the value of the best trial.

    The baseline runs again as trial 0; a baseline that won is the only trial.
    """
    baseline = best.role == "baseline"
    settled = {} if baseline else {**space.fixed, **best.config}
    search = space.search.model_copy(update={"trials": 1 if baseline else 2, "scheduler": "none"})
    finalists = space.finalists.model_copy(update={"top": 0})  # the seal is not opened again by the way
    fixed = {"name": f"{space.name}-best", "space": settled, "search": search, "finalists": finalists}
    return space.model_copy(update=fixed)
