"""PURE: whether numbers of several runs can be compared, and in which settings the runs differ."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from genimage_core.generators import GENIMAGE, Catalog
from reports.compared_runs import ComparedRun
from reports.wording import NOTHING, metric_title, setting, span

State = Literal["same", "differs", "unknown"]
# What must agree, and what it means if it does not.
MEANINGS = {
    "data fingerprint": "other images",
    "protocol": "other generators to train on, to leave out or to seal",
    "base": "other weights to start from",
    "detector": "another network",
    "objective": "another number that is quoted",
}


@dataclass(frozen=True)
class Aspect:
    """Something that must be the same in all runs before their values can be compared.

    Attributes:
        name: A key of `MEANINGS`.
        values: Of each run, in words; of several parts those that differ.
        state: `unknown` if nothing differs as far as it is recorded, and one has not recorded it.
    """

    name: str
    values: tuple[str, ...]
    state: State


@dataclass(frozen=True)
class Setting:
    """A setting of the space files that differs; `values` in words, run by run."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Comparability:
    """Whether values can be compared: `comparable` is None where that is not known; `sentence` says why."""

    comparable: bool | None
    sentence: str
    aspects: tuple[Aspect, ...]
    settings: tuple[Setting, ...]


def compare_conditions(runs: Sequence[ComparedRun]) -> Comparability:
    """Find what runs differ in."""
    of_runs = [_conditions(run.report.environment, run.report.objective, run.catalog) for run in runs]
    aspects = tuple(_aspect(name, [conditions[name] for conditions in of_runs]) for name in MEANINGS)
    states = {aspect.state for aspect in aspects}
    return Comparability(
        comparable=False if "differs" in states else None if "unknown" in states else True,
        sentence=_sentence(aspects),
        aspects=aspects,
        settings=differing_settings([run.settings for run in runs]),
    )


def _conditions(environment: Mapping[str, Any], objective: str, catalog: Catalog) -> dict[str, Any]:
    """What a run was made under, by aspect; None where it is not recorded."""
    protocol = environment.get("protocol") or {}
    base = environment.get("base") or {}
    known = {generator.name: generator.family for generator in GENIMAGE.generators}
    own = {g.name: g.family for g in catalog.generators if known.get(g.name) != g.family}
    folds = ["+".join(map(str, fold.get("train", ()))) for fold in protocol.get("folds", ())]
    fixed = {key: protocol.get(key) for key in ("train_on", "search", "sealed")}
    weights = {key: base[key] for key in ("kind", "generators", "format_alignment") if base.get(key)}
    start = protocol.get("bases") or [protocol["base"]] if protocol.get("base") else None
    return {
        "data fingerprint": (environment.get("data") or {}).get("fingerprint"),
        "protocol": {**fixed, "folds": folds, "families": own} if folds else None,
        "base": {"base": start, **weights} if start or weights else None,
        "detector": environment.get("detector"),
        "objective": metric_title(objective),
    }


def _aspect(name: str, values: Sequence[Any]) -> Aspect:
    recorded = {_canonical(value) for value in values if value is not None}
    unknown = any(value is None for value in values)
    state: State = "differs" if len(recorded) > 1 else "unknown" if unknown else "same"
    return Aspect(name, tuple(map(_words, _differing_parts(values))), state)


def _differing_parts(values: Sequence[Any]) -> Sequence[Any]:
    """Leave out of mappings what all of them share."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or not all(isinstance(value, dict) for value in known):
        return values
    keys = [key for key in known[0] if len({_canonical(value.get(key)) for value in known}) > 1]
    return [value and {key: value.get(key) for key in keys or value} for value in values]


def _words(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {setting(entry) or 'none'}" for key, entry in value.items())
    return setting(value)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _sentence(aspects: Sequence[Aspect]) -> str:
    differing = [f"{a.name} ({MEANINGS[a.name]})" for a in aspects if a.state == "differs"]
    unknown = [aspect.name for aspect in aspects if aspect.state == "unknown"]
    if differing:
        return (
            f"Values of these runs cannot be compared, because they differ in {listed(differing)}: a "
            "difference in accuracy may come from that, and not from what was searched."
        )
    if unknown:
        return (
            f"Whether values of these runs can be compared is not known, because {listed(unknown)} "
            f"{'is' if len(unknown) == 1 else 'are'} not recorded of every run."
        )
    return (
        f"The runs share {listed(list(MEANINGS))}: values of the search are measured on the same images in "
        "the same way."
    )


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def differing_settings(files: Sequence[Mapping[str, Any] | None]) -> tuple[Setting, ...]:
    """List the keys that not all space files agree on; a file that is not there is left out of account."""
    flat = [None if content is None else _flat(content) for content in files]
    known = [content for content in flat if content is not None]
    keys = dict.fromkeys(key for content in known for key in content)
    differing = [key for key in keys if len({_canonical(content.get(key)) for content in known}) > 1]
    return tuple(
        Setting(
            key, tuple("not recorded" if content is None else _shown(content.get(key)) for content in flat)
        )
        for key in differing
    )


def _flat(content: Mapping[str, Any]) -> dict[str, Any]:
    """Keys as `section.key`; what a parameter may be stays together."""
    found: dict[str, Any] = {}
    for section, value in content.items():
        if isinstance(value, Mapping):
            found |= {f"{section}.{key}": entry for key, entry in value.items()}
        else:
            found[str(section)] = value
    return found


def _shown(value: Any) -> str:
    return NOTHING if value is None else span(value)
