"""Beginning a search where another has ended: what it takes over, and what no longer tests it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from search.image_scores import IMAGES, SCORES
from search.records import Records
from search.resume import ENVIRONMENT, FINALISTS, SPACE, write_json
from search.sections import Choices, Parameter, Value
from search.space import Space, is_mini, load_space

WARM_SHARE = 4  # one in so many trials is taken over from the run before
VALIDATED = "validated_before.json"
Configuration = dict[str, Value]


@dataclass(frozen=True)
class TakenOver:
    """What a search has from another; nothing where it begins on its own.

    Attributes:
        first: Configurations to try right after the baseline.
        opened: Generators that the other, or one that it had learnt from, knew: those that it searched with,
            and sealed ones that it has opened.
        validated: Images that these chose by, relative to the data root.
    """

    first: tuple[Configuration, ...] = ()
    opened: tuple[str, ...] = ()
    validated: frozenset[str] = frozenset()


def take_over(run_dir: Path, space: Space) -> TakenOver:
    """Take over from another run what a new search may have of it.

    Raises:
        ValueError: If there is no run, it completed no configuration that this space allows, or it chose by
            images of the embedded set among which this one's test images would be.
    """
    if not (run_dir / SPACE).is_file():
        raise ValueError(f"--warm-start: {run_dir} holds no run: it lacks {SPACE}")
    before = load_space(run_dir / SPACE)
    seeds = before.search.seed, space.search.seed
    if is_mini(space.data.root) and is_mini(before.data.root) and len(set(seeds)) > 1:
        raise ValueError(
            f"--warm-start: {run_dir} chose by images that seed {seeds[0]} had drawn; with seed {seeds[1]} "
            f"the embedded set has none left to test on. Take --seed {seeds[0]}"
        )
    return TakenOver(tuple(_best_allowed(run_dir, before, space)), *_known(run_dir, before))


def _best_allowed(run_dir: Path, before: Space, space: Space) -> list[Configuration]:
    """Choose what to try first: the best configurations of another run that this space allows.

    They are run again: values of another space, or of other images, cannot be compared.
    """
    records = Records(run_dir, before.search.objective, before.training.epochs)
    done = [r for r in records.in_order() if r.state == "completed" and r.role == "searched"]
    done.sort(key=lambda record: -record.value(records.objective))
    allowed = [record.config for record in done if _allows(space, record.config)]
    if not allowed:
        raise ValueError(
            f"--warm-start: of {len(done)} completed configurations in {run_dir} this space allows none"
        )
    unique = {json.dumps(config, sort_keys=True): config for config in allowed}
    return list(unique.values())[: max(1, space.search.trials // WARM_SHARE)]


def _known(run_dir: Path, before: Space) -> tuple[tuple[str, ...], frozenset[str]]:
    """Generators that a run and those before it knew, and images that they chose by."""
    earlier = read_taken_over(run_dir)
    path = run_dir / FINALISTS
    summary = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    opened = (summary.get("seal") or {}).get("generators", [])
    searched = before.catalog.expand(before.protocol.search)
    listed = run_dir / SCORES / IMAGES
    if not listed.is_file():
        raise ValueError(f"--warm-start: {listed} is missing: which images the run chose by is not known")
    images = pd.read_parquet(listed, columns=["part", "path"])
    chosen = images.loc[images["part"] == "val", "path"]
    return tuple(dict.fromkeys([*earlier.opened, *opened, *searched])), earlier.validated | frozenset(chosen)


def read_taken_over(run_dir: Path) -> TakenOver:
    """Return what a run has taken over from another."""
    path = run_dir / ENVIRONMENT
    environment = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    taken, listed = environment.get("warm_start", {}), run_dir / VALIDATED
    validated = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else []
    return TakenOver(tuple(taken.get("first", ())), tuple(taken.get("opened", ())), frozenset(validated))


def keep_taken_over(taken: TakenOver, run_dir: Path) -> dict[str, dict[str, Sequence[object]]]:
    """Keep in a run directory what `read_taken_over` returns; what is to be added to `environment.json`."""
    if not taken.first:
        return {}
    write_json(run_dir / VALIDATED, sorted(taken.validated))
    return {"warm_start": {"first": list(taken.first), "opened": list(taken.opened)}}


def _allows(space: Space, config: Configuration) -> bool:
    """Whether a trial of the space could have these values, and no others are left to draw."""
    wanted = {
        name
        for name, parameter in space.parameters.items()
        if all(config.get(other) in values for other, values in (parameter.when or {}).items())
    }
    return set(config) == wanted and all(_within(space.parameters[name], config[name]) for name in wanted)


def _within(parameter: Parameter, value: Value) -> bool:
    if isinstance(parameter, Choices):
        return value in parameter.choices
    if isinstance(value, bool | str) or not parameter.low <= value <= parameter.high:
        return False
    steps = (value - parameter.low) / parameter.step if parameter.step else 0.0
    return abs(steps - round(steps)) < 1e-9 and (parameter.type == "float" or float(value).is_integer())
