"""Which weights a search starts from, and making them if no earlier run has."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import ray
from ray.util.queue import Empty, Queue
from rich.console import Console

from genimage_core.bases import BASE_LEAVES, BaseRecipe
from genimage_core.data.batches import ImageSet
from genimage_core.data.images import load_images
from genimage_core.data.layout import Layout
from genimage_core.detectors.info import CheckpointInfo, require_fit
from search.cluster import ResourcePlan
from search.inputs import progress
from search.space import Space


@dataclass(frozen=True)
class Base:
    """Where a search starts from.

    Attributes:
        name: As the space file writes it.
        kind: `scratch`, `imagenet`, `generator` or `checkpoint`.
        target: The generator's name or the checkpoint's path, else empty.
        generators: What it was trained on; none of these counts as left out.
        simulated: Whether a checkpoint was trained on simulated generators.
        format_alignment: How a checkpoint's images were aligned; None for the others.
    """

    name: str
    kind: str
    target: str
    generators: tuple[str, ...]
    simulated: bool = False
    format_alignment: str | None = None


def find_bases(space: Space) -> dict[str, Base]:
    """Read off what the bases of a space are, the baseline's first, and check that they can be had.

    Raises:
        ValueError: If a checkpoint does not fit, a generator is unknown, or weights cannot be fetched.
    """
    return {name: _find_base(space, name) for name in space.bases}


def _find_base(space: Space, name: str) -> Base:
    kind, _, target = name.partition(":")
    if kind == "generator":
        names = space.catalog.expand([target])
        if len(names) != 1:
            raise ValueError(f"detector.base: {target} is a family; name one of {', '.join(names)}")
        return Base(name, kind, target, names)
    if kind == "checkpoint":
        return _find_checkpoint(space, name, target)
    if kind == "imagenet":
        from genimage_core.detectors.pretrained import ensure_imagenet_weights

        ensure_imagenet_weights(space.detector.name)
    return Base(name, kind, target, ())


def _find_checkpoint(space: Space, name: str, target: str) -> Base:
    try:
        info = require_fit(Path(target), space.detector.name, space.data.image_size)
    except ValueError as error:
        raise ValueError(f"detector.base: {error}") from error
    return Base(name, "checkpoint", target, info.generators, info.simulated, info.format_alignment)


def base_recipe(space: Space, base: Base, images: ImageSet, info: CheckpointInfo) -> BaseRecipe:
    """Write down everything that decides a generator base."""
    return BaseRecipe(
        detector=space.detector.name,
        image_size=space.data.image_size,
        generator=base.target,
        training=space.base_training or replace(space.training, **BASE_LEAVES),
        data=images.fingerprint,
        seed=space.search.seed,
        info=replace(info, generators=base.generators),
    )


@dataclass(frozen=True)
class BaseTask:
    """What it takes to make the base weights on another machine.

    Attributes:
        space: Names detector, size, seed and training.
        base: Which weights.
        layout: Where the images are.
        cache: Cache folder, on each machine its own.
        info: Written beside the weights.
        target: File that every worker will read.
    """

    space: Space
    base: Base
    layout: Layout
    cache: Path
    info: CheckpointInfo
    target: Path


def prepare_base(task: BaseTask, plan: ResourcePlan, console: Console) -> Path | None:
    """Put the base weights where every worker finds them; None for scratch.

    A generator base is trained on a worker's device, once; later runs find it in the cache.
    """
    if task.target.exists():
        return task.target  # of a run that is resumed
    made = _find_made(task)
    if made is not None:
        _copy_whole(made, task.target)
    elif task.base.kind != "scratch":
        _make_elsewhere(task, plan, console)
    return None if task.base.kind == "scratch" else task.target


def _find_made(task: BaseTask) -> Path | None:
    # Looked for here because it needs no torch, which a task of its own would import for nothing.
    if task.base.kind == "checkpoint":
        return Path(task.base.target)
    if task.base.kind != "generator":
        return None
    path = _recipe(task)[0].path_in(task.cache)
    return path if path.exists() else None


def _recipe(task: BaseTask) -> tuple[BaseRecipe, ImageSet]:
    space, generator = task.space, task.base.target
    images = load_images(task.layout, generator, "train", space.data, space.search.seed, task.cache)
    return base_recipe(space, task.base, images, task.info), images


def _make_elsewhere(task: BaseTask, plan: ResourcePlan, console: Console) -> None:
    epochs = Queue(actor_options={"num_cpus": 0})
    remote = ray.remote(num_cpus=plan.base_cpus, num_gpus=plan.shape.gpus)(_make_base)
    made = remote.remote(task, max(1, int(plan.base_cpus)), epochs)
    total = (task.space.base_training or task.space.training).epochs
    with progress(console, f"making the base weights, {task.base.name}") as report:
        while not ray.wait([made], timeout=0)[0]:
            try:
                report(epochs.get(timeout=1.0), total)
            except Empty:
                continue
    epochs.shutdown()
    ray.get(made)
    if task.base.kind == "generator":
        _keep_in_cache(task)


def _keep_in_cache(task: BaseTask) -> None:
    """Another machine may have made the base in a cache of its own; the next search looks in this one."""
    path = _recipe(task)[0].path_in(task.cache)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _copy_whole(task.target, path)


def _copy_whole(source: Path, target: Path) -> None:
    """Copy a file so that one under its name is whole."""
    partial = target.with_suffix(".partial")
    shutil.copyfile(source, partial)
    partial.rename(target)


def _make_base(task: BaseTask, threads: int, epochs: Queue) -> None:
    import torch

    from genimage_core.base_training import ensure_base
    from genimage_core.detectors.checkpoint import save_checkpoint
    from genimage_core.detectors.detector import build_detector

    torch.set_num_threads(threads)
    space = task.space
    if task.base.kind == "imagenet":
        size, seed = space.data.image_size, space.search.seed
        detector = build_detector(space.detector.name, image_size=size, seed=seed, base="imagenet")
        save_checkpoint(task.target, detector, task.info)
        return
    recipe, images = _recipe(task)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    made = ensure_base(recipe, images, task.cache, device, lambda done, loss: epochs.put(done))
    _copy_whole(made, task.target)
