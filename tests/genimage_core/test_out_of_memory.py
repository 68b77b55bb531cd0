"""A device whose memory holds so many images at a time: what is done in parts, and what fails."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from genimage_core import training
from genimage_core.data.batches import ImageSet
from genimage_core.detectors.detector import build_detector
from genimage_core.device import halve_until_it_fits
from genimage_core.evaluation import evaluate, predict
from genimage_core.policy import FrequencyPolicy
from genimage_core.settings import TrainingSettings
from genimage_core.steps import Learner, take_step
from genimage_core.training import build_average, build_optimizer, train_epoch

pytestmark = pytest.mark.usefixtures("one_thread")
SETTINGS = TrainingSettings(epochs=2, batch_size=10, learning_rate=0.05, optimizer="sgd")
POLICY = FrequencyPolicy(noise_scale=0.4, mask_kind="ring", mask_radius=0.2)
FULL = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 3.00 GiB of which 1.00 MiB is free.\n"
    "See documentation"
)
PLACES = ("before", "forward", "backward")


def random_set(count=20, size=32):
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return ImageSet((images,), (np.arange(count) % 2).astype(np.uint8), "random")


def limit(detector, images, place="before"):
    """Let more than so many images at a time not fit; returns the images of every try and of every success.

    Memory ends before the first layer, after the last but the head, or when the head's gradient is there.
    """
    tried, passed = [], []

    def fail(*_):
        raise torch.OutOfMemoryError(FULL)

    def check(module, given):
        if len(given[0]) > images:
            given[0].register_hook(fail) if place == "backward" else fail()

    detector.register_forward_pre_hook(lambda module, given: tried.append(given[0]))
    (detector if place == "before" else detector.head).register_forward_pre_hook(check)
    detector.register_forward_hook(
        lambda module, given, _: passed.append(given[0]) if len(given[0]) <= images else None
    )
    return tried, passed


def learner_of(settings=SETTINGS, name="swin_nano", freeze_depth=0):
    detector = build_detector(name, image_size=32, freeze_depth=freeze_depth, seed=1)
    return Learner(detector, build_optimizer(detector, settings), build_average(detector, settings))


def train(learner, settings=SETTINGS, epochs=(0, 1), data=None):
    data = data or random_set()
    return [train_epoch(learner, data, POLICY, settings, epoch=epoch, seed=0) for epoch in epochs]


def state_of(learner):
    return [*learner.detector.parameters(), *(learner.average.parameters() if learner.average else ())]


def assert_close(one, other, **tolerance):
    for tensor, expected in zip(one, other, strict=True):
        torch.testing.assert_close(tensor.detach(), expected.detach(), **tolerance)


def test_a_step_whose_batch_fits_is_the_plain_one_bit_for_bit():
    ours, theirs = learner_of(), learner_of()
    data = random_set(10)
    images = torch.from_numpy(data.shards[0]).permute(0, 3, 1, 2) / 255
    labels = torch.from_numpy(data.labels).float()
    loss = take_step(ours, images, labels, clip_norm=0.5)
    expected = functional.binary_cross_entropy_with_logits(theirs.detector(images), labels)
    expected.backward()
    torch.nn.utils.clip_grad_norm_(theirs.detector.parameters(), 0.5)
    theirs.optimizer.step()
    assert torch.equal(loss, expected) and ours.micro_batch is None
    assert_close(state_of(ours), state_of(theirs), rtol=0, atol=0)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("fits", "micro_batch"), [(9, 5), (3, 3), (1, 1)])
def test_gradients_of_a_divided_batch_are_those_of_the_whole(place, fits, micro_batch):
    whole, divided = learner_of(), learner_of()
    data = random_set(10)
    images = torch.from_numpy(data.shards[0]).permute(0, 3, 1, 2) / 255
    labels = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0, 1.0])  # parts of unequal size have unequal gradients
    limit(divided.detector, fits, place)
    losses = [take_step(learner, images, labels, clip_norm=0.5) for learner in (whole, divided)]
    torch.testing.assert_close(*losses)
    assert (whole.micro_batch, divided.micro_batch) == (None, micro_batch)
    gradients = [[p.grad for p in learner.detector.parameters()] for learner in (whole, divided)]
    assert_close(*gradients, rtol=1e-3, atol=1e-6)
    norm = torch.cat([gradient.flatten() for gradient in gradients[1]]).norm()
    assert float(norm) == pytest.approx(0.5, rel=1e-3)  # clipped as a whole
    assert_close(state_of(whole), state_of(divided), rtol=0, atol=1e-6)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("ema_decay", [0.0, 0.5])
def test_epochs_in_parts_train_as_epochs_of_whole_batches(place, ema_decay):
    settings = replace(SETTINGS, ema_decay=ema_decay)
    whole, divided = learner_of(settings), learner_of(settings)
    start = [p.detach().clone() for p in whole.detector.parameters()]
    _, seen = limit(whole.detector, 10)
    _, seen_in_parts = limit(divided.detector, 3, place)
    undisturbed, disturbed = train(whole, settings), train(divided, settings)
    assert torch.equal(torch.cat(seen), torch.cat(seen_in_parts))  # the same order, flips and augmentation
    assert_close(state_of(whole), state_of(divided), rtol=0, atol=2e-6)
    moved = [
        float((p.detach() - before).abs().max())
        for p, before in zip(whole.detector.parameters(), start, strict=True)
    ]
    assert max(moved) > 1e-3, "the tolerance would not see a wrong gradient"
    for one, other in zip(undisturbed, disturbed, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-5) and one.images == other.images


def test_the_smaller_part_is_kept_for_the_rest_of_the_training():
    learner = learner_of()
    tried, _ = limit(learner.detector, 4)
    stats = train(learner)
    assert [len(images) for images in tried] == [10, 5, *[3, 3, 3, 1] * 4]
    assert [s.micro_batch for s in stats] == [3, 3] and learner.micro_batch == 3


def test_memory_that_suffices_is_not_reported():
    learner = learner_of()
    tried, _ = limit(learner.detector, 10)
    assert [s.micro_batch for s in train(learner)] == [None, None]
    assert [len(images) for images in tried] == [10] * 4


def test_a_last_batch_that_is_smaller_than_a_part_stays_whole():
    learner = learner_of()
    tried, _ = limit(learner.detector, 6)
    train(learner, epochs=(0,), data=random_set(14))
    assert [len(images) for images in tried] == [10, 5, 5, 4] and learner.micro_batch == 5


@pytest.mark.parametrize("freeze_depth", [0, 4])
def test_batch_norm_needs_its_whole_batch(freeze_depth):
    learner = learner_of(name="spec", freeze_depth=freeze_depth)
    tried, _ = limit(learner.detector, 9)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        train(learner)
    assert [len(images) for images in tried] == [10]
    text = str(raised.value)
    assert "spec at 32 px with training.batch_size 10" in text and "batch norm" in text
    assert "lower training.batch_size, freeze more (freeze_depth)" in text
    assert "Tried to allocate 2.00 GiB" in text and "documentation" not in text and "\n" not in text


def test_batch_norm_that_is_frozen_needs_no_whole_batch():
    whole, divided = (learner_of(name="spec", freeze_depth=5) for _ in range(2))
    limit(divided.detector, 4, "forward")
    train(whole)
    assert train(divided)[-1].micro_batch == 3
    states = (learner.detector.state_dict() for learner in (whole, divided))
    assert_close(*(state.values() for state in states), rtol=0, atol=1e-5)


@pytest.mark.parametrize("place", PLACES)
def test_one_image_that_does_not_fit_fails_in_clear_words(place):
    learner = learner_of()
    tried, _ = limit(learner.detector, 0, place)
    with pytest.raises(
        torch.OutOfMemoryError, match=r"swin_nano at 32 px with training\.batch_size 10"
    ) as raised:
        train(learner)
    assert [len(images) for images in tried] == [10, 5, 3, 2, 1]
    assert "smaller parts" in str(raised.value) and "batch norm" not in str(raised.value)


def test_what_cannot_be_divided_fails_in_clear_words_too(monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError(FULL)

    with monkeypatch.context() as patched, pytest.raises(torch.OutOfMemoryError, match="batch_size 10"):
        patched.setattr(training, "apply", fail)
        train(learner_of())
    learner = learner_of()
    learner.optimizer.register_step_pre_hook(fail)
    tried, _ = limit(learner.detector, 10)
    with pytest.raises(torch.OutOfMemoryError, match="batch_size 10"):
        train(learner)
    assert len(tried) == 1, "a smaller part does not help the optimiser"


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    learner = learner_of()
    calls = []

    def fail(*_):
        calls.append(1)
        raise RuntimeError("shapes do not fit")

    learner.detector.head.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match=r"^shapes do not fit$"):
        train(learner)
    assert len(calls) == 1 and learner.micro_batch is None


@pytest.mark.parametrize(
    ("size", "fits", "tried"), [(8, 8, [8]), (8, 3, [8, 4, 2]), (7, 1, [7, 4, 2, 1]), (1, 1, [1])]
)
def test_sizes_are_halved_until_they_fit(size, fits, tried):
    sizes = []

    def work(now):
        sizes.append(now)
        if now > fits:
            raise torch.OutOfMemoryError(FULL)
        return "done"

    assert halve_until_it_fits(work, size) == ("done", tried[-1]) and sizes == tried


def test_what_a_failed_try_held_is_free_before_the_next():
    held = []

    def work(size):
        gc.disable()  # the memory of a device waits for no collector
        assert all(reference() is None for reference in held)
        activations = torch.zeros(size)
        held.append(weakref.ref(activations))
        if size > 1:
            raise torch.OutOfMemoryError(FULL)

    try:
        halve_until_it_fits(work, 4)
    finally:
        gc.enable()
    assert len(held) == 3


@pytest.mark.parametrize("fits", [1, 3, 19])
def test_logits_do_not_depend_on_how_many_images_fit(fits):
    data = random_set()
    expected = predict(build_detector("swin_nano", image_size=32, seed=1), data)
    detector = build_detector("swin_nano", image_size=32, seed=1)
    limit(detector, fits, "forward")
    np.testing.assert_allclose(predict(detector, data, 20), expected, atol=1e-5, rtol=0)
    changed = predict(detector, data, 20, change=lambda images: images.flip(3))
    assert not np.allclose(changed, expected, atol=1e-4)


def test_batch_norm_is_evaluated_in_parts():
    data = random_set()
    detector = build_detector("spec", image_size=32, seed=1)
    expected = predict(detector, data)
    limit(detector, 6)
    np.testing.assert_allclose(predict(detector, data), expected, atol=1e-5, rtol=0)


def test_an_image_that_cannot_be_evaluated_fails_in_clear_words():
    detector = build_detector("swin_nano", image_size=32)
    tried, _ = limit(detector, 0)
    with pytest.raises(torch.OutOfMemoryError, match="evaluating one image of 32 px at a time") as raised:
        evaluate(detector, {"adm": random_set()})
    assert len(tried[-1]) == 1 and "Tried to allocate 2.00 GiB" in str(raised.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_s_memory_that_ends_divides_the_batch():
    device, gib = torch.device("cuda"), 2**30
    settings = replace(SETTINGS, batch_size=256, epochs=1)
    data = random_set(256, size=224)
    detector = build_detector("swin_nano", image_size=224, seed=1).to(device)
    learner = Learner(detector, build_optimizer(detector, settings))
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(1.5 * gib / total, device)
    try:
        [stats] = train(learner, settings, epochs=(0,), data=data)
        assert stats.micro_batch is not None and stats.micro_batch < 256 and np.isfinite(stats.loss)
        assert torch.cuda.max_memory_reserved(device) <= 1.5 * gib
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
