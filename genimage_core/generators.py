"""The eight generators of GenImage: names, folders as released, native sizes, families.

Source: Zhu et al., "GenImage: A Million-Scale Benchmark for Detecting AI-Generated Image", NeurIPS 2023;
folder names as they unzip from the released archives.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Generator:
    """One source of fakes.

    Attributes:
        name: Short name used in space files and records.
        title: Name as the paper writes it.
        top: Outer folder as released.
        inner: Folder inside `top` that holds `train/` and `val/`.
        native_size: Side of its square images, in pixels.
        family: Generators of one family share a decoder; between them a detector is nearly in-distribution.
    """

    name: str
    title: str
    top: str
    inner: str
    native_size: int
    family: str


GENERATORS: tuple[Generator, ...] = (
    Generator("midjourney", "Midjourney", "Midjourney", "imagenet_midjourney", 1024, "midjourney"),
    Generator("sd14", "SD v1.4", "stable_diffusion_v_1_4", "imagenet_ai_0419_sdv4", 512, "stable_diffusion"),
    Generator("sd15", "SD v1.5", "stable_diffusion_v_1_5", "imagenet_ai_0424_sdv5", 512, "stable_diffusion"),
    Generator("adm", "ADM", "ADM", "imagenet_ai_0508_adm", 256, "adm"),
    Generator("glide", "GLIDE", "glide", "imagenet_glide", 256, "glide"),
    Generator("wukong", "Wukong", "wukong", "imagenet_ai_0424_wukong", 512, "stable_diffusion"),
    Generator("vqdm", "VQDM", "VQDM", "imagenet_ai_0419_vqdm", 256, "vqdm"),
    Generator("biggan", "BigGAN", "BigGAN", "imagenet_ai_0419_biggan", 128, "biggan"),
)
NAMES: tuple[str, ...] = tuple(generator.name for generator in GENERATORS)
FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(g.name for g in GENERATORS if g.family == family)
    for family in dict.fromkeys(g.family for g in GENERATORS)
}


def get_generator(name: str) -> Generator:
    """Return the generator called `name`.

    Raises:
        ValueError: If there is none; the message lists those that exist.
    """
    for generator in GENERATORS:
        if generator.name == name:
            return generator
    raise ValueError(f"unknown generator {name!r}; known: {', '.join(NAMES)}")


def family_of(name: str) -> str:
    """Return the family of the generator called `name`."""
    return get_generator(name).family


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Replace family names by their members, keep order, drop repeats.

    Raises:
        ValueError: If a name is neither a generator nor a family.
    """
    members: list[str] = []
    for name in names:
        if name not in NAMES and name not in FAMILIES:
            families = ", ".join(f for f in FAMILIES if f not in NAMES)
            raise ValueError(
                f"unknown generator {name!r}; known generators: {', '.join(NAMES)}; families: {families}"
            )
        members += FAMILIES.get(name, (name,)) if name not in NAMES else (name,)
    return tuple(dict.fromkeys(members))
