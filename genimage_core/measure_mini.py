"""Measures what the embedded data set's card states: the cross-generator matrix and the shortcut check."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from genimage_core.base_training import train_detector
from genimage_core.data.images import load_images
from genimage_core.data.layout import SPLITS, Layout, find_layout
from genimage_core.data.mini import MINI_VERSION, MiniSettings, ensure_mini
from genimage_core.evaluation import evaluate
from genimage_core.generators import GENIMAGE
from genimage_core.settings import DataSettings, TrainingSettings

DETECTOR = "swin_nano"
TRAINING = TrainingSettings(epochs=6, batch_size=32, learning_rate=1e-3, clip_norm=1.0, flip=False)
HARD_BELOW = 0.9  # in-domain accuracy under which a generator is called hard

Report = Callable[[str], None]
Matrix = NDArray[np.float64]


def measure(cache: Path, seeds: Sequence[int], command: str, report: Report) -> dict[str, Any]:
    """Train one detector per generator and seed from random weights and test it on all generators.

    Returns:
        The content of `mini_matrix.json`, every share within [0, 1].
    """
    settings = MiniSettings()
    root = ensure_mini(cache, settings)
    data = DataSettings(settings.image_size, settings.train_per_class, settings.val_per_class, "none")
    matrices = np.array([cross_generator_matrix(root, cache, data, seed, report) for seed in seeds])
    mean = matrices.mean(axis=0)
    # Binomial over the images of one test, plus what the seeds add.
    error = np.sqrt(mean * (1 - mean) / (2 * settings.val_per_class) + matrices.var(axis=0) / len(seeds))
    return {
        "version": MINI_VERSION,
        "simulated": True,
        "detector": f"{DETECTOR} at {settings.image_size} px, random initial weights",
        "training": ", ".join(f"{name} {value}" for name, value in asdict(TRAINING).items()),
        "command": command,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, one thread",
        "seeds": list(seeds),
        "hard": [name for i, name in enumerate(GENIMAGE.names) if mean[i, i] < HARD_BELOW],
        "rows": list(GENIMAGE.names),
        "columns": list(GENIMAGE.names),
        "accuracy": mean.round(4).tolist(),
        "standard_error": error.round(4).tolist(),
        "shortcut": measure_shortcuts(root),
    }


def cross_generator_matrix(root: Path, cache: Path, data: DataSettings, seed: int, report: Report) -> Matrix:
    """Return the balanced accuracies of one detector per generator (row) on every generator (column)."""
    layout = find_layout(root)
    validation = {name: load_images(layout, name, "val", data, seed, cache) for name in GENIMAGE.names}
    rows = []
    for name in GENIMAGE.names:
        images = load_images(layout, name, "train", data, seed, cache)
        trained = train_detector(DETECTOR, images, TRAINING, seed=seed, device=torch.device("cpu"))
        scores = evaluate(trained.detector, validation)
        rows.append([scores[test].accuracy for test in GENIMAGE.names])
        report(
            f"seed {seed}, {name}: "
            + ", ".join(f"{test} {scores[test].accuracy:.3f}" for test in GENIMAGE.names)
        )
    return np.array(rows)


def measure_shortcuts(root: Path) -> dict[str, dict[str, float]]:
    """Try to tell real from fake by file alone, per generator and over all of them.

    Returns:
        Accuracy and its 95 % interval, by generator and under `pooled`.
    """
    layout = find_layout(root)
    tables = {name: file_features(layout, name) for name in layout.generators}
    features, fake, scenes = zip(*tables.values(), strict=True)
    pooled = classify_files(np.concatenate(features), np.concatenate(fake), np.concatenate(scenes))
    return {name: classify_files(*table) for name, table in tables.items()} | {"pooled": pooled}


def file_features(layout: Layout, generator: str) -> tuple[Matrix, NDArray[np.bool_], NDArray[np.str_]]:
    """Return what a file shows without its pixels: bytes, width, height, quantisation, format.

    Returns:
        Features (N, 5), whether each is fake (N,), and its scene (N,).
    """
    features, fake, scenes = [], [], []
    for split in SPLITS:
        for label in (0, 1):
            for path in layout.images(generator, split, label):
                features.append(_features_of(path))
                fake.append(label == 1)
                scenes.append(f"{generator}/{path.stem}")
    return np.array(features, dtype=float), np.array(fake), np.array(scenes)


def _features_of(path: Path) -> tuple[float, ...]:
    with Image.open(path) as image:
        tables: Mapping[int, Sequence[int]] = getattr(image, "quantization", {})
        coarseness = sum(sum(table) for table in tables.values())
        return path.stat().st_size, image.width, image.height, coarseness, float(image.format == "JPEG")


def classify_files(features: Matrix, fake: NDArray[np.bool_], scenes: NDArray[np.str_]) -> dict[str, float]:
    """Cross-validate gradient boosting by scene; the interval counts scenes, not images."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import GroupKFold, cross_val_predict

    classifier = HistGradientBoostingClassifier(max_depth=3, max_iter=60, random_state=0)
    folds = GroupKFold(5, shuffle=True, random_state=0)
    hit = cross_val_predict(classifier, features, fake, groups=scenes, cv=folds) == fake
    _, scene = np.unique(scenes, return_inverse=True)
    per_scene = np.bincount(scene, hit) / np.bincount(scene)
    accuracy, half = float(hit.mean()), 1.96 * float(per_scene.std(ddof=1) / np.sqrt(len(per_scene)))
    return {
        name: round(v, 4)
        for name, v in zip(
            ("accuracy", "low", "high"), (accuracy, accuracy - half, accuracy + half), strict=True
        )
    }
