"""Space files: YAML in, a frozen and validated `Space` out.

Every mistake becomes one line that names the key, the value and what is allowed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    model_validator,
)

from genimage_core.bases import BASE_LEAVES
from genimage_core.curriculum import NONE, check_curriculum
from genimage_core.data.mapping import read_mapping
from genimage_core.detectors.catalogue import DETECTORS, check_drop_path, find_detector
from genimage_core.generators import GENIMAGE, Catalog
from genimage_core.limits import CONSTRAINED, WHOLE
from genimage_core.policy import FrequencyPolicy
from genimage_core.protocol import Protocol, training_sets
from genimage_core.settings import DataSettings, DetectorSettings, TrainingSettings, require
from genimage_core.yaml_files import read_yaml
from search.sections import (
    Choices,
    Entry,
    FinalistsSection,
    Parameter,
    ProtocolSection,
    Range,
    ResourcesSection,
    SearchSection,
    Section,
    Value,
)

MINI = "mini"
POLICY_FIELDS = tuple(field.name for field in fields(FrequencyPolicy))
TRAINING_FIELDS = tuple(field.name for field in fields(TrainingSettings) if field.name != "epochs")
DETECTOR_FIELDS = ("freeze_depth", "base")
WHOLE_FIELDS = ("batch_size", "freeze_depth", "patience", *WHOLE)
SEARCHABLE = POLICY_FIELDS + TRAINING_FIELDS + DETECTOR_FIELDS


class Space(Section):
    """A validated space file.

    `space` holds the searched parameters and fixed values of the fields in `SEARCHABLE`.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    data: DataSettings = DataSettings()
    protocol: ProtocolSection
    detector: DetectorSettings = DetectorSettings()
    training: TrainingSettings = TrainingSettings()
    base_training: TrainingSettings | None = None
    search: SearchSection = SearchSection()
    resources: ResourcesSection = ResourcesSection()
    finalists: FinalistsSection = FinalistsSection()
    space: dict[str, Entry] = Field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The searched parameters, conditions after what they depend on."""
        searched = {k: v for k, v in self.space.items() if isinstance(v, Range | Choices)}
        return dict(sorted(searched.items(), key=lambda item: item[1].when is not None))

    @property
    def fixed(self) -> dict[str, Value]:
        """The fixed values."""
        return {k: v for k, v in self.space.items() if not isinstance(v, Range | Choices)}

    @property
    def bases(self) -> tuple[str, ...]:
        """Weights that trials start from, the baseline's first."""
        searched = _ends(self.space["base"]) if "base" in self.space else ()
        return tuple(dict.fromkeys((self.detector.base, *map(str, searched))))

    @property
    def catalog(self) -> Catalog:
        """GenImage's generators and those of the mapping."""
        return GENIMAGE if self.data.layout is None else read_mapping(self.data.layout).catalog(GENIMAGE)

    @model_validator(mode="after")
    def _check_names(self) -> "Space":
        try:
            catalog = self.catalog
        except ValueError as error:
            raise ValueError(f"data.layout: {error}") from error
        for key, names in (("search", self.protocol.search), ("sealed", self.protocol.sealed)):
            try:
                catalog.expand(names)
            except ValueError as error:
                raise ValueError(f"protocol.{key}: {error}") from error
        return self

    @model_validator(mode="after")
    def _check_fold_training(self) -> "Space":
        for where, field, value in self._settings_of(("curriculum", "patience")):
            try:
                self._check_several(field, value)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
        return self

    @property
    def may_be_patient(self) -> bool:
        """Whether a trial can have a generator that decides when its training ends."""
        return any(value != 0 for _, _, value in self._settings_of(("patience",)))

    def _settings_of(self, names: Sequence[str]) -> Iterator[tuple[str, str, Value]]:
        """Where a training field stands, its name, and every value that it can have there."""
        for name in names:
            yield f"training.{name}", name, getattr(self.training, name)
            for value in _ends(self.space[name]) if name in self.space else ():
                yield f"space.{name}", name, value

    def _check_several(self, field: str, value: Value) -> None:
        """Refuse what only folds with several training generators can do, or what needs a trained base."""
        if value in (0, NONE):
            return
        searched = self.catalog.expand(self.protocol.search)
        folds = training_sets(self.protocol.train_on, searched, self.catalog)
        several = all(len(train) > 1 for train in folds.values())
        allowed = "left alone where folds train on one generator (see protocol.train_on and search)"
        require(several, field, value, allowed)
        if field == "curriculum":
            check_curriculum(tuple(folds.values()), searched, str(value), self.bases)

    @model_validator(mode="after")
    def _check_base_training(self) -> "Space":
        for name, usual in BASE_LEAVES.items():
            value = getattr(self.base_training, name, usual)
            require(value == usual, f"base_training.{name}", value, f"{usual}: a base is trained plainly")
        return self

    @model_validator(mode="after")
    def _check_drop_path(self) -> "Space":
        for where, _, value in self._settings_of(("drop_path",)):
            try:
                check_drop_path(self.detector.name, float(value))
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error
        return self

    @model_validator(mode="after")
    def _check_space(self) -> "Space":
        sections = self.model_copy(update={"space": {}})
        for key, entry in self.space.items():
            require(key in SEARCHABLE, f"space.{key}: key", key, f"one of {', '.join(SEARCHABLE)}")
            if isinstance(entry, Range) and key in WHOLE_FIELDS:
                require(entry.type == "int", f"space.{key}: type", entry.type, "int (whole numbers)")
            for value in _ends(entry):
                _check_values(sections, {key: value})
            _check_condition(key, entry, self.space)
        for pair in (*CONSTRAINED, ("base", "freeze_depth")):
            for values in _meeting(pair, self.space):
                _check_values(sections, values)
        return self


@dataclass(frozen=True)
class TrialPlan:
    """One configuration of the search, settled: what every fold of the trial is trained with."""

    policy: FrequencyPolicy
    training: TrainingSettings
    freeze_depth: int
    base: str


def settle(space: Space, values: Mapping[str, Value], *, baseline: bool = False) -> TrialPlan:
    """Turn sampled values into settings, over the fixed values and the defaults of the sections.

    What the space does not say of the policy is as the detector's authors have it. The baseline takes that
    policy alone, the identity for most, whatever is fixed, and the sections' own training settings.

    Raises:
        ValueError: If a value is impossible; the message names its field.
    """
    chosen = {} if baseline else {**space.fixed, **values}

    def part(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: chosen[name] for name in names if name in chosen}

    detector = replace(space.detector, **part(DETECTOR_FIELDS))
    training = replace(space.training, **part(TRAINING_FIELDS))
    own = find_detector(space.detector.name).policy
    policy = FrequencyPolicy(**{**own, **part(POLICY_FIELDS)})
    return TrialPlan(policy, training, detector.freeze_depth, detector.base)


def _ends(entry: Parameter | Value) -> tuple[Value, ...]:
    return entry.ends if isinstance(entry, Range | Choices) else (entry,)


def _conditions(entry: Parameter | Value) -> dict[str, list[Value]]:
    return (entry.when or {}) if isinstance(entry, Range | Choices) else {}


def _check_values(sections: Space, values: Mapping[str, Value]) -> None:
    """Raise `ValueError`, naming the keys, unless these values are possible in one trial."""
    try:
        settle(sections, values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{' and '.join(f'space.{key}' for key in values)}: {error}") from error


def _meeting(pair: tuple[str, str], space: Mapping[str, Parameter | Value]) -> list[dict[str, Value]]:
    """Every two ends of a pair of fields that one trial can draw, given the conditions of both."""
    if not all(key in space for key in pair):
        return []
    met: dict[str, list[Value]] = {}
    for key in pair:
        for parent, values in _conditions(space[key]).items():
            met[parent] = [value for value in values if value in met.get(parent, values)]
    if not all(met.values()):
        return []
    ends = [met.get(key, _ends(space[key])) for key in pair]
    return [dict(zip(pair, values, strict=True)) for values in product(*ends)]


def _check_condition(key: str, entry: Parameter | Value, space: Mapping[str, Parameter | Value]) -> None:
    for other, values in _conditions(entry).items():
        parent = space.get(other)
        if not isinstance(parent, Choices) or parent.when is not None:
            raise ValueError(f"space.{key}.when: {other} must be an unconditional parameter with choices")
        unknown = [value for value in values if value not in parent.choices]
        if unknown:
            raise ValueError(f"space.{key}.when: {other} has no choice {unknown[0]!r}: {parent.choices}")


def is_mini(root: str | None) -> bool:
    """Whether the data root is the embedded data set."""
    return root in (None, MINI)


def load_space(path: Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Space:
    """Read a space file.

    Args:
        path: YAML file.
        overrides: Values of the command line by section and key; None is skipped.

    Raises:
        ValueError: With one line per mistake: file, key, what is wrong, what is allowed.
    """
    content = read_yaml(path, "space file")
    embedded = content.pop("embedded", None) or {}
    _require_sections(path, content, embedded)
    given = {s: {k: v for k, v in kv.items() if v is not None} for s, kv in (overrides or {}).items()}
    merged = _merge(content, given)
    if is_mini((merged.get("data") or {}).get("root")):
        merged = _merge(_merge(content, embedded), given)
    _read_layout(path, merged.get("data") or {})
    merged = _merge(_training_of(merged), merged)
    try:
        return Space.model_validate(merged)
    except ValidationError as error:
        lines = [f"{path}: {line}" for line in _explain(error)]
        raise ValueError("\n".join(lines)) from None


def _read_layout(path: Path, data: dict[str, Any]) -> None:
    """Put the content of a mapping in the place of its file's name: the resolved space needs no file."""
    if isinstance(data.get("layout"), str):
        data["layout"] = read_yaml(path.parent / data["layout"], "mapping")


def _training_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """What the authors of the detector say of its training, for the sections that train one."""
    spec = DETECTORS.get((content.get("detector") or {}).get("name", DetectorSettings.name))
    own = dict(spec.training) if spec else {}
    return {name: own for name in ("training", "base_training") if name == "training" or name in content}


def _require_sections(path: Path, content: Mapping[str, Any], embedded: object) -> None:
    if not isinstance(embedded, Mapping):
        raise ValueError(f"{path}: embedded: must hold sections, got {embedded!r}")
    for prefix, part in (("", content), ("embedded.", embedded)):
        for name, section in part.items():
            if name in (*_SECTIONS, "space") and not isinstance(section, Mapping | None):
                raise ValueError(f"{path}: {prefix}{name}: must hold keys and values, got {section!r}")


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _explain(error: ValidationError) -> list[str]:
    lines: dict[str, str] = {}
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"] if part not in _TAGS)
        if item["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            what = f"unknown key; allowed: {', '.join(_allowed_at(item['loc'][:-1]))}"
        else:
            what = item["msg"].removeprefix("Value error, ")
            given = item.get("input")
            if isinstance(given, bool | int | float | str) and repr(given) not in what:
                what += f", got {given!r}"
        lines.setdefault(where, f"{where}: {what}" if where else what)
    return list(lines.values())


_TAGS = ("range", "value", "bool", "int", "float", "str", "literal['auto']")
_SECTIONS: dict[str, Any] = {
    "data": DataSettings,
    "detector": DetectorSettings,
    "training": TrainingSettings,
    "base_training": TrainingSettings,
    "protocol": ProtocolSection,
    "search": SearchSection,
    "resources": ResourcesSection,
    "finalists": FinalistsSection,
}


def _allowed_at(location: tuple[int | str, ...]) -> list[str]:
    if not location:
        return [*Space.model_fields, "embedded"]
    section = _SECTIONS.get(str(location[0]))
    if section is None:
        return [*Range.model_fields, "choices"]
    return list(section.model_fields) if issubclass(section, BaseModel) else [f.name for f in fields(section)]


def build_protocol(space: Space, base_generators: tuple[str, ...]) -> Protocol:
    """Build the protocol of a space whose bases were trained on `base_generators`."""
    section = space.protocol
    return Protocol(section.train_on, section.search, section.sealed, base_generators, space.catalog)


def dump_space(space: Space) -> str:
    """Write a space as YAML that `load_space` reads back to an equal one."""
    content = space.model_dump(mode="json", exclude_none=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
