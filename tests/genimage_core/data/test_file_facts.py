import hashlib
import io
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genimage_core.data.file_facts import REASONS, FileFacts, read_facts
from tests.genimage_core.data.index_trees import damaged, encoded, png_bomb, png_chunk, with_flipped

PNG_END = 20  # bytes after the last pixel (two checksums and the end mark), which Pillow does without
KINDS = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
}


@pytest.fixture
def facts_of(tmp_path):
    def facts(data, name="image.png"):
        path = tmp_path / name
        path.write_bytes(data)
        return read_facts(path)

    return facts


def test_a_good_file_is_told_in_full(tmp_path):
    path, data = tmp_path / "a.JPEG", encoded("JPEG", (24, 16), quality=83)
    path.write_bytes(data)
    os.utime(path, ns=(5, 1_234_567_890_123_456_789))
    content = hashlib.blake2b(data, digest_size=16).hexdigest()
    assert read_facts(path) == FileFacts(
        24, 16, "JPEG", 83, len(data), 1_234_567_890_123_456_789, content, None
    )


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_mode_is_fine(tmp_path, mode):
    path = tmp_path / "a.png"
    if mode == "I;16":
        Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000).save(path)
    else:
        path.write_bytes(encoded("JPEG" if mode == "CMYK" else "PNG", (4, 3), mode=mode))
    facts = read_facts(path)
    assert (facts.width, facts.height, facts.error) == (4, 3, None)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_several_frames_are_fine(facts_of, kind):
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "green", "blue")]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    facts = facts_of(buffer.getvalue())
    assert (facts.width, facts.height, facts.format, facts.error) == (6, 5, kind, None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_early_is_truncated_wherever_it_ends(facts_of, kind):
    name, options = KINDS[kind]
    data = encoded(name, (24, 16), **options)
    signature = 16 if name == "WEBP" else 8
    last = len(data) - PNG_END if name == "PNG" else len(data)
    reasons = {cut: facts_of(data[:cut]) for cut in range(signature, last, 1 if len(data) < 1500 else 7)}
    assert {facts.error for facts in reasons.values()} == {"truncated"}
    assert {facts.format for facts in reasons.values()} == {name}
    if name != "WEBP":  # Pillow opens a WEBP only whole
        latest = reasons[max(reasons)]
        assert (latest.width, latest.height) == (24, 16)


@pytest.mark.parametrize("lost", [1, 12, PNG_END])
def test_a_png_without_its_end_mark_decodes(facts_of, lost):
    assert facts_of(encoded("PNG")[:-lost]).error is None


@pytest.mark.parametrize("cut", range(1, 8))
def test_less_than_a_signature_is_no_image(facts_of, cut):
    assert facts_of(encoded("PNG")[:cut]).error == "not an image"


@pytest.mark.parametrize(
    "position", [12, 16, 20, 24, 29], ids=["name", "width", "height", "depth", "checksum"]
)
def test_a_damaged_png_header_is_bad(facts_of, position):
    facts = facts_of(with_flipped(encoded("PNG"), position))
    assert (facts.error, facts.format) == ("bad header", "PNG")


def test_damaged_data_in_a_whole_png_is_bad_and_its_size_still_told(facts_of):
    facts = facts_of(with_flipped(encoded("PNG"), 60))
    assert (facts.width, facts.height, facts.error) == (24, 16, "bad header")


def test_a_jpeg_whose_header_is_overwritten_is_bad(facts_of):
    data = encoded("JPEG")
    assert facts_of(data[:3] + b"\x11" * 40 + data[43:]).error == "bad header"


@pytest.mark.parametrize(
    "data",
    [
        b"a page that says: no such file",
        b"<html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        bytes(500),
    ],
    ids=["text", "page", "postscript", "zeros"],
)
def test_what_is_no_image_is_told(facts_of, data):
    facts = facts_of(data)
    assert (facts.error, facts.format, facts.bytes) == ("not an image", None, len(data))
    assert facts.content == hashlib.blake2b(data, digest_size=16).hexdigest()


@pytest.mark.parametrize("pixels", [(40_000, 30_000), (10_000, 9_000)], ids=["refused", "warned"])
def test_a_bomb_is_not_decoded(facts_of, monkeypatch, pixels, recwarn):
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("it was decoded"))
    facts = facts_of(png_bomb(*pixels))
    assert (facts.width, facts.height, facts.format, facts.error) == (*pixels, "PNG", "decompression bomb")
    assert not recwarn.list


def test_text_that_unpacks_to_too_much_is_a_bomb(facts_of):
    data = encoded("PNG")
    text = png_chunk(b"zTXt", b"note\0\0" + zlib.compress(b" " * 20_000_000))
    assert facts_of(data[:33] + text + data[33:]).error == "decompression bomb"


def test_an_empty_file_is_told(facts_of):
    facts = facts_of(b"")
    assert (facts.error, facts.bytes, facts.format) == ("zero bytes", 0, None)


@pytest.mark.parametrize("refusal", [PermissionError(13, "no"), OSError(5, "Input/output error")])
def test_what_the_system_refuses_is_unreadable(tmp_path, monkeypatch, refusal):
    path = tmp_path / "a.png"
    path.write_bytes(encoded())

    def refuse(self):
        raise refusal

    monkeypatch.setattr(Path, "read_bytes", refuse)
    facts = read_facts(path)
    assert (facts.error, facts.content, facts.format) == ("unreadable", None, None)
    assert (facts.bytes, facts.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)


def test_what_is_not_there_is_unreadable(tmp_path):
    assert read_facts(tmp_path / "gone.png").error == "unreadable"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_ordinary_file_is_no_image_and_not_waited_for(tmp_path, make):
    make(tmp_path / "a.png")
    assert read_facts(tmp_path / "a.png").error == "not an image"


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_never_raises_and_agrees_with_pillow(facts_of, seed, recwarn):
    rng = np.random.default_rng(seed)
    for name, options in KINDS.values():
        whole = encoded(name, seed=seed, **options)
        for _ in range(60):
            data = bytearray(whole[: rng.integers(1, len(whole) + 1)])
            for position in rng.integers(0, len(data), rng.integers(0, 4)):
                data[position] = rng.integers(256)
            facts = facts_of(bytes(data))
            assert facts.error in (None, *REASONS)
            assert (facts.error is None) == pillow_decodes(bytes(data))


def pillow_decodes(data):
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return image.width * image.height <= Image.MAX_IMAGE_PIXELS
    except Exception:
        return False


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason != "unreadable"])
def test_the_damage_that_other_tests_use_is_what_it_says(facts_of, reason):
    assert facts_of(damaged(reason)).error == reason


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("genimage_core.data.file_facts", {"torch", "pandas", "pyarrow", "scipy", "sklearn"}),
        ("genimage_core.data.index", {"torch", "scipy", "sklearn", "imagehash"}),
        ("genimage_core.data.leaks", {"torch", "sklearn", "imagehash"}),
    ],
)
def test_imports_stay_quick(module, never):
    probe = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert module in done.stdout.split()
    assert not never & set(done.stdout.split())
