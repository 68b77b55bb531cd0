import numpy as np
import pytest
import torch

from genimage_core.data.batches import ImageSet
from genimage_core.degrade import low_resolution
from genimage_core.detectors.catalogue import DETECTORS
from genimage_core.detectors.detector import build_detector
from genimage_core.evaluation import predict
from genimage_core.frozen_features import FrozenFeatures

SIZES = {"f3net_mix": 64}
LARGE = ("swin_t", "f3net", "f3net_mix")
EVERY = [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in DETECTORS]
BATCH = 3


def images(count=5, size=32, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    return ImageSet((pixels,), np.arange(count, dtype=np.uint8) % 2, f"images {seed}")


def build(depth, seed=0, name="swin_nano"):
    return build_detector(name, image_size=SIZES.get(name, 32), freeze_depth=depth, seed=seed)


def count_calls(detector):
    """How often the first part works, in a list of one number."""
    calls = [0]

    def count(*_):
        calls[0] += 1

    detector.parts[0].register_forward_pre_hook(count)
    return calls


def learn(detector):
    """Change what is not frozen."""
    with torch.no_grad():
        for parameter in detector.parameters():
            if parameter.requires_grad:
                parameter.add_(0.01)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("depth", [1, 4])
def test_logits_are_the_same_bit_for_bit_and_frozen_parts_work_once(name, depth, one_thread):
    detector, data, frozen = build(depth, name=name), images(size=SIZES.get(name, 32)), FrozenFeatures()
    calls = count_calls(detector)
    for _ in range(3):
        kept = predict(detector, data, BATCH, frozen=frozen)
        before = calls[0]
        np.testing.assert_array_equal(kept, predict(detector, data, BATCH))
        calls[0] = before
        learn(detector)
    assert calls[0] == 2  # batches of 3 and 2 images


def test_detectors_that_share_their_frozen_parts_share_features(one_thread):
    one, other, data, frozen = build(3), build(3), images(), FrozenFeatures()
    learn(other)
    calls = count_calls(other)
    predict(one, data, BATCH, frozen=frozen)
    logits = predict(other, data, BATCH, frozen=frozen)
    assert calls == [0]
    np.testing.assert_array_equal(logits, predict(other, data, BATCH))


@pytest.mark.parametrize("other", [build(3, seed=1), build(2), build(4)], ids=["weights", "less", "more"])
def test_other_frozen_parts_are_not_mistaken_for_these(other, one_thread):
    data, frozen = images(), FrozenFeatures()
    predict(build(3), data, BATCH, frozen=frozen)
    np.testing.assert_array_equal(predict(other, data, BATCH, frozen=frozen), predict(other, data, BATCH))


@pytest.mark.parametrize("kind", ["parameter", "buffer"])
def test_a_change_in_place_is_noticed(kind, one_thread):
    detector, data, frozen = build(3, name="resnet50"), images(), FrozenFeatures()
    before = predict(detector, data, BATCH, frozen=frozen)
    norm = detector.parts[0][1]
    (norm.weight.data if kind == "parameter" else norm.running_mean).add_(1.0)
    after = predict(detector, data, BATCH, frozen=frozen)
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, predict(detector, data, BATCH))


def test_other_images_and_batches_have_features_of_their_own(one_thread):
    detector, frozen = build(3), FrozenFeatures()
    for data in (images(), images(seed=1), images().select([4, 2, 0])):
        for size in (3, 2, 5):
            kept = predict(detector, data, size, frozen=frozen)
            np.testing.assert_array_equal(kept, predict(detector, data, size))


def test_what_has_no_room_is_computed_each_time(one_thread):
    detector, data = build(3), images()
    full = FrozenFeatures()
    expected = predict(detector, data, BATCH, frozen=full)
    tight = FrozenFeatures(room_bytes=full.nbytes - 1)
    calls = count_calls(detector)
    for _ in range(2):
        np.testing.assert_array_equal(predict(detector, data, BATCH, frozen=tight), expected)
    assert 0 < tight.nbytes < full.nbytes
    assert calls == [3]  # the batch that had no room twice


def test_nothing_is_kept_where_nothing_is_frozen(one_thread):
    detector, data, frozen = build(0), images(), FrozenFeatures()
    np.testing.assert_array_equal(
        predict(detector, data, BATCH, frozen=frozen), predict(detector, data, BATCH)
    )
    assert frozen.nbytes == 0


def test_changed_images_have_no_features_to_keep():
    with pytest.raises(ValueError, match="either change or frozen"):
        predict(build(3), images(), change=lambda batch: low_resolution(batch, 8), frozen=FrozenFeatures())
