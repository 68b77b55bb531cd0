"""Which weights a search starts from, and making them if no earlier run has."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import ray

from genimage_core.bases import BaseRecipe
from genimage_core.data.images import ImageSet, load_images
from genimage_core.detectors.info import CheckpointInfo, read_info
from genimage_core.generators import expand
from search.cluster import ResourcePlan
from search.space import Space


@dataclass(frozen=True)
class Base:
    """Where a search starts from.

    Attributes:
        kind: `scratch`, `imagenet`, `generator` or `checkpoint`.
        target: The generator's name or the checkpoint's path, else empty.
        generators: What it was trained on; none of these counts as left out.
    """

    kind: str
    target: str
    generators: tuple[str, ...]


def find_base(space: Space) -> Base:
    """Read off what the base of a space is, and check that it can be had.

    Raises:
        ValueError: If a checkpoint does not fit, a generator is unknown, or weights cannot be fetched.
    """
    kind, _, target = space.detector.base.partition(":")
    if kind == "generator":
        names = expand([target])
        if len(names) != 1:
            raise ValueError(f"detector.base: {target} is a family; name one of {', '.join(names)}")
        return Base(kind, target, names)
    if kind == "checkpoint":
        return Base(kind, target, _check_fit(Path(target), space))
    if kind == "imagenet":
        from genimage_core.detectors.pretrained import ensure_imagenet_weights

        ensure_imagenet_weights(space.detector.name)
    return Base(kind, target, ())


def _check_fit(path: Path, space: Space) -> tuple[str, ...]:
    info = read_info(path)
    wanted = (space.detector.name, space.data.image_size)
    if (info.detector, info.image_size) != wanted:
        raise ValueError(
            f"detector.base: {path} holds {info.detector} at {info.image_size} px, "
            f"the space asks for {wanted[0]} at {wanted[1]} px"
        )
    return info.generators


def base_recipe(space: Space, base: Base, images: ImageSet, info: CheckpointInfo) -> BaseRecipe:
    """Write down everything that decides a generator base."""
    return BaseRecipe(
        detector=space.detector.name,
        image_size=space.data.image_size,
        generator=base.target,
        training=space.base_training or space.training,
        data=images.fingerprint,
        seed=space.search.seed,
        info=replace(info, generators=base.generators),
    )


def prepare_base(
    space: Space,
    base: Base,
    folders: Mapping[str, Path],
    cache: Path,
    info: CheckpointInfo,
    plan: ResourcePlan,
    run_dir: Path,
) -> Path | None:
    """Put the base weights into the run directory, where every worker finds them; None for scratch.

    A generator base is trained on a worker's device, once; later runs find it in the cache.
    """
    if base.kind == "scratch":
        return None
    made = _find_made(space, base, folders, cache, info)
    if made is None:
        shape = plan.shape
        cpus = shape.cpus if shape.gpus else shape.cpus * shape.workers
        task = ray.remote(num_cpus=cpus, num_gpus=shape.gpus)(_make_base)
        made = ray.get(task.remote(space, base, folders, cache, info, cpus))
    return Path(shutil.copyfile(made, run_dir / "base.safetensors"))


def _find_made(
    space: Space, base: Base, folders: Mapping[str, Path], cache: Path, info: CheckpointInfo
) -> Path | None:
    # Looked for here because it needs no torch, which a task of its own would import for nothing.
    if base.kind == "checkpoint":
        return Path(base.target)
    if base.kind == "imagenet":
        return None
    images = load_images(folders[base.target], "train", space.data, space.search.seed, cache)
    path = base_recipe(space, base, images, info).path_in(cache)
    return path if path.exists() else None


def _make_base(
    space: Space, base: Base, folders: Mapping[str, Path], cache: Path, info: CheckpointInfo, cpus: float
) -> Path:
    import torch

    from genimage_core.base_training import ensure_base
    from genimage_core.detectors.checkpoint import save_checkpoint
    from genimage_core.detectors.detector import build_detector

    torch.set_num_threads(max(1, int(cpus)))
    if base.kind == "imagenet":
        path = cache / "bases" / f"{space.detector.name}-imagenet-{space.data.image_size}.safetensors"
        detector = build_detector(
            space.detector.name, image_size=space.data.image_size, seed=space.search.seed, pretrained=True
        )
        save_checkpoint(path, detector, info)
        return path
    images = load_images(folders[base.target], "train", space.data, space.search.seed, cache)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return ensure_base(base_recipe(space, base, images, info), images, cache, device)
