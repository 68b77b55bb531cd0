"""What a search leaves behind for its user: the winner's space file and its detectors."""

import shutil
from pathlib import Path

from search.records import Records, TrialRecord
from search.space import Space, dump_space
from search.trial import trial_name

HEADER = """\
# The best configuration of a search, fixed: trial 0 is the baseline again, trial 1 the winner.
# Run it: python search/run.py --space {path}
"""


def keep_winner(space: Space, records: Records, run_dir: Path) -> tuple[str, ...]:
    """Write `best.yaml` and `best/`, and drop the checkpoints of all other trials.

    Returns:
        Folds of the best trial of which no detector was saved before the search was cut off.
    """
    best, missing = records.best, ()
    if best is not None:
        path = run_dir / "best.yaml"
        path.write_text(HEADER.format(path=path.name) + dump_space(fix(space, best)), encoding="utf-8")
        weights = run_dir / "checkpoints" / trial_name(best.number) / f"epoch_{best.epochs[-1]['epoch']}"
        target = run_dir / "best"
        target.mkdir(exist_ok=True)
        for path in sorted(weights.glob("*.safetensors")):
            shutil.move(path, target / path.name)
        folds = best.epochs[-1]["losses"]
        missing = tuple(fold for fold in folds if not (target / f"{fold}.safetensors").exists())
    shutil.rmtree(run_dir / "checkpoints", ignore_errors=True)
    return missing


def fix(space: Space, best: TrialRecord) -> Space:
    """Return the space with every parameter fixed at the value of the best trial.

    The baseline runs again as trial 0; a baseline that won is the only trial.
    """
    baseline = best.role == "baseline"
    settled = {} if baseline else {**space.fixed, **best.config}
    search = space.search.model_copy(update={"trials": 1 if baseline else 2, "scheduler": "none"})
    return space.model_copy(update={"name": f"{space.name}-best", "space": settled, "search": search})
