import io
import os

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from genimage_core.data.alignment import LOSSLESS, reencode
from genimage_core.data.file_facts import read_facts
from genimage_core.data.pixels import UnreadableImage, decode, read_quality, read_size


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(folder, pixels, name="x.png", mode="RGB"):
    Image.fromarray(pixels).convert(mode).save(folder / name)
    return folder / name


def test_a_larger_image_is_cropped_at_the_centre_without_scaling(tmp_path):
    pixels = picture(41, 50)
    cropped = decode(save(tmp_path, pixels), 32)
    np.testing.assert_array_equal(cropped, pixels[4:36, 9:41])
    np.testing.assert_array_equal(decode(save(tmp_path, picture(32, 32)), 32), picture(32, 32))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_every_kind_of_image_becomes_rgb(tmp_path, mode):
    path = save(tmp_path, picture(32, 32), "x.png" if mode != "CMYK" else "x.jpg", mode)
    with Image.open(path) as file:
        assert file.mode == mode
        expected = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(decode(path, 32), expected)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_of_sixteen_bits_the_upper_eight_are_kept(tmp_path, suffix):
    deep = np.random.default_rng(0).integers(0, 2**16, (32, 32), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / f"deep.{suffix}")
    expected = np.repeat((deep >> 8).astype(np.uint8)[..., None], 3, 2)
    np.testing.assert_array_equal(decode(tmp_path / f"deep.{suffix}", 32), expected)
    assert read_facts(tmp_path / f"deep.{suffix}").error is None


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_of_an_unknown_range_are_no_picture(tmp_path, kind):
    Image.fromarray(np.ones((32, 32), dtype=kind)).save(tmp_path / "measured.tif")
    with pytest.raises(UnreadableImage) as refused:
        decode(tmp_path / "measured.tif", 32)
    assert refused.value.reason == read_facts(tmp_path / "measured.tif").error == "unknown range"


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(UnreadableImage) as refused:
        decode(tmp_path / "pipe.png", 32)
    assert refused.value.reason == "not an image"
    assert read_size(tmp_path / "pipe.png") is None and read_quality(tmp_path / "pipe.png") is None


def test_what_a_file_says_beside_its_pixels_does_not_matter(tmp_path):
    plain, wordy = save(tmp_path, picture(32, 32)), tmp_path / "wordy.png"
    text = PngInfo()
    text.add_text("comment", "x" * 70_000)  # more than a JPEG can carry
    Image.fromarray(picture(32, 32)).save(wordy, pnginfo=text, dpi=(72, 72))
    np.testing.assert_array_equal(decode(wordy, 32, quality=90), decode(plain, 32, quality=90))


def test_grey_images_have_three_equal_channels(tmp_path):
    decoded = decode(save(tmp_path, picture(32, 32), mode="L"), 32)
    assert np.ptp(decoded, axis=2).max() == 0 and np.ptp(decoded) > 0


def test_alignment_comes_before_the_crop(tmp_path):
    pixels = picture(45, 51)
    expected = np.asarray(reencode(Image.fromarray(pixels), 96))[6:38, 9:41]
    np.testing.assert_array_equal(decode(save(tmp_path, pixels), 32, quality=96), expected)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\nshowpage\n"
DAMAGED = {
    "empty": (b"", "zero bytes"),
    "text": (b"not an image", "not an image"),
    "program": (POSTSCRIPT, "not an image"),
    "half a PNG": (png(picture(32, 32))[:1500], "truncated"),
    "half a JPEG": (jpeg(picture(32, 32))[:-900], "truncated"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_named_with_the_reason(tmp_path, kind):
    content, reason = DAMAGED[kind]
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"damaged\.png") as refused:
        decode(damaged, 32)
    assert refused.value.reason == reason and "\n" not in str(refused.value)


def test_what_the_operating_system_refuses_has_a_reason(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "missing")
    for name, reason in (("folder.png", "not an image"), ("nowhere.png", "unreadable")):
        with pytest.raises(UnreadableImage) as refused:
            decode(tmp_path / name, 32)
        assert refused.value.reason == reason


def test_a_decompression_bomb_is_not_unpacked(tmp_path, monkeypatch):
    path = save(tmp_path, picture(32, 32))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImage) as refused:
        decode(path, 32)
    assert refused.value.reason == "decompression bomb"


def test_headers_tell_size_and_quality(tmp_path):
    Image.fromarray(picture(20, 31)).save(tmp_path / "a.jpg", quality=83)
    assert read_size(tmp_path / "a.jpg") == (31, 20) and read_quality(tmp_path / "a.jpg") == 83
    assert read_quality(save(tmp_path, picture(20, 31))) == LOSSLESS
    odd = [[table * 3 for table in range(1, 65)]]
    Image.fromarray(picture(20, 31)).save(tmp_path / "odd.jpg", qtables=odd)
    assert read_quality(tmp_path / "odd.jpg") is None
    (tmp_path / "bad.jpg").write_bytes(b"")
    assert read_size(tmp_path / "bad.jpg") is None and read_quality(tmp_path / "bad.jpg") is None
