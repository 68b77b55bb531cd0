"""Sections of a space file, each validated on its own."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from genimage_core.protocol import OBJECTIVES, TrainOn
from genimage_core.settings import require

Value = bool | int | float | str


class Section(BaseModel):
    """What cannot be changed and knows no other key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ProtocolSection(Section):
    """Which generators the search sees, how detectors are trained on them, and which stay sealed."""

    train_on: TrainOn = "one"
    search: tuple[str, ...]
    sealed: tuple[str, ...] = ()


class SearchSection(Section):
    """How the search goes."""

    trials: int = Field(default=64, ge=1)
    sampler: Literal["tpe", "random"] = "tpe"
    scheduler: Literal["asha", "none"] = "asha"
    grace_period: int = Field(default=1, ge=1)
    reduction_factor: int = Field(default=3, ge=2)
    objective: Literal[OBJECTIVES] = "off_family_accuracy"  # type: ignore[valid-type]
    seed: int = Field(default=0, ge=0)


class ResourcesSection(Section):
    """What one trial occupies; `auto` is decided from the machines that are there."""

    workers_per_trial: Literal["auto"] | int = "auto"
    gpus_per_worker: Literal["auto"] | float = "auto"
    cpus_per_worker: Literal["auto"] | float = "auto"
    hang_limit_s: float = Field(default=600.0, ge=10)

    @model_validator(mode="after")
    def _check(self) -> "ResourcesSection":
        workers, gpus, cpus = self.workers_per_trial, self.gpus_per_worker, self.cpus_per_worker
        require(
            workers == "auto" or workers >= 1, "resources.workers_per_trial", workers, "auto or at least 1"
        )
        require(gpus == "auto" or gpus >= 0, "resources.gpus_per_worker", gpus, "auto or not less than 0")
        require(cpus == "auto" or cpus > 0, "resources.cpus_per_worker", cpus, "auto or greater than 0")
        return self


class FinalistsSection(Section):
    """How the best configurations are tried again, beside the baseline; `top: 0` leaves that out.

    `test_per_class` images of each generator are read that no trial has seen.
    """

    top: int = Field(default=3, ge=0)
    seeds: int = Field(default=5, ge=2)
    test_per_class: int = Field(default=500, ge=2)


class Range(Section):
    """A numeric parameter between two ends, both included."""

    low: float
    high: float
    type: Literal["float", "int"] = "float"
    log: bool = False
    step: float | None = Field(default=None, gt=0)
    when: dict[str, list[Value]] | None = None

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low must not exceed high, got low {self.low:g} and high {self.high:g}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError(f"log needs low above 0 and no step, got low {self.low:g}, step {self.step}")
        whole = all(float(x).is_integer() for x in (self.low, self.high, self.step or 1))
        if self.type == "int" and not whole:
            raise ValueError(f"type int needs whole numbers, got low {self.low:g} and high {self.high:g}")
        return self

    @property
    def ends(self) -> tuple[Value, ...]:
        """The two extreme values."""
        return (int(self.low), int(self.high)) if self.type == "int" else (self.low, self.high)


class Choices(Section):
    """A parameter that takes one of a few values."""

    choices: list[Value] = Field(min_length=1)
    when: dict[str, list[Value]] | None = None

    @property
    def ends(self) -> tuple[Value, ...]:
        """Every value."""
        return tuple(self.choices)


Parameter = Range | Choices


def _kind_of(entry: object) -> str:
    if isinstance(entry, Mapping):
        return "choices" if "choices" in entry else "range"
    return "range" if isinstance(entry, Range) else "choices" if isinstance(entry, Choices) else "value"


Entry = Annotated[
    Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")] | Annotated[Value, Tag("value")],
    Discriminator(_kind_of),
]
