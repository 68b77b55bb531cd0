import numpy as np
import pytest

from genimage_core.data.batches import BadFile, ImageSet, join


def images(count, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def image_set(*counts, margin=0, name="x", size=16):
    shards = tuple(images(count, size, seed) for seed, count in enumerate(counts))
    labels = (np.arange(sum(counts)) % 2).astype(np.uint8)
    bad = (BadFile(name, "train", 0, "a.png", "truncated"),)
    return ImageSet(shards, labels, name, margin, bad, name, (name,))


@pytest.mark.parametrize("counts", [(7,), (3, 4), (1, 1, 5), (6, 1)])
def test_images_are_gathered_across_shards_in_the_order_asked_for(counts):
    data = image_set(*counts)
    everything = np.concatenate(data.shards)
    for wanted in ([6, 0, 3, 3, 2], range(7), [], np.array([5])):
        np.testing.assert_array_equal(data.take(wanted), everything[np.asarray(wanted, dtype=int)])


def test_crops_are_where_they_are_asked_for():
    data = image_set(4, 3, margin=6)
    wanted, offsets = [5, 1, 5], np.array([[0, 6], [6, 0], [2, 3]])
    got = data.take(wanted, offsets=offsets)
    everything = np.concatenate(data.shards)
    assert data.image_size == 10
    for pixels, index, (top, left) in zip(got, wanted, offsets, strict=True):
        np.testing.assert_array_equal(pixels, everything[index, top : top + 10, left : left + 10])
    np.testing.assert_array_equal(data.take([2]), data.shards[0][2:3, 3:13, 3:13])  # the centre


def test_memory_that_is_given_is_filled():
    data, out = image_set(3, 4), np.zeros((2, 16, 16, 3), dtype=np.uint8)
    assert data.take([6, 1], out) is out
    np.testing.assert_array_equal(out, data.take([6, 1]))


@pytest.mark.parametrize(
    ("indices", "offsets", "shape"),
    [
        ([7], None, None),
        ([-1], None, None),
        ([0], [[0, 5]], None),
        ([0], [[-1, 0]], None),
        ([0], None, (2, 12, 12, 3)),
        ([0], None, (1, 16, 16, 3)),
    ],
)
def test_what_is_out_of_range_is_refused(indices, offsets, shape):
    out = None if shape is None else np.zeros(shape, dtype=np.uint8)
    with pytest.raises(IndexError):
        image_set(3, 4, margin=4).take(indices, out, offsets)


def test_as_many_labels_as_images():
    with pytest.raises(ValueError, match="3 images have 2 labels"):
        ImageSet((images(3),), np.zeros(2, dtype=np.uint8), "x")


def test_joining_keeps_the_order_and_copies_no_image():
    one, other = image_set(3, name="one", margin=2), image_set(2, 4, name="other", margin=2)
    both = join([one, other])
    np.testing.assert_array_equal(
        both.take(range(9)), np.concatenate([one.take(range(3)), other.take(range(6))])
    )
    assert both.labels.tolist() == [0, 1, 0, 0, 1, 0, 1, 0, 1] and both.margin == 2
    assert all(a is b for a, b in zip(both.shards, (*one.shards, *other.shards), strict=True))
    assert both.bad == one.bad + other.bad and both.pins == ("one", "other")
    turned = join([other, one])
    assert both.fingerprint not in {one.fingerprint, other.fingerprint, turned.fingerprint}
    assert both.identity not in {one.identity, other.identity, turned.identity}
    assert join([one]) is one


def test_sets_of_different_sizes_are_not_joined():
    for other in (image_set(3, size=18), image_set(3, margin=2, size=16)):
        with pytest.raises(ValueError, match="different sizes"):
            join([image_set(3), other])


def test_a_view_has_the_images_that_were_named_and_copies_none():
    data = image_set(3, 4, margin=2)
    view = data.select([6, 0, 0, 2])
    np.testing.assert_array_equal(view.take(range(4)), data.take([6, 0, 0, 2]))
    assert view.labels.tolist() == data.labels[[6, 0, 0, 2]].tolist() and view.image_size == data.image_size
    assert all(a is b for a, b in zip(view.shards, data.shards, strict=True))
    np.testing.assert_array_equal(view.select([3, 0]).take([0, 1]), data.take([2, 6]))
    others = {data.select(chosen).fingerprint for chosen in ([6, 0], [0, 6], [6, 0, 0])}
    assert len(others | {data.fingerprint}) == 4


def test_a_view_ends_where_it_was_told_to():
    view = image_set(3, 4).select([1, 2])
    for wrong in (lambda: view.take([2]), lambda: view.select([2]), lambda: image_set(3).select([-1])):
        with pytest.raises(IndexError, match="image must be within"):
            wrong()


def test_views_are_joined_like_sets():
    one, other = image_set(3, 2, name="one"), image_set(2, 4, name="other")
    both = join([one.select([4, 1]), other, one.select([0])])
    expected = [one.take([4, 1]), other.take(range(6)), one.take([0])]
    np.testing.assert_array_equal(both.take(range(9)), np.concatenate(expected))
    assert both.labels.tolist() == [*one.labels[[4, 1]], *other.labels, one.labels[0]]
