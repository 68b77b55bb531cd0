"""A job of two small folds, and what does it, without Ray."""

import torch

from genimage_core.data.images import describe_images, list_validation
from genimage_core.data.layout import SPLITS, find_layout
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.policy import FrequencyPolicy
from genimage_core.protocol import Protocol
from genimage_core.settings import DataSettings, TrainingSettings
from search.folds import FoldWorker
from search.job import Job, ReadyBase
from search.space import TrialPlan

CPU = torch.device("cpu")
PROTOCOL = Protocol("one", ("sd14", "biggan"), ("vqdm",))
TRAINING = TrainingSettings(epochs=2, batch_size=4, learning_rate=1e-3)
PLAN = TrialPlan(FrequencyPolicy(noise_scale=0.3), TRAINING, 0, "scratch")
INFO = CheckpointInfo("swin_nano", 32, (), "none", True)


def make_job(root, folder):
    """The job on the images in `root`, its run and cache in `folder`."""
    layout, data = find_layout(root, PROTOCOL.search), DataSettings(32, 4, 4, "none")
    return Job(
        run_dir=folder / "run",
        cache=folder / "cache",
        layout=layout,
        search=PROTOCOL.search,
        folds=PROTOCOL.folds,
        data=data,
        detector="swin_nano",
        bases={"scratch": ReadyBase(None, INFO)},
        objective="off_family_accuracy",
        seed=0,
        identities=identities(layout, data),
        board=folder / "run" / "tensorboard",
        validated=list_validation(layout, PROTOCOL.search, data, 0),
    )


def identities(layout, data):
    return {
        (name, split, 0): describe_images(layout, name, split, data, 0).identity
        for name in layout.generators
        for split in SPLITS
    }


def work(job, rank=0, world_size=1, plan=PLAN):
    worker = FoldWorker(job, rank, world_size, CPU)
    worker.load(plan, job.seed)
    return worker


def numbers(results):
    """What an epoch gave, without the seconds it took."""
    return {fold: (result.loss, result.scores) for fold, result in results.items()}
