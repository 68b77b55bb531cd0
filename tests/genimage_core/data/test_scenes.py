import numpy as np
import pytest

from genimage_core.data.scenes import LEAVES, Scene, draw_scene, shoot


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(1)
    return {name: rng.integers(0, 256, (150, 200, 3), dtype=np.uint8) for name in ("one", "two")}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_scenes_are_light_at_twice_the_size(photographs, share):
    scene = draw_scene(np.random.default_rng(0), 32, photographs, share)
    assert scene.light.shape == (64, 64, 3) and scene.light.dtype == np.float32
    assert scene.light.min() >= 0 and scene.light.max() <= 1 and np.isfinite(scene.light).all()
    assert scene.source == LEAVES if share == 0 else scene.source in photographs


def test_photo_share_is_kept(photographs):
    rng = np.random.default_rng(0)
    sources = [draw_scene(rng, 16, photographs, 0.3).source for _ in range(400)]
    assert 0.2 < np.mean([source != LEAVES for source in sources]) < 0.4
    assert {"one", "two"} <= set(sources)


def test_a_photograph_smaller_than_the_scene_is_used_whole():
    tiny = {"tiny": np.full((20, 30, 3), 128, dtype=np.uint8)}
    assert draw_scene(np.random.default_rng(0), 32, tiny, 1.0).light.shape == (64, 64, 3)


def test_same_seed_same_picture(photographs):
    def take(seed):
        rng = np.random.default_rng(seed)
        return shoot(draw_scene(rng, 32, photographs, 0.5), rng)

    np.testing.assert_array_equal(take(4), take(4))
    assert (take(4) != take(5)).any()


def test_two_shots_share_the_scene_and_not_the_noise():
    scene = draw_scene(np.random.default_rng(2), 64, {}, 0.0)
    first, second = (shoot(scene, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.9
    assert np.abs(first - second).mean() > 0.002


def test_grey_light_stays_grey_through_the_mosaic():
    scene = Scene(np.full((64, 64, 3), 0.3, dtype=np.float32), LEAVES)
    picture = shoot(scene, np.random.default_rng(0))
    assert picture.shape == (32, 32, 3)
    assert np.ptp(picture.mean(axis=(0, 1))) < 0.02
