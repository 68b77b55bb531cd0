import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genimage_core.data import images
from genimage_core.data.images import choose_images, decode, digest, join, load_images
from genimage_core.data.layout import find_layout
from genimage_core.settings import DataSettings

HOME = Path(images.__file__).parents[2]
SETTINGS = DataSettings(image_size=32, train_per_class=3, val_per_class=2, format_alignment="none")


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(folder, pixels, name="x.png", mode="RGB"):
    Image.fromarray(pixels).convert(mode).save(folder / name)
    return folder / name


def jpeg(image, quality):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


@pytest.fixture
def folder(tmp_path, write_tree):
    root = write_tree(tmp_path / "data", ["adm"], train=6, val=3)
    return root / "ADM" / "imagenet_ai_0508_adm"


@pytest.fixture
def layout(folder):
    return find_layout(folder.parents[1])


def test_a_larger_image_is_cropped_at_the_centre_without_scaling(tmp_path):
    pixels = picture(41, 50)
    cropped = decode(save(tmp_path, pixels), 32)
    np.testing.assert_array_equal(cropped, pixels[4:36, 9:41])
    np.testing.assert_array_equal(decode(save(tmp_path, picture(32, 32)), 32), picture(32, 32))


@pytest.mark.parametrize(
    ("height", "width"), [(20, 20), (31, 17), (20, 50), (50, 20), (5, 32), (3, 7), (1, 1)]
)
def test_a_smaller_image_is_continued_by_reflection(tmp_path, height, width):
    pixels, size = picture(height, width), 32
    tall, wide = max(0, size - height), max(0, size - width)
    pad = ((tall // 2, tall - tall // 2), (wide // 2, wide - wide // 2), (0, 0))
    padded = np.pad(pixels, pad, mode="reflect" if min(height, width) > 1 else "edge")
    top, left = (padded.shape[0] - size) // 2, (padded.shape[1] - size) // 2
    got = decode(save(tmp_path, pixels), size)
    assert got.shape == (size, size, 3) and got.dtype == np.uint8
    np.testing.assert_array_equal(got, padded[top : top + size, left : left + size])


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_every_kind_of_image_becomes_rgb(tmp_path, mode):
    path = save(tmp_path, picture(32, 32), "x.png" if mode != "CMYK" else "x.jpg", mode)
    with Image.open(path) as file:
        assert file.mode == mode
        expected = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(decode(path, 32), expected)


def test_grey_images_have_three_equal_channels(tmp_path):
    decoded = decode(save(tmp_path, picture(32, 32), mode="L"), 32)
    assert np.ptp(decoded, axis=2).max() == 0 and np.ptp(decoded) > 0


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0 cut", None])
def test_a_damaged_file_is_named(tmp_path, content):
    whole = save(tmp_path, picture(32, 32)).read_bytes()
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ValueError, match=r"damaged\.png") as refused:
        decode(damaged, 32)
    assert "\n" not in str(refused.value)


def test_a_damaged_file_leaves_nothing_in_the_cache(folder, layout, tmp_path):
    for path in (folder / "train" / "ai").iterdir():
        path.write_bytes(b"not an image")
    with pytest.raises(ValueError, match="train/ai"):
        load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_alignment_re_encodes_the_whole_fake_and_no_real_one(layout, tmp_path):
    plain = load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
    aligned_settings = replace(SETTINGS, format_alignment="jpeg96")
    aligned = load_images(layout, "adm", "train", aligned_settings, 0, tmp_path / "cache")
    assert aligned.fingerprint != plain.fingerprint
    np.testing.assert_array_equal(aligned.images[:3], plain.images[:3])
    for before, after in zip(plain.images[3:], aligned.images[3:], strict=True):
        np.testing.assert_array_equal(after, jpeg(Image.fromarray(before), 96))
        assert (before != after).any()


def test_alignment_comes_before_the_crop(tmp_path):
    pixels = picture(45, 51)
    got = decode(save(tmp_path, pixels), 32, "jpeg96")
    np.testing.assert_array_equal(got, jpeg(Image.fromarray(pixels), 96)[6:38, 9:41])


def test_images_are_chosen_by_seed(layout):
    chosen = choose_images(layout, "adm", "train", 3, seed=4)
    assert chosen == choose_images(layout, "adm", "train", 3, seed=4)
    assert [label for _, label in chosen] == [0, 0, 0, 1, 1, 1]
    assert [path.parent.name for path, _ in chosen] == ["nature"] * 3 + ["ai"] * 3
    assert len(set(chosen)) == 6
    assert len({tuple(choose_images(layout, "adm", "train", 3, seed)) for seed in range(8)}) > 1
    everything = choose_images(layout, "adm", "train", 6, seed=1)
    assert (
        sorted(everything) == sorted(choose_images(layout, "adm", "train", 6, seed=2))
        and len(everything) == 12
    )


@pytest.mark.parametrize("split", ["train", "val"])
def test_too_few_images_name_the_key(layout, split):
    with pytest.raises(ValueError, match=rf"data\.{split}_per_class") as refused:
        choose_images(layout, "adm", split, 7, seed=0)
    assert all(
        part in str(refused.value) for part in ("adm", split, "nature", str(layout.root))
    ) and "7" in str(refused.value)


def test_what_is_loaded_is_what_the_files_hold(layout, tmp_path):
    loaded = load_images(layout, "adm", "val", SETTINGS, 0, tmp_path / "cache")
    chosen = choose_images(layout, "adm", "val", 2, seed=0)
    assert loaded.images.shape == (4, 32, 32, 3) and loaded.images.dtype == np.uint8
    assert loaded.labels.tolist() == [0, 0, 1, 1] and loaded.labels.dtype == np.uint8
    for pixels, (path, _) in zip(loaded.images, chosen, strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(path)))


def test_the_second_time_nothing_is_decoded(layout, tmp_path, monkeypatch):
    first = load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
    monkeypatch.setattr(images, "decode", lambda *arguments: pytest.fail("decoded again"))
    second = load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
    assert isinstance(second.images, np.memmap) and second.images.filename == first.images.filename
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(second.images, first.images)
    with pytest.raises(ValueError):
        second.images[0] = 0  # shared between processes, so nobody may write


@pytest.mark.parametrize(
    "change",
    [{"image_size": 64}, {"format_alignment": "jpeg96"}, {"train_per_class": 2}],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_covers_what_decides_pixels(layout, tmp_path, change):
    first = load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
    other = load_images(layout, "adm", "train", replace(SETTINGS, **change), 0, tmp_path / "cache")
    assert other.fingerprint != first.fingerprint


def test_a_changed_file_is_decoded_anew(folder, layout, tmp_path):
    everything = replace(SETTINGS, train_per_class=6)
    first = load_images(layout, "adm", "train", everything, 0, tmp_path / "cache")
    changed = folder / "train" / "nature" / "000.png"
    Image.fromarray(np.zeros((32, 32, 3), dtype=np.uint8)).save(changed)
    second = load_images(layout, "adm", "train", everything, 0, tmp_path / "cache")
    assert second.fingerprint != first.fingerprint
    assert not second.images[0].any() and first.images[0].any()


def test_the_fingerprint_does_not_depend_on_where_the_root_lies(folder, layout, tmp_path):
    first = load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
    moved = find_layout(layout.root.rename(tmp_path / "elsewhere"))
    assert (
        load_images(moved, "adm", "train", SETTINGS, 0, tmp_path / "cache").fingerprint == first.fingerprint
    )


def test_threads_at_once_share_one_decoding(layout, tmp_path, monkeypatch):
    decoded = []

    def counted(*arguments):
        decoded.append(arguments)
        return decode(*arguments)

    monkeypatch.setattr(images, "decode", counted)
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(load_images, layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
            for _ in range(4)
        ]
        sets = [future.result() for future in asked]
    assert len(decoded) == 6
    assert len({s.fingerprint for s in sets}) == 1
    for other in sets[1:]:
        np.testing.assert_array_equal(other.images, sets[0].images)


def test_processes_at_once_get_the_same_images(layout, tmp_path):
    script = (
        "import sys, hashlib; from pathlib import Path\n"
        "from genimage_core.data.images import load_images\n"
        "from genimage_core.settings import DataSettings\n"
        "s = DataSettings(image_size=32, train_per_class=6, val_per_class=2, format_alignment='jpeg96')\n"
        "from genimage_core.data.layout import find_layout\n"
        "got = load_images(find_layout(Path(sys.argv[1])), 'adm', 'train', s, 0, Path(sys.argv[2]))\n"
        "print(got.fingerprint, hashlib.sha256(got.images.tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", script, str(layout.root), str(tmp_path / "cache")]
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0] for process in started]
    assert said[0] == said[1] and len(said[0].split()) == 2
    assert len(list((tmp_path / "cache" / "decoded").glob("*.npy"))) == 1
    assert not list((tmp_path / "cache" / "decoded").glob("*.partial*"))


def test_a_decoding_that_was_interrupted_is_not_taken_for_whole(layout, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    done = []

    def interrupted(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments)
        return decode(*arguments)

    monkeypatch.setattr(images, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_images(layout, "adm", "train", SETTINGS, 0, cache)
    monkeypatch.undo()
    again = load_images(layout, "adm", "train", SETTINGS, 0, cache)
    fresh = load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "another cache")
    np.testing.assert_array_equal(again.images, fresh.images)


def test_jpegs_with_upper_case_extensions_are_read(tmp_path, write_tree):
    layout = find_layout(write_tree(tmp_path / "data", ["adm"], train=3, val=2, kind="JPEG"))
    loaded = load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
    first = choose_images(layout, "adm", "train", 3, 0)[0][0]
    assert first.suffix == ".JPEG"
    np.testing.assert_array_equal(loaded.images[0], np.asarray(Image.open(first)))


def test_joining_keeps_the_order_and_does_not_copy_one(layout, tmp_path):
    train = load_images(layout, "adm", "train", SETTINGS, 0, tmp_path / "cache")
    val = load_images(layout, "adm", "val", SETTINGS, 0, tmp_path / "cache")
    both = join([train, val])
    np.testing.assert_array_equal(both.images, np.concatenate([train.images, val.images]))
    assert both.labels.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 1, 1]
    assert both.fingerprint not in {train.fingerprint, val.fingerprint, join([val, train]).fingerprint}
    assert join([train]) is train


def test_digest_is_stable_and_blind_to_the_order_of_keys():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest([1, 2]) != digest([2, 1])
    assert digest([1, 2]) == "3a316d6d3226f84c"  # of another session: bases and caches are found by it
