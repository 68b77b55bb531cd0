"""Generators, their families, and the eight of GenImage: names, folders as released, native sizes.

Source: Zhu et al., "GenImage: A Million-Scale Benchmark for Detecting AI-Generated Image", NeurIPS 2023;
folder names as they unzip from the released archives.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Generator:
    """One source of fakes.

    Attributes:
        name: Short name used in space files and records.
        title: Name as its paper writes it.
        family: Generators of one family share a decoder; between them a detector is nearly in-distribution.
        native_size: Side of its square images, in pixels; 0 if unknown.
        folders: Names of its folder, the outer and the inner one as released first.
    """

    name: str
    title: str
    family: str
    native_size: int = 0
    folders: tuple[str, ...] = field(default=(), repr=False)

    @property
    def top(self) -> str:
        """Outer folder as released."""
        return self.folders[0]

    @property
    def inner(self) -> str:
        """Folder inside `top` that holds `train/` and `val/`."""
        return self.folders[1]


@dataclass(frozen=True)
class Catalog:
    """The generators that exist where a question is asked.

    Raises:
        ValueError: If two have one name, or a family has the name of a generator outside it.
    """

    generators: tuple[Generator, ...]

    def __post_init__(self) -> None:
        names = [generator.name for generator in self.generators]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"generator {twice[0]} is there twice; give one of them another name")
        for family, members in self.families.items():
            if family in names and family not in members:
                raise ValueError(f"family {family} of {members[0]} is the name of a generator outside it")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all, in order."""
        return tuple(generator.name for generator in self.generators)

    @cached_property
    def families(self) -> dict[str, tuple[str, ...]]:
        """Family -> names of its members."""
        groups: dict[str, tuple[str, ...]] = {}
        for generator in self.generators:
            groups[generator.family] = (*groups.get(generator.family, ()), generator.name)
        return groups

    def get(self, name: str) -> Generator:
        """Return the generator called `name`.

        Raises:
            ValueError: If there is none; the message lists those that exist.
        """
        for generator in self.generators:
            if generator.name == name:
                return generator
        raise ValueError(f"unknown generator {name!r}; known: {', '.join(self.names)}")

    def family_of(self, name: str) -> str:
        """Return the family of the generator called `name`."""
        return self.get(name).family

    def expand(self, names: Iterable[str]) -> tuple[str, ...]:
        """Replace family names by their members, keep order, drop repeats.

        Raises:
            ValueError: If a name is neither a generator nor a family.
        """
        members: list[str] = []
        for name in names:
            if name not in self.names and name not in self.families:
                families = ", ".join(f for f in self.families if f not in self.names)
                raise ValueError(
                    f"unknown generator {name!r}; known generators: {', '.join(self.names)}; "
                    f"families: {families or 'none with another name'}"
                )
            members += self.families.get(name, (name,)) if name not in self.names else (name,)
        return tuple(dict.fromkeys(members))

    def extended(self, more: Iterable[Generator]) -> "Catalog":
        """Return these and `more`; one with a known name takes the place of the old one."""
        merged = {generator.name: generator for generator in self.generators}
        merged |= {generator.name: generator for generator in more}
        return Catalog(tuple(merged.values()))


GENIMAGE = Catalog(
    (
        Generator("midjourney", "Midjourney", "midjourney", 1024, ("Midjourney", "imagenet_midjourney")),
        Generator(
            "sd14",
            "SD v1.4",
            "stable_diffusion",
            512,
            ("stable_diffusion_v_1_4", "imagenet_ai_0419_sdv4", "Stable Diffusion V1.4"),
        ),
        Generator(
            "sd15",
            "SD v1.5",
            "stable_diffusion",
            512,
            ("stable_diffusion_v_1_5", "imagenet_ai_0424_sdv5", "Stable Diffusion V1.5"),
        ),
        Generator("adm", "ADM", "adm", 256, ("ADM", "imagenet_ai_0508_adm", "ADMnew")),
        Generator("glide", "GLIDE", "glide", 256, ("glide", "imagenet_glide")),
        Generator("wukong", "Wukong", "stable_diffusion", 512, ("wukong", "imagenet_ai_0424_wukong")),
        Generator("vqdm", "VQDM", "vqdm", 256, ("VQDM", "imagenet_ai_0419_vqdm")),
        Generator("biggan", "BigGAN", "biggan", 128, ("BigGAN", "imagenet_ai_0419_biggan")),
    )
)
