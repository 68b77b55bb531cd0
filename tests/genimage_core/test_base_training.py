import numpy as np
import pytest
import torch

from genimage_core.base_training import repeat, train_detector
from genimage_core.data.batches import ImageSet
from genimage_core.settings import TrainingSettings


def image_set(count):
    """Every image is of one grey, that of its index."""
    grey = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return ImageSet((np.tile(grey, (1, 32, 32, 3)),), np.arange(count, dtype=np.uint8) % 2, f"{count} greys")


def times_seen(images):
    return np.bincount(images.take(range(len(images.labels)))[:, 0, 0, 0])


@pytest.mark.parametrize(("there", "count"), [(6, 6), (6, 12), (6, 15), (6, 5), (5, 24)])
def test_an_epoch_of_any_length_has_all_images_equally_often_but_for_a_rest(there, count):
    seen = times_seen(repeat(image_set(there), count, seed=0, epoch=0))
    assert seen.sum() == count and set(seen) <= {count // there, count // there + 1}


def test_the_rest_is_drawn_anew_in_every_epoch_and_by_seed():
    def draw(seed, epoch):
        return repeat(image_set(40), 60, seed=seed, epoch=epoch).rows.tolist()

    assert draw(0, 0) == draw(0, 0) and draw(0, 0) != draw(0, 1) and draw(0, 0) != draw(1, 0)


def train(images, **more):
    settings = TrainingSettings(epochs=2, batch_size=4, learning_rate=1e-3)
    report = []
    trained = train_detector(
        "swin_nano",
        images,
        settings,
        seed=3,
        device=torch.device("cpu"),
        report=lambda *told: report.append(told),
        **more,
    )
    return trained, report


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_set_of_the_length_of_an_epoch_is_learnt_as_ever():
    (plain, report), (asked, _) = train(image_set(6)), train(image_set(6), epoch_images=6)
    assert same(plain.detector, asked.detector) and plain.loss == asked.loss
    assert [epoch for epoch, _ in report] == [1, 2] and report[-1][1] == plain.loss and plain.seconds > 0
    assert not same(plain.detector, train(image_set(6), epoch_images=12)[0].detector)
