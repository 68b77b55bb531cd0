"""A small study without Ray: policies and seeds, one detector per generator, tested on the others."""

import argparse
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import torch

from genimage_core.cache import cache_folder
from genimage_core.data.batches import ImageSet
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.data.mini import MiniSettings, ensure_mini
from genimage_core.detectors.detector import build_detector
from genimage_core.evaluation import evaluate
from genimage_core.policy import FrequencyPolicy
from genimage_core.protocol import Protocol, summarise
from genimage_core.settings import DataSettings, TrainingSettings, derive_seed
from genimage_core.steps import Learner
from genimage_core.training import build_optimizer, train_epoch

SEARCHED = ("sd14", "biggan", "glide", "adm")
POLICIES: Mapping[str, FrequencyPolicy] = {
    "baseline": FrequencyPolicy(),
    "low_pass 0.3": FrequencyPolicy(mask_kind="low_pass", mask_radius=0.3),
    "low_pass 0.2": FrequencyPolicy(mask_kind="low_pass", mask_radius=0.2),
    "noise 0.3": FrequencyPolicy(noise_scale=0.3),
    "phase 0.5": FrequencyPolicy(phase_perturb_prob=0.5),
}
TRAINING = TrainingSettings(epochs=6, batch_size=64, learning_rate=3e-4, flip=False)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train every policy with every seed; off-family accuracies, and their differences to the baseline."""
    started = time.perf_counter()
    sets = load(arguments.size, arguments.images)
    values = {
        name: [train_all(arguments, policy, sets, seed) for seed in range(arguments.seeds)]
        for name, policy in POLICIES.items()
    }
    return {
        "simulated": True,
        "detector": f"{arguments.detector} at {arguments.size} px, random initial weights",
        "training_images_per_class": arguments.images,
        "epochs": TRAINING.epochs,
        "seeds": list(range(arguments.seeds)),
        "minutes": round((time.perf_counter() - started) / 60, 1),
        "off_family_accuracy": values,
        "difference_to_baseline": {
            name: summarise_pairs([a - b for a, b in zip(of_policy, values["baseline"], strict=True)])
            for name, of_policy in values.items()
            if name != "baseline"
        },
    }


def summarise_pairs(differences: list[float]) -> dict[str, float | None]:
    """Mean and standard deviation over the seeds."""
    return {
        "mean": round(fmean(differences), 4),
        "deviation": round(stdev(differences), 4) if len(differences) > 1 else None,
    }


def load(size: int, images: int) -> dict[tuple[str, str], ImageSet]:
    """Images of the searched generators, by generator and split."""
    usual = MiniSettings()
    settings = replace(usual, image_size=size, train_per_class=images, val_per_class=max(2, images // 4))
    layout = find_layout(ensure_mini(cache_folder(), settings))
    data = DataSettings(size, settings.train_per_class, settings.val_per_class, "none")
    return {
        (name, split): load_images(layout, name, split, data, 0, cache_folder())
        for name in SEARCHED
        for split in ("train", "val")
    }


def train_all(
    arguments: argparse.Namespace,
    policy: FrequencyPolicy,
    sets: Mapping[tuple[str, str], ImageSet],
    seed: int,
) -> float:
    """Off-family accuracy of one detector per generator."""
    folds = Protocol("one", SEARCHED).folds
    validation = {name: sets[name, "val"] for name in SEARCHED}
    matrix = {}
    for index, fold in enumerate(folds):
        own = derive_seed(seed, index)
        detector = build_detector(arguments.detector, image_size=arguments.size, seed=own)
        detector = detector.to(arguments.device)
        learner = Learner(detector, build_optimizer(detector, TRAINING))
        for epoch in range(TRAINING.epochs):
            train_epoch(learner, sets[fold.name, "train"], policy, TRAINING, epoch=epoch, seed=own)
        matrix[fold.name] = evaluate(detector, validation)
        torch.cuda.empty_cache()
    return round(summarise(folds, matrix)["off_family_accuracy"], 4)
