import math
from dataclasses import replace

import pytest
import torch
from PIL import Image

from genimage_core.data.images import describe_images
from genimage_core.data.layout import SPLITS, find_layout
from genimage_core.detectors.detector import load_detector
from genimage_core.detectors.info import CheckpointInfo, read_info
from genimage_core.evaluation import evaluate
from genimage_core.policy import FrequencyPolicy
from genimage_core.protocol import Protocol
from genimage_core.settings import DataSettings, TrainingSettings
from search.folds import FoldWorker
from search.job import Job, merge
from search.space import TrialPlan

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
PROTOCOL = Protocol("one", ("sd14", "biggan"), ("vqdm",))
TRAINING = TrainingSettings(epochs=2, batch_size=4, learning_rate=1e-3)
PLAN = TrialPlan(FrequencyPolicy(noise_scale=0.3), TRAINING, 0)


@pytest.fixture
def job(tmp_path, write_tree):
    root = write_tree(tmp_path / "GenImage", ["sd14", "biggan"], train=4, val=4)
    layout, data = find_layout(root, PROTOCOL.search), DataSettings(32, 4, 4, "none")
    return Job(
        run_dir=tmp_path / "run",
        cache=tmp_path / "cache",
        layout=layout,
        search=PROTOCOL.search,
        folds=PROTOCOL.folds,
        data=data,
        detector="swin_nano",
        base=None,
        info=CheckpointInfo("swin_nano", 32, (), "none", True),
        objective="off_family_accuracy",
        seed=0,
        base_generators=(),
        identities={
            (name, split): describe_images(layout, name, split, data, 0).identity
            for name in PROTOCOL.search
            for split in SPLITS
        },
    )


def test_other_images_than_where_the_search_began_are_refused(job):
    folder = next(place.folder for place in job.layout.places if place.split == "val")
    Image.new("RGB", (40, 40)).save(next(iter(folder.iterdir())))
    with pytest.raises(ValueError, match=r"has other val images of (sd14|biggan) under"):
        FoldWorker(job, 0, 1, CPU)


def work(job, rank=0, world_size=1, plan=PLAN):
    worker = FoldWorker(job, rank, world_size, CPU)
    worker.load(plan)
    return worker


def numbers(results):
    """What an epoch gave, without the seconds it took."""
    return {fold: (result.loss, result.scores) for fold, result in results.items()}


def test_every_fold_is_scored_on_every_search_generator(job):
    results = work(job).epoch(0)
    assert set(results) == {"sd14", "biggan"}
    for result in results.values():
        assert list(result.scores) == ["biggan", "sd14"] and result.scores["sd14"].images == 8
        assert result.loss > 0 and result.train_s > 0 and result.eval_s > 0


def test_ranks_share_the_folds_and_change_nothing(job):
    alone = [numbers(work(job).epoch(0))]
    shared = [work(job, rank, 2).epoch(0) for rank in range(2)]
    assert [list(results) for results in shared] == [["sd14"], ["biggan"]]
    assert numbers(merge(shared)) == alone[0]


def test_a_trial_that_is_restored_goes_on_as_if_it_had_not_stopped(job, tmp_path):
    first = work(job)
    first.epoch(0)
    first.save(tmp_path / "saved")
    uninterrupted = numbers(first.epoch(1))
    second = work(job)
    second.restore(tmp_path / "saved")
    assert numbers(second.epoch(1)) == uninterrupted


def test_the_next_trial_starts_anew(job):
    worker = work(job)
    first = numbers(worker.epoch(0))
    worker.epoch(1)
    worker.load(PLAN)
    assert numbers(worker.epoch(0)) == first
    worker.load(TrialPlan(FrequencyPolicy(noise_scale=1.0), TRAINING, 0))
    assert numbers(worker.epoch(0)) != first


def test_what_is_saved_is_the_detector_and_says_what_it_knows(job, tmp_path):
    worker = work(job)
    results = worker.epoch(0)
    worker.save(tmp_path / "saved")
    for fold in ("sd14", "biggan"):
        path = tmp_path / "saved" / f"{fold}.safetensors"
        assert read_info(path) == CheckpointInfo("swin_nano", 32, (fold,), "none", True)
        assert evaluate(load_detector(path), worker.validation) == results[fold].scores


def test_frozen_parts_stay_on_the_base(job, tmp_path):
    worker = work(job)
    worker.save(tmp_path / "base")
    from_base = Job(**{**vars(job), "base": tmp_path / "base" / "sd14.safetensors"})
    frozen = work(from_base, plan=TrialPlan(FrequencyPolicy(), TRAINING, 5))
    frozen.epoch(0)
    base = load_detector(tmp_path / "base" / "sd14.safetensors").state_dict()
    for running in frozen.running:
        after = running.detector.state_dict()
        assert all(torch.equal(after[name], base[name]) for name in base if name.startswith("parts."))
        assert not torch.equal(after["head.fc.weight"], base["head.fc.weight"])


def with_base(job, tmp_path):
    """The job on a base that was trained on sd14."""
    first = work(replace(job, run_dir=tmp_path / "base"))
    first.epoch(0)
    first.save(tmp_path / "base")
    return replace(job, base=tmp_path / "base" / "sd14.safetensors", base_generators=("sd14",))


def test_what_is_forgotten_is_counted_from_what_the_base_could(job, tmp_path):
    job = with_base(job, tmp_path)
    before = evaluate(load_detector(job.base), {"sd14": work(job).validation["sd14"]})["sd14"].accuracy
    results = work(job).epoch(0)
    for result in results.values():
        assert result.forgotten == pytest.approx(before - result.scores["sd14"].accuracy)


def test_the_generator_of_the_base_is_judged_also_outside_the_search_and_kept_out_of_the_matrix(
    job, tmp_path
):
    job = with_base(job, tmp_path)
    fold = Protocol("one", ("biggan", "sd14")).folds[0]
    outside = replace(job, search=("biggan",), folds=(replace(fold, name="biggan", train=("biggan",)),))
    [result] = work(outside).epoch(0).values()
    assert list(result.scores) == ["biggan"] and math.isfinite(result.forgotten)


def test_without_a_trained_base_nothing_is_forgotten(job):
    assert all(math.isnan(result.forgotten) for result in work(job).epoch(0).values())


AVERAGED = replace(PLAN, training=replace(TRAINING, ema_decay=0.5))


def test_the_average_is_judged_kept_and_continued(job, tmp_path):
    undisturbed = work(job, plan=AVERAGED)
    first = numbers(undisturbed.epoch(0))
    assert first != numbers(work(job).epoch(0))  # not that of the weights themselves
    undisturbed.save(tmp_path / "saved")
    for fold, (_, scores) in first.items():
        kept = load_detector(tmp_path / "saved" / f"{fold}.safetensors")
        assert evaluate(kept, undisturbed.validation) == scores
    restored = work(job, plan=AVERAGED)
    restored.restore(tmp_path / "saved")
    assert numbers(restored.epoch(1)) == numbers(undisturbed.epoch(1))
