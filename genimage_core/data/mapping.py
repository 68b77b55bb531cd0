"""A user's own account of where images are, for trees that are none of the known layouts.

generators:
  flux:
    title: FLUX.1            # optional
    family: flux             # optional: of its own; generators of one family share a decoder
    ai: {train: ["flux/train/**/*.png"], val: ["flux/val/*.png"]}
    nature: {train: ["photos/train/*.jpg"], val: ["photos/val/*.jpg"]}
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from genimage_core.generators import Catalog, Generator


def _check_pattern(pattern: str) -> str:
    path = PurePosixPath(pattern)
    if not pattern or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"a pattern is relative to the data root and has no '..', got {pattern!r}")
    if any("**" in part and part != "**" for part in path.parts):
        raise ValueError(f"'**' stands for any folders and must be all between two slashes, got {pattern!r}")
    return f"{pattern.rstrip('/')}/*" if path.parts[-1] == "**" else pattern


def in_any_case(pattern: str) -> str:
    """Let the extension that a glob ends with match in upper and lower case: `*.png` also `A.PNG`."""
    stem, dot, extension = pattern.rpartition(".")
    if not (dot and extension.isalnum()):
        return pattern
    letters = (f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in extension)
    return f"{stem}.{''.join(letters)}"


Pattern = Annotated[str, AfterValidator(_check_pattern)]
Patterns = dict[Literal["train", "val"], Annotated[list[Pattern], Field(min_length=1)]]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]


class MappedGenerator(BaseModel):
    """One generator: what it is called, and the globs of both classes by split."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str | None = None
    family: Name | None = None
    ai: Patterns = Field(min_length=1)
    nature: Patterns = Field(min_length=1)


class Mapped(BaseModel):
    """The whole mapping."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generators: dict[Name, MappedGenerator] = Field(min_length=1)

    def catalog(self, known: Catalog) -> Catalog:
        """Known generators and these; what a known one leaves open stays as it is."""
        return known.extended(self._generator(name, known) for name in self.generators)

    def _generator(self, name: str, known: Catalog) -> Generator:
        given = self.generators[name]
        old = known.get(name) if name in known.names else Generator(name, name, name)
        return Generator(name, given.title or old.title, given.family or old.family, old.native_size)

    def patterns(self) -> Iterator[tuple[str, str, int, tuple[str, ...]]]:
        """Generator, split, label and globs of every entry."""
        for name, generator in self.generators.items():
            for label, splits in enumerate((generator.nature, generator.ai)):
                yield from ((name, split, label, tuple(globs)) for split, globs in splits.items())


def read_mapping(content: Mapping[str, Any]) -> Mapped:
    """Validate the content of a mapping.

    Raises:
        ValueError: One line per mistake: key, what is wrong.
    """
    try:
        return Mapped.model_validate(content)
    except ValidationError as error:
        raise ValueError("\n".join(map(_explain, error.errors()))) from None


def _explain(item: ErrorDetails) -> str:
    where = ".".join(map(str, item["loc"]))
    if item["type"] != "extra_forbidden":
        return f"mapping: {where}: {item['msg'].removeprefix('Value error, ')}"
    section = Mapped if len(item["loc"]) == 1 else MappedGenerator
    return f"mapping: {where}: unknown key; allowed: {', '.join(section.model_fields)}"
