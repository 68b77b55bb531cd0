"""A small search on random images, for what is measured about searches."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from genimage_core.data.images import describe_images, list_validation
from genimage_core.data.layout import CLASS_FOLDERS, SPLITS, find_layout
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.generators import GENIMAGE
from search.job import Job, ReadyBase
from search.space import Space, build_protocol

SIZE = 32


def make_space(
    trials: int, epochs: int, images: int, *, validation: int | None = None, generators: int = 2
) -> Space:
    """A space of one parameter over a fold for each generator, every trial at full length.

    Args:
        trials: How many.
        epochs: Of each.
        images: Of each class, to train on.
        validation: The same, to validate on; as many if None.
        generators: How many of GenImage's.
    """
    return Space(
        name="small",
        data={"image_size": SIZE, "train_per_class": images, "val_per_class": validation or images},
        protocol={"search": GENIMAGE.names[:generators]},
        detector={"name": "swin_nano", "base": "scratch"},
        training={"epochs": epochs, "batch_size": 16, "learning_rate": 1e-3},
        search={"trials": trials, "scheduler": "none"},
        finalists={"top": 0},
        space={"noise_scale": {"low": 0.1, "high": 1.0}},
    )


def make_job(folder: Path, space: Space) -> Job:
    """What workers need for it, random images included; the run directory is made."""
    root, run_dir = folder / "GenImage", folder / "run"
    protocol, data = build_protocol(space, ()), space.data
    _write_images(root, protocol.search, max(data.train_per_class, data.val_per_class))
    run_dir.mkdir()
    layout = find_layout(root, protocol.search)
    seed = space.search.seed
    info = CheckpointInfo(space.detector.name, SIZE, (), "none", True)
    return Job(
        run_dir=run_dir,
        cache=folder / "cache",
        layout=layout,
        search=protocol.search,
        folds=protocol.folds,
        data=data,
        detector=space.detector.name,
        bases={"scratch": ReadyBase(None, info)},
        objective=space.search.objective,
        seed=seed,
        identities={
            (name, split, seed): describe_images(layout, name, split, data, seed).identity
            for name in protocol.search
            for split in SPLITS
        },
        board=run_dir / "tensorboard",
        validated=list_validation(layout, protocol.search, data, seed),
    )


def _write_images(root: Path, generators: Sequence[str], images: int) -> None:
    rng = np.random.default_rng(0)
    for name in generators:
        generator = GENIMAGE.get(name)
        for split in SPLITS:
            for label in CLASS_FOLDERS:
                folder = root / generator.top / generator.inner / split / label
                folder.mkdir(parents=True)
                for number in range(images):
                    pixels = rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{number:03d}.png")
