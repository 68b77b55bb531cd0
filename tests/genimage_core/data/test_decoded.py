import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genimage_core.data import decoded, decoding, images, shards
from genimage_core.data.decoded import open_decoded
from genimage_core.data.decoding import PARTIAL, decode_in_order, readable
from genimage_core.data.images import describe_images, load_images
from genimage_core.data.layout import find_layout
from genimage_core.settings import DataSettings

HOME = Path(images.__file__).parents[2]
SETTINGS = DataSettings(32, 30, 2, "jpeg96")
SMALL_SHARDS = 7 * 32 * 32 * 3  # bytes: seven images, so that thirty of each class make nine shards

PREPARE = f"""
import os, signal, sys, hashlib
from pathlib import Path
from genimage_core.data import decoding, shards
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.settings import DataSettings
shards.SHARD_BYTES = {SMALL_SHARDS}
folder, cache, *point = sys.argv[1:]
settings = DataSettings(32, 30, 2, "jpeg96")
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
"""
LOAD = """
layout = find_layout(Path(folder).parents[1])
got = load_images(layout, "adm", "train", settings, 0, Path(cache), report=report)
print("built" if told else "found", hashlib.sha256(got.take(range(60)).tobytes()).hexdigest())
"""
WATCHED = PREPARE + "told = []\nreport = lambda done, total: told.append(done)\n" + LOAD


@pytest.fixture
def folder(tmp_path, write_tree):
    return write_tree(tmp_path / "data", ["adm"], train=30, size=40) / "ADM" / "imagenet_ai_0508_adm"


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_BYTES", SMALL_SHARDS)


def load(folder, cache, **options):
    return load_images(find_layout(folder.parents[1]), "adm", "train", SETTINGS, 0, cache, **options)


def pixels_of(data):
    return data.take(range(len(data.labels)))


def start(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def files_in(cache):
    passing = (".lock", "checked")  # come with use
    return sorted(p.name for p in (cache / "decoded").rglob("*") if not p.name.endswith(passing))


def only_set(cache):
    [folder] = [path for path in (cache / "decoded").iterdir() if path.is_dir()]
    return folder


@pytest.mark.usefixtures("small_shards")
def test_shards_are_filled_in_order_and_described(folder, tmp_path):
    (folder / "train" / "ai" / "003.png").write_bytes(b"")
    recipe = describe_images(find_layout(folder.parents[1]), "adm", "train", SETTINGS, 0)
    opened = open_decoded(recipe, tmp_path)
    assert [len(shard) for shard in opened.shards] == [7] * 8 + [3]
    content = json.loads((only_set(tmp_path) / "manifest.json").read_text())
    assert content["files"] == [
        file.name for file in recipe.files if not file.name.endswith("train/ai/003.png")
    ]
    assert content["labels"] == [0] * 30 + [1] * 29
    assert content["bad"] == [[f"ADM/{folder.name}/train/ai/003.png", 1, "zero bytes"]]
    assert {"format_alignment", "crop", "pillow", "jpeg", "decoder"} <= set(content["recipe"])
    assert content["title"].endswith("train") and content["created"].startswith("20")
    for shard in content["shards"]:
        path = only_set(tmp_path) / shard["name"]
        assert path.stat().st_size == shard["bytes"] and len(np.load(path)) == shard["images"]
    assert sum(path.stat().st_size for path in only_set(tmp_path).iterdir()) <= recipe.needed_bytes


@pytest.mark.parametrize("threads", [1, 3])
def test_files_come_in_their_order_however_many_threads(folder, threads):
    recipe = describe_images(find_layout(folder.parents[1]), "adm", "train", SETTINGS, 0)
    results = list(decode_in_order(recipe, threads))
    assert [file for file, _ in results] == list(recipe.files)
    for (_, one), (_, other) in zip(results, decode_in_order(recipe, 2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_of_several_processes_one_decodes(folder, tmp_path):
    started = [start(WATCHED, folder, tmp_path / "cache") for _ in range(3)]
    said = [process.communicate(timeout=60)[0].split() for process in started]
    assert sorted(line[0] for line in said) == ["built", "found", "found"]
    assert len({line[1] for line in said}) == 1
    assert files_in(tmp_path / "cache").count("manifest.json") == 1


KILLED = (
    PREPARE
    + """
told, calls = [], []
module, name, turn = point
def report(done, total):
    if name == "report" and done == int(turn):
        die()
def counted(*arguments):
    calls.append(1)
    if len(calls) == int(turn):
        die()
    return real(*arguments)
if name != "report":
    module = {"shards": shards, "decoding": decoding}[module]
    real = getattr(module, name)
    setattr(module, name, counted)
"""
    + LOAD
)
POINTS = [("decoding", "report", 1), ("decoding", "report", 23), ("decoding", "report", 60)]
POINTS += [("shards", "_write_shard", 1), ("shards", "_write_shard", 6), ("shards", "sync", 4)]
POINTS += [("shards", "sync", 10), ("decoding", "_sync_folder", 1)]  # all there, but not yet in its place


def test_a_builder_that_is_killed_leaves_nothing_that_looks_whole(folder, tmp_path):
    cache = tmp_path / "cache"
    for point in POINTS:
        process = start(KILLED, folder, cache, *point)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, point
        assert [path.suffix for path in (cache / "decoded").iterdir() if path.is_dir()] == [PARTIAL], point
    finish_like_undisturbed(folder, cache, tmp_path / "undisturbed")


def test_a_builder_that_is_killed_after_the_rename_is_done(folder, tmp_path):
    process = start(KILLED, folder, tmp_path / "cache", "decoding", "_sync_folder", 2)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert start(WATCHED, folder, tmp_path / "cache").communicate(timeout=60)[0].startswith("found")
    finish_like_undisturbed(folder, tmp_path / "cache", tmp_path / "undisturbed")


def test_a_builder_that_is_killed_at_any_time_leaves_nothing_that_looks_whole(folder, tmp_path):
    cache, chance = tmp_path / "cache", random.Random(0)
    slow = WATCHED.replace("told.append(done)", "(told.append(done), __import__('time').sleep(0.005))")
    for _ in range(6):
        process = start(slow, folder, cache)
        while not list(cache.glob(f"decoded/*{PARTIAL}")):
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.25))
        process.kill()
        process.communicate(timeout=60)
        assert [path.suffix for path in (cache / "decoded").iterdir() if path.is_dir()] == [PARTIAL]
    finish_like_undisturbed(folder, cache, tmp_path / "undisturbed")


def finish_like_undisturbed(folder, cache, other):
    finished, undisturbed = (
        start(WATCHED, folder, where).communicate(timeout=60)[0] for where in (cache, other)
    )
    assert finished.split()[1] == undisturbed.split()[1]
    assert files_in(cache) == files_in(other)
    for path in only_set(other).glob("*.npy"):
        assert (only_set(cache) / path.name).read_bytes() == path.read_bytes()


def test_an_interrupt_leaves_nothing(folder, tmp_path):
    def interrupt(done, total):
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(folder, tmp_path, report=interrupt)
    assert files_in(tmp_path) == []


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1])


def change_a_label(path):
    path.write_text(path.read_text().replace('"labels": [\n  0', '"labels": [\n  1'))


def spoil_the_header(path):
    content = bytearray(path.read_bytes())
    content[:6] = b"\x93NUMPX"
    path.write_bytes(content)


DAMAGES = {
    "a shard cut short": ("00002.npy", cut_short),
    "a shard gone": ("00008.npy", Path.unlink),
    "an empty shard": ("00000.npy", lambda path: path.write_bytes(b"")),
    "the manifest cut short": ("manifest.json", cut_short),
    "the manifest gone": ("manifest.json", Path.unlink),
    "the manifest changed": ("manifest.json", change_a_label),
    "the manifest no object": ("manifest.json", lambda path: path.write_text("[]")),
    "a bit flipped": ("00004.npy", flip_a_bit),
    "a header spoilt": ("00001.npy", spoil_the_header),
}


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_set_is_decoded_again_with_a_notice(folder, tmp_path, damage):
    before = pixels_of(load(folder, tmp_path)).copy()
    name, spoil = DAMAGES[damage]
    spoil(only_set(tmp_path) / name)
    with pytest.warns(UserWarning, match=rf"{name}.*decoded again"):
        again = load(folder, tmp_path)
    np.testing.assert_array_equal(pixels_of(again), before)
    assert load(folder, tmp_path).labels.tolist() == [0] * 30 + [1] * 30


def keep_time(path, change):
    """Change a file as a failing disk does: without a trace in its time of change."""
    status = path.stat()
    change(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.usefixtures("small_shards")
def test_what_rots_unseen_is_found_when_the_last_check_is_old(folder, tmp_path):
    before = pixels_of(load(folder, tmp_path)).copy()
    load(folder, tmp_path)
    stamp = only_set(tmp_path) / "checked"
    keep_time(only_set(tmp_path) / "00004.npy", flip_a_bit)
    load(folder, tmp_path)  # trusted: no notice, or this test would fail
    os.utime(stamp, (time.time() - 2 * decoded.TRUSTED_S,) * 2)
    with pytest.warns(UserWarning, match=r"00004\.npy is not what was written"):
        again = load(folder, tmp_path)
    np.testing.assert_array_equal(pixels_of(again), before)


def test_checksums_are_compared_once_for_workers_that_start_together(folder, tmp_path, monkeypatch):
    load(folder, tmp_path)
    compared, real = [], shards._checksum
    monkeypatch.setattr(shards, "_checksum", lambda *given: compared.append(1) or real(*given))
    for _ in range(3):
        load(folder, tmp_path)
    assert len(compared) == 1
    (only_set(tmp_path) / "00000.npy").touch()
    load(folder, tmp_path)
    assert len(compared) == 2


def test_a_set_without_its_mark_of_use_can_be_opened(folder, tmp_path):
    before = pixels_of(load(folder, tmp_path)).copy()
    (only_set(tmp_path) / "used").unlink()
    np.testing.assert_array_equal(pixels_of(load(folder, tmp_path)), before)


def test_a_file_in_the_place_of_a_set_makes_way(folder, tmp_path):
    before = pixels_of(load(folder, tmp_path)).copy()
    place = only_set(tmp_path)
    decoded.discard(place)
    place.write_text("no folder")
    with pytest.warns(UserWarning, match="decoded again"):
        np.testing.assert_array_equal(pixels_of(load(folder, tmp_path)), before)


def test_who_has_a_damaged_set_open_goes_on(folder, tmp_path):
    opened = load(folder, tmp_path)
    before = pixels_of(opened).copy()
    change_a_label(only_set(tmp_path) / "manifest.json")
    with pytest.warns(UserWarning, match="decoded again"):
        load(folder, tmp_path)
    np.testing.assert_array_equal(pixels_of(opened), before)


def test_a_disk_with_too_little_room_is_refused_before_anything_is_written(folder, tmp_path, monkeypatch):
    needed, usage = (
        describe_images(find_layout(folder.parents[1]), "adm", "train", SETTINGS, 0).needed_bytes,
        namedtuple("u", "total used free"),
    )
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: usage(10**9, 0, needed - 1))
    monkeypatch.setattr(decoding, "decode", lambda *a, **k: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="GENIMAGE_CACHE") as refused:
        load(folder, tmp_path)
    assert str(refused.value).count(readable(needed)) == 2 and str(tmp_path / "decoded") in str(refused.value)
    assert files_in(tmp_path) == []
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: usage(10**9, 0, needed))
    monkeypatch.undo()
    assert len(load(folder, tmp_path).labels) == 60


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("where", ["00000.npy", "00005.npy", "manifest.json"])
def test_a_disk_that_fills_up_meanwhile_leaves_nothing(folder, tmp_path, monkeypatch, where):
    def open_on_a_full_disk(path):
        return Path("/dev/full").open("wb") if path.name == where else path.open("xb")

    monkeypatch.setattr(shards, "open_new", open_on_a_full_disk)
    with pytest.raises(ValueError, match=r"No space left on device; .*GENIMAGE_CACHE"):
        load(folder, tmp_path)
    assert files_in(tmp_path) == []
    monkeypatch.undo()
    assert len(load(folder, tmp_path).labels) == 60


def test_leftovers_of_other_sets_are_removed_unless_they_are_being_made(folder, tmp_path):
    for name in ("dead", "alive"):
        (tmp_path / "decoded" / f"{name}{PARTIAL}").mkdir(parents=True)
    with decoded.lock_of(tmp_path / "decoded" / "alive"):
        load(folder, tmp_path)
    assert not (tmp_path / "decoded" / f"dead{PARTIAL}").exists()
    assert (tmp_path / "decoded" / f"alive{PARTIAL}").exists()


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.56e8, "256 MB"), (5.31e11, "531 GB")],
)
def test_bytes_for_people(count, text):
    assert readable(count) == text


def test_a_fake_too_wide_for_jpeg_is_a_bad_file(folder, tmp_path):
    buffer = io.BytesIO()
    Image.new("RGB", (70000, 2)).save(buffer, "PNG")
    (folder / "train" / "ai" / "000.png").write_bytes(buffer.getvalue())
    settings = replace(SETTINGS, max_bad_share=1.0)
    [bad] = load_images(find_layout(folder.parents[1]), "adm", "train", settings, 0, tmp_path).bad
    assert bad.path.endswith("train/ai/000.png") and bad.reason == "too large for JPEG"
