"""Writes run directories of searches whose truth is known, in the files that `search` writes.

The logit of an image is its sign times (skill + luck of the training + how hard image and scene are for all
detectors) + a threshold of the training + noise. All is normal: a cell's true accuracy has a closed form.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

FAMILIES = {"sd14": "stable_diffusion", "sd15": "stable_diffusion"}


@dataclass(frozen=True)
class World:
    """A search, and how its detectors come about.

    `gain` is the true difference of off-family accuracy between any searched configuration and the baseline.
    Spreads are in units of the logit; those of seeds are of one cell, of a detector, and of all detectors of
    a training. `alike` is the share of variance that trainings with the same seed have in common.
    """

    search: tuple[str, ...] = ("sd14", "biggan", "glide", "adm")
    sealed: tuple[str, ...] = ("midjourney", "vqdm")
    base: tuple[str, ...] = ("sd14",)
    val_per_class: int = 100
    test_per_class: int = 150
    trials: int = 20
    top: int = 3
    seeds: int = 5
    gain: float = 0.0
    accuracy: float = 0.7
    seed_spread: tuple[float, float, float] = (0.15, 0.1, 0.05)
    threshold: float = 0.15
    image: float = 0.7
    scene: float = 0.4
    noise: float = 0.6
    alike: float = 0.3
    changes: dict = field(default_factory=dict)

    @property
    def spread(self):
        """Standard deviation of a logit over everything."""
        return np.sqrt(
            np.square([*self.seed_spread, self.threshold, self.image, self.scene, self.noise]).sum()
        )

    def skill(self, accuracy):
        """Mean logit, times the sign of the label, at which a cell has this accuracy."""
        return self.spread * norm.ppf(accuracy)

    @property
    def folds(self):
        known = {*self.base}

        def off(name):
            families = {family_of(g) for g in {name, *known}}
            return [g for g in self.search if family_of(g) not in families]

        return [{"name": g, "train": [g], "left_out": off(g), "off_family": off(g)} for g in self.search]


def family_of(name):
    return FAMILIES.get(name, name)


def draw_images(world, rng):
    """Rows of images.parquet, and how hard each image is: the same for every detector."""
    tables = []
    parts = {"val": (world.search, world.val_per_class), "test": (world.search, world.test_per_class),
             "sealed": (world.sealed, world.test_per_class)}  # fmt: skip
    for part, (generators, per_class) in parts.items():
        of_scene = rng.normal(0, world.scene, (2, per_class))  # scenes are shared by generators and classes
        for name in generators:
            label = np.repeat([0, 1], per_class).astype(np.int8)
            scene = np.tile(np.arange(per_class), 2)
            table = pd.DataFrame({"generator": name, "part": part, "label": label})
            table["image"] = np.arange(2 * per_class, dtype=np.int32)
            table["cluster"] = [f"{part}_{number:06d}" for number in scene]
            table["path"] = [f"{name}/{part}/{number}.png" for number in table["image"]]
            table["hard"] = rng.normal(0, world.image, 2 * per_class) + of_scene[label, scene]
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def draw_luck(world, rng):
    """What a seed decides: (fold, generator), (fold), () and thresholds (fold)."""
    folds, generators = len(world.search), len(world.search) + len(world.sealed)
    cell, detector, training = world.seed_spread
    return (
        rng.normal(0, cell, (folds, generators))
        + rng.normal(0, detector, (folds, 1))
        + rng.normal(0, training),
        rng.normal(0, world.threshold, folds),
    )


def draw_logits(world, shown, gain, common, rng):
    """Logits of one training, shape (F, N).

    Args:
        world: The search.
        shown: Rows of `draw_images`.
        gain: Accuracy that the configuration has more than the baseline, off-family.
        common: What all trainings of this seed share, see `draw_luck`.
        rng: Draws what is its own.
    """
    names, own = (*world.search, *world.sealed), draw_luck(world, rng)
    luck, threshold = (np.sqrt(world.alike) * c + np.sqrt(1 - world.alike) * o
                       for c, o in zip(common, own, strict=True))  # fmt: skip
    known = [[name in (*fold["train"], *world.base) for name in names] for fold in world.folds]
    skill = np.where(known, world.skill(0.95), world.skill(world.accuracy + gain)) + luck
    place, sign = shown["generator"].map(names.index).to_numpy(), 2.0 * shown["label"].to_numpy() - 1
    own_noise = rng.normal(0, world.noise, (len(known), len(shown)))
    hard = shown["hard"].to_numpy()
    return np.float32(sign * (skill[:, place] + hard) + threshold[:, None] + own_noise)


def objective(world, logits):
    """Off-family accuracy of logits on validation images, in the order that they are drawn in."""
    folds = len(world.search)
    signs = np.array([-1.0, 1.0])[:, None]
    accuracy = (logits.reshape(folds, folds, 2, world.val_per_class) * signs > 0).mean((2, 3))
    places = [[world.search.index(name) for name in fold["off_family"]] for fold in world.folds]
    return float(np.mean([accuracy[f, of_fold].mean() for f, of_fold in enumerate(places) if of_fold]))


def rows(world, shown, columns):
    """Rows of a file of logits: every image for every fold."""
    folds = [shown[columns].assign(fold=fold["name"]) for fold in world.folds]
    return pd.concat(folds, ignore_index=True)


def write_search(folder: Path, world: World, rng) -> Path:
    """Write a run whose finalists have been tested."""
    images = draw_images(world, rng)
    shown = images[images["part"] == "val"]
    table, values = rows(world, shown, ["generator", "image"]).assign(epoch=np.int32(1)), []
    for number in range(world.trials + 1):
        gain = world.gain if number else 0.0
        logits = draw_logits(world, shown, gain, draw_luck(world, rng), rng)
        values.append(objective(world, logits))
        save(table.assign(logit=logits.ravel()), folder / "scores" / f"trial_{number:04d}.parquet")
    best = sorted(range(1, world.trials + 1), key=lambda number: (-values[number], number))[: world.top]
    names = {0: "baseline"} | {number: f"trial_{number:04d}" for number in best}
    write_finalists(folder, world, images, names, rng)
    save(images.drop(columns="hard"), folder / "scores" / "images.parquet")
    write_records(folder, world, values, names)
    return folder


def write_finalists(folder, world, images, names, rng):
    """Train configurations, by number, with the same seeds and test them."""
    shown = images[images["part"] != "val"]
    table = rows(world, shown, ["generator", "part", "image"])
    for seed in range(world.seeds):
        common = draw_luck(world, rng)
        for number, name in names.items():
            logits = draw_logits(world, shown, world.gain if number else 0.0, common, rng)
            save(
                table.assign(logit=logits.ravel()),
                folder / "finalists" / "scores" / f"{name}_seed_{seed}.parquet",
            )


def save(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)


def write_records(folder, world, values, names):
    """Write environment.json, trials.jsonl and finalists.json."""
    environment = {
        "name": "fft", "objective": "off_family_accuracy", "simulated": True, "command": ["python"],
        "trials": len(values), "base": {"generators": list(world.base)},
        "protocol": {"folds": world.folds, "sealed": list(world.sealed)},
    }  # fmt: skip
    trials = [
        {"number": number, "role": "searched" if number else "baseline", "state": "completed",
         "epochs": [{"epoch": 1, "off_family_accuracy": value}]}
        for number, value in enumerate(values)
    ]  # fmt: skip
    summary = {
        "top": world.top, "seeds": [1000 + seed for seed in range(world.seeds)], "epochs": 1,
        "configurations": [
            {"name": name, "trial": number, "role": "searched" if number else "baseline", "config": {},
             "search_value": values[number]}
            for number, name in names.items()
        ],
        "runs": [
            {"name": name, "seed": seed, "state": "completed", "error": None, "validation": 0.7}
            for seed in range(world.seeds) for name in names.values()
        ],
        "sealed": list(world.sealed), "test_per_class": world.test_per_class, "simulated": True,
        "seal": {"opened": "2026-11-23T12:00:00+00:00", "command": ["python"], "generators": []},
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    lines = "".join(json.dumps(trial) + "\n" for trial in trials)
    (folder / "trials.jsonl").write_text(lines, encoding="utf-8")
    (folder / "finalists.json").write_text(json.dumps(summary | world.changes), encoding="utf-8")
