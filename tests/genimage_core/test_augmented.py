import numpy as np
import pytest

from genimage_core.augmented import PER_CLASS, measure_spectra
from genimage_core.data.batches import ImageSet
from genimage_core.policy import FrequencyPolicy

SIZE = 32


def images(count, seed=0):
    """White noise of standard deviation 0.1; fakes carry a plane wave at a quarter cycle per pixel."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    wave = 0.1 * np.cos(2 * np.pi * 0.25 * np.arange(SIZE))
    values = (
        0.5 + 0.1 * rng.standard_normal((count, SIZE, SIZE, 1)) + (labels[:, None] * wave)[:, None, :, None]
    )
    grey = np.repeat(np.clip(values, 0, 1), 3, axis=3)
    return ImageSet(((grey * 255).round().astype(np.uint8),), labels.astype(np.uint8), "x")


def test_fakes_stand_out_where_their_wave_is():
    found = measure_spectra(FrequencyPolicy(), images(40), seed=0)
    more = found.before["fake"] - found.before["real"]
    assert found.images == 20
    assert found.frequency[more.argmax()] == pytest.approx(0.25, abs=1 / SIZE)
    assert more.max() > 6 and np.abs(more[np.abs(found.frequency - 0.25) > 0.08]).max() < 2.5
    assert found.before["real"].mean() == pytest.approx(-20, abs=1), "white noise of variance 0.01"


def test_the_identity_changes_nothing():
    found = measure_spectra(FrequencyPolicy(), images(40), seed=0)
    for name in ("real", "fake"):
        np.testing.assert_array_equal(found.before[name], found.after[name])


def test_a_low_pass_takes_high_frequencies_away():
    policy = FrequencyPolicy(mask_kind="low_pass", mask_radius=0.05)
    found = measure_spectra(policy, images(40), seed=0)
    lost = found.before["real"] - found.after["real"]
    assert lost[-1] > lost[0] + 0.5 and lost[-1] > 0.5
    np.testing.assert_array_equal(
        found.before["real"], measure_spectra(FrequencyPolicy(), images(40), 0).before["real"]
    )


def test_the_same_seed_gives_the_same(count=2 * PER_CLASS + 30):
    policy = FrequencyPolicy(noise_scale=1.0)
    first, again = (measure_spectra(policy, images(count), seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.after["fake"], again.after["fake"])
    assert (measure_spectra(policy, images(count), seed=4).after["fake"] != first.after["fake"]).any()
    assert first.images == PER_CLASS


def test_classes_of_unequal_size_are_measured_on_as_many_images():
    data = images(20)
    few = ImageSet((data.shards[0][:13],), np.array([0] * 10 + [1] * 3, dtype=np.uint8), "x")
    assert measure_spectra(FrequencyPolicy(), few, seed=0).images == 3
