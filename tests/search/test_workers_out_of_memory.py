"""Workers of a device whose memory holds so many images at a time: what is noted, and that they live on."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import ray.train
import ray.train.torch
import torch
from small_job import CPU, PLAN, numbers, work

from search import folds, workers
from search.capacity import GroupShape
from search.folds import FoldWorker
from search.job import FoldResult, smallest_micro_batch
from search.workers import Failure, serve

pytestmark = pytest.mark.usefixtures("one_thread")
FULL = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.00 MiB free. See documentation"


def limit(detector, images):
    """Let more than so many images at a time not fit."""

    def check(module, given):
        if len(given[0]) > images:
            raise torch.OutOfMemoryError(FULL)

    detector.register_forward_pre_hook(check)


def limited(job, images, plan=PLAN):
    worker = work(job, plan=plan)
    for run in worker.running:
        limit(run.detector, images)
    return worker


def test_a_divided_batch_is_in_the_result_of_its_fold_and_changes_no_other_number(job):
    plan = replace(PLAN, training=replace(PLAN.training, optimizer="sgd", learning_rate=0.05))
    whole, worker = work(job, plan=plan), work(job, plan=plan)
    limit(worker.running[1].detector, 2)
    expected, results = whole.epoch(0), worker.epoch(0)
    assert [result.micro_batch for result in results.values()] == [None, 2]
    for fold, result in results.items():
        assert result.loss == pytest.approx(expected[fold].loss, rel=1e-5)
        assert result.scores == expected[fold].scores
    assert [result.micro_batch for result in worker.epoch(1).values()] == [None, 2]


def test_a_restored_trial_knows_how_much_fits(job, tmp_path):
    first = limited(job, 2)
    first.epoch(0)
    first.save(tmp_path / "saved")
    second = work(job)
    second.restore(tmp_path / "saved")
    results = second.epoch(1)
    assert [result.micro_batch for result in results.values()] == [2, 2]
    assert numbers(results) == numbers(first.epoch(1))


def test_a_checkpoint_of_before_batches_could_be_divided_is_whole(job):
    state = work(job).running[0].state()
    del state["micro_batch"]
    again = work(job).running[0]
    again.restore(state, again.detector, {})
    assert again.learner.micro_batch is None


def test_the_next_trial_starts_with_whole_batches(job):
    worker = limited(job, 2)
    worker.epoch(0)
    worker.load(PLAN, 0)
    assert [result.micro_batch for result in worker.epoch(0).values()] == [None, None]


def test_the_trial_before_makes_room_for_the_next(job, monkeypatch):
    worker, held = work(job), []
    real = folds.build_detector
    monkeypatch.setattr(
        folds, "build_detector", lambda *a, **o: held.append(len(worker.running)) or real(*a, **o)
    )
    worker.load(PLAN, 0)
    assert held == [0, 0]


@pytest.mark.parametrize(
    ("sizes", "noted"), [((None, None), {}), ((None, 8), {"micro_batch": 8}), ((4, 8), {"micro_batch": 4})]
)
def test_a_trial_notes_its_smallest_parts_if_any(sizes, noted):
    results = {str(n): FoldResult({}, 0.5, 1.0, 1.0, math.nan, size) for n, size in enumerate(sizes)}
    assert smallest_micro_batch(results) == noted


@pytest.fixture
def answers_to(job, monkeypatch):
    """Serves commands as a worker of Ray Train does; returns the answers."""
    monkeypatch.setattr(workers.ray, "get", lambda value: value)
    monkeypatch.setattr(
        ray.train,
        "get_context",
        lambda: SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 1),
    )
    monkeypatch.setattr(ray.train.torch, "get_device", lambda: CPU)
    monkeypatch.setattr(workers, "note_placement_group", lambda *_: None)

    def answers_to(*commands):
        waiting, answers = [*commands, None], []
        mailbox = SimpleNamespace(
            next=SimpleNamespace(remote=lambda rank: waiting.pop(0)),
            answer=SimpleNamespace(remote=lambda rank, answer: answers.append(answer)),
            beat=SimpleNamespace(remote=lambda: None),
        )
        serve({"job": job, "shape": GroupShape(1, 1.0, 0.0), "mailbox": mailbox, "name": "group"})
        return answers

    return answers_to


def test_a_worker_tells_that_memory_is_out_and_lives_on(answers_to, job, tmp_path, monkeypatch):
    undisturbed = numbers(work(job).epoch(0))
    real, allowed = folds.build_detector, iter([0, 4, 100, 100])

    def build(*arguments, **options):
        detector = real(*arguments, **options)
        limit(detector, next(allowed))
        return detector

    monkeypatch.setattr(folds, "build_detector", build)
    load = ("load", PLAN, 0, {}, tmp_path / "board", None)
    _, failed, _, result = answers_to(load, ("epoch", 0), load, ("epoch", 0))
    assert isinstance(failed, Failure) and numbers(result) == undisturbed
    assert failed.text.startswith(
        "detector of sd14: out of memory during 'epoch': training swin_nano at 32 px"
    )
    assert "training.batch_size 4" in failed.text and "lower training.batch_size" in failed.text


@pytest.mark.parametrize("verb", ["load", "save"])
def test_memory_that_is_out_anywhere_fails_the_command_only(answers_to, tmp_path, monkeypatch, verb):
    def fail(*_):
        raise torch.OutOfMemoryError(f"{FULL}\nfor details")

    load, save = ("load", PLAN, 0, {}, tmp_path / "board", None), ("save", tmp_path / "saved")
    with monkeypatch.context() as patched:
        patched.setattr(FoldWorker, verb, fail)
        answers = answers_to(load, save)
    assert answers[verb == "save"].text == f"out of memory during {verb!r}: {FULL} for details"


def test_a_lost_device_is_left_to_another_group(answers_to, tmp_path, monkeypatch):
    def fail(*_):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(FoldWorker, "load", fail)
    with pytest.raises(torch.AcceleratorError):
        answers_to(("load", PLAN, 0, {}, tmp_path / "board", None))
