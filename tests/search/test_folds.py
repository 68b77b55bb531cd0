import math
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_job import CPU, INFO, PLAN, TRAINING, identities, numbers, work

from genimage_core import fold_training
from genimage_core.calibration import fit_temperature
from genimage_core.data.batches import join
from genimage_core.data.layout import find_layout
from genimage_core.detectors.detector import load_detector
from genimage_core.detectors.info import read_info
from genimage_core.evaluation import evaluate, predict
from genimage_core.frozen_features import FrozenFeatures
from genimage_core.policy import FrequencyPolicy
from genimage_core.protocol import Protocol
from search.folds import FoldWorker
from search.job import ReadyBase, merge
from search.space import TrialPlan

pytestmark = pytest.mark.usefixtures("one_thread")


def test_other_images_than_where_the_search_began_are_refused(job):
    folder = next(place.folder for place in job.layout.places if place.split == "val")
    Image.new("RGB", (40, 40)).save(next(iter(folder.iterdir())))
    with pytest.raises(ValueError, match=r"has other val images of (sd14|biggan) under"):
        FoldWorker(job, 0, 1, CPU)


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


def test_a_training_state_that_would_run_something_is_refused(job, tmp_path):
    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "executed",)

    worker = work(job)
    worker.save(tmp_path / "saved")
    for state in (tmp_path / "saved").glob("*.training.pt"):
        torch.save(torch.load(state, weights_only=True) | {"extra": Payload()}, state)
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            worker.restore(tmp_path / "saved")
        assert not (tmp_path / "executed").exists()
        torch.load(state, weights_only=False)
        assert (tmp_path / "executed").exists(), "the payload is none"
        (tmp_path / "executed").unlink()


def test_the_next_trial_starts_anew(job):
    worker = work(job)
    first = numbers(worker.epoch(0))
    worker.epoch(1)
    worker.load(PLAN, 0)
    assert numbers(worker.epoch(0)) == first
    worker.load(TrialPlan(FrequencyPolicy(noise_scale=1.0), TRAINING, 0, "scratch"), 0)
    assert numbers(worker.epoch(0)) != first


def test_what_is_saved_is_the_detector_and_says_what_it_knows(job, tmp_path):
    worker = work(job)
    results = worker.epoch(0)
    worker.save(tmp_path / "saved")
    for fold in ("sd14", "biggan"):
        path = tmp_path / "saved" / f"{fold}.safetensors"
        assert replace(read_info(path), temperature=None) == replace(
            INFO, generators=(fold,), calibrated_on=(fold,)
        )
        assert evaluate(load_detector(path), worker.validation) == results[fold].scores


def own_temperature(worker, path, generators):
    """What the weights on the disk say of validation images of these generators, calibrated anew."""
    images = join([worker.validation[name] for name in generators])
    return fit_temperature(predict(load_detector(path), images), images.labels)


def test_the_temperature_is_that_of_the_weights_that_are_kept(job, tmp_path):
    worker = work(job)
    worker.save(tmp_path / "untrained")
    assert read_info(tmp_path / "untrained" / "sd14.safetensors").temperature is None
    worker.epoch(0)
    worker.save(tmp_path / "saved")
    restored = work(job)
    restored.restore(tmp_path / "saved")
    restored.save(tmp_path / "again")
    for fold in ("sd14", "biggan"):
        path = tmp_path / "saved" / f"{fold}.safetensors"
        kept = read_info(path).temperature
        assert kept == pytest.approx(own_temperature(worker, path, [fold]), rel=1e-4)
        assert read_info(tmp_path / "again" / f"{fold}.safetensors").temperature == kept


def test_frozen_parts_stay_on_the_base(job, tmp_path):
    worker = work(job)
    worker.save(tmp_path / "base")
    from_base = replace(job, bases={"own": ReadyBase(tmp_path / "base" / "sd14.safetensors", INFO)})
    frozen = work(from_base, plan=TrialPlan(FrequencyPolicy(), TRAINING, 5, "own"))
    frozen.epoch(0)
    base = load_detector(tmp_path / "base" / "sd14.safetensors").state_dict()
    for running in frozen.running:
        after = running.detector.state_dict()
        assert all(torch.equal(after[name], base[name]) for name in base if name.startswith("parts."))
        assert not torch.equal(after["head.fc.weight"], base["head.fc.weight"])


def test_folds_and_epochs_share_what_frozen_parts_say_of_validation_images(job, tmp_path, monkeypatch):
    job = with_base(job, tmp_path)
    plan = TrialPlan(FrequencyPolicy(), TRAINING, 3, "scratch")

    def two_epochs(frozen):
        worker, calls = work(job, plan=plan), []
        monkeypatch.setattr(worker, "_frozen", frozen)
        for run in worker.running:
            run.detector.parts[0].register_forward_pre_hook(
                lambda part, given: calls.append(1) if torch.is_inference_mode_enabled() else None
            )
        return [numbers(worker.epoch(epoch)) for epoch in range(2)], len(calls)

    shared, calls = two_epochs(FrozenFeatures())
    alone, each_time = two_epochs(FrozenFeatures(room_bytes=0))
    assert shared == alone
    assert (calls, each_time) == (2, 2 * 2 * 2)  # a batch of each of two generators; by two folds, two epochs


def with_base(job, tmp_path):
    """The job on a base that was trained on sd14."""
    first = work(replace(job, run_dir=tmp_path / "base"))
    first.epoch(0)
    first.save(tmp_path / "base")
    path = tmp_path / "base" / "sd14.safetensors"
    return replace(job, bases={"scratch": ReadyBase(path, replace(INFO, generators=("sd14",)), ("sd14",))})


def test_what_is_forgotten_is_counted_from_what_the_base_could(job, tmp_path):
    job = with_base(job, tmp_path)
    before = evaluate(load_detector(job.bases["scratch"].path), {"sd14": work(job).validation["sd14"]})[
        "sd14"
    ].accuracy
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


def test_every_trial_starts_from_its_own_base_and_forgets_of_that(job, tmp_path):
    trained = with_base(job, tmp_path).bases["scratch"]
    both = work(replace(job, bases={"scratch": job.bases["scratch"], "trained": trained}))
    assert all(math.isnan(result.forgotten) for result in both.epoch(0).values())
    both.save(tmp_path / "plain")
    both.load(replace(PLAN, base="trained", freeze_depth=5), 0)
    assert all(math.isfinite(result.forgotten) for result in both.epoch(0).values())
    both.save(tmp_path / "tuned")
    assert read_info(tmp_path / "plain" / "biggan.safetensors").generators == ("biggan",)
    assert read_info(tmp_path / "tuned" / "biggan.safetensors").generators == ("sd14", "biggan")
    before, after = load_detector(trained.path), load_detector(tmp_path / "tuned" / "biggan.safetensors")
    assert all(a.equal(b) for a, b in zip(before.parts.parameters(), after.parts.parameters(), strict=True))


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


SEVERAL = Protocol("all_but_one", ("sd14", "biggan", "adm", "glide"))


@pytest.fixture
def several(tmp_path, write_tree, job):
    """Four folds of three training generators each."""
    root = write_tree(tmp_path / "Four", list(SEVERAL.search), train=4, val=4)
    layout = find_layout(root, SEVERAL.search)
    return replace(
        job,
        layout=layout,
        search=SEVERAL.search,
        folds=SEVERAL.folds,
        identities=identities(layout, job.data),
    )


def patient(patience, epochs=6, **more):
    return replace(PLAN, training=replace(TRAINING, epochs=epochs, patience=patience, **more))


def steer(monkeypatch, accuracies):
    """Let the held-out generators have these accuracies, epoch by epoch."""
    real, epochs = fold_training.score_all, {}

    def steered(logits, sets):
        scores = real(logits, sets)
        at = epochs.setdefault("now", 0)
        return {name: replace(score, accuracy=accuracies[at]) for name, score in scores.items()}

    monkeypatch.setattr(fold_training, "score_all", steered)
    return epochs


def test_a_training_ends_when_its_held_out_generator_gets_no_better_and_keeps_the_best(
    several, monkeypatch, tmp_path
):
    worker = work(replace(several, folds=several.folds[:1]), plan=patient(2))
    [run] = worker.running
    assert run.held_out in run.fold.train and run.held_out not in run.images and len(run.images) == 2
    epochs = steer(monkeypatch, [0.5, 0.7, 0.6, 0.7, 0.9, 0.9])
    seen, kept = [], []
    for epoch in range(6):
        epochs["now"] = epoch
        [result] = worker.epoch(epoch).values()
        seen.append((result.scores["sd14"].accuracy, result.train_s > 0))
        kept.append({name: tensor.clone() for name, tensor in run.kept.state_dict().items()})
    # Equal is not better: epochs 2 and 3 use the patience up, the last two are not trained any more.
    assert seen == [(0.5, True), (0.7, True), (0.7, True), (0.7, True), (0.7, False), (0.7, False)]
    for later in kept[2:]:
        assert all(torch.equal(later[name], tensor) for name, tensor in kept[1].items())
    worker.save(tmp_path / "saved")
    path = tmp_path / "saved" / f"{run.fold.name}.safetensors"
    # Of the epoch that is kept, and without the generator that is held out.
    assert read_info(path).temperature == pytest.approx(own_temperature(worker, path, run.images), rel=1e-4)
    saved = load_detector(path).state_dict()
    assert all(torch.equal(saved[name], tensor) for name, tensor in kept[1].items())


@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_a_patient_training_continues_as_if_it_had_not_been_cut_off(several, tmp_path, ema_decay):
    plan = patient(3, ema_decay=ema_decay)
    one_fold = replace(several, folds=several.folds[:1])
    undisturbed = work(one_fold, plan=plan)
    for epoch in range(2):
        undisturbed.epoch(epoch)
    undisturbed.save(tmp_path / "saved")
    restored = work(one_fold, plan=plan)
    restored.restore(tmp_path / "saved")
    for epoch in range(2, 5):
        assert numbers(restored.epoch(epoch)) == numbers(undisturbed.epoch(epoch))


def test_what_is_learnt_can_be_shown_by_fold(several):
    worker = work(several, plan=patient(1))
    for run in worker.running:
        shown = worker.training_sets[run.fold.name]
        assert len(shown.labels) == 8 * 2 and run.held_out not in run.images


def test_generators_are_learnt_in_the_order_of_a_curriculum(several, monkeypatch):
    plan = replace(PLAN, training=replace(TRAINING, epochs=6, curriculum="glide, adm, sd14, biggan"))
    worker, learnt = work(several, plan=plan), []
    real = fold_training.join
    monkeypatch.setattr(fold_training, "join", lambda sets: learnt.append(len(sets)) or real(sets))
    assert [list(run.images) for run in worker.running] == [
        [name for name in ("glide", "adm", "sd14", "biggan") if name in fold.train] for fold in SEVERAL.folds
    ]
    for epoch in range(4):
        worker.epoch(epoch)
    assert learnt == [1] * 4 + [2] * 4 + [3] * 8


def test_a_measured_curriculum_follows_the_base(several, tmp_path):
    first = work(replace(several, run_dir=tmp_path / "base"))
    first.save(tmp_path / "base")
    base = next((tmp_path / "base").glob("*.safetensors"))
    measured = replace(several, bases={"scratch": ReadyBase(base, INFO)})
    worker = work(measured, plan=replace(PLAN, training=replace(TRAINING, curriculum="measured")))
    accuracy = {n: s.accuracy for n, s in evaluate(load_detector(base), worker.validation).items()}
    for run in worker.running:
        order = [accuracy[name] for name in run.images]
        assert order == sorted(order, reverse=True) and set(run.images) == set(run.fold.train)
