import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genimage_core.data import images
from genimage_core.data.cache_cleanup import clean_cache, list_sets
from genimage_core.data.decoded import lock_of
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.settings import DataSettings

HOME = Path(images.__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.settings import DataSettings
root, name, cache = sys.argv[1:]
held = load_images(find_layout(Path(root)), name, "train", DataSettings(32, 3, 2, "none"), 0, Path(cache))
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def layout(tmp_path, write_tree):
    return find_layout(write_tree(tmp_path / "data", ["adm", "glide", "biggan"]))


def load(layout, name, cache):
    return load_images(layout, name, "train", DataSettings(32, 3, 2, "none"), 0, cache)


@pytest.fixture
def three(layout, tmp_path):
    """Three sets, last used at 100, 200 and 300 seconds in the order biggan, adm, glide; the cache."""
    cache = tmp_path / "cache"
    for name in layout.generators:
        load(layout, name, cache)
    for cached in list_sets(cache):
        moment = {"biggan": 100, "adm": 200, "glide": 300}[cached.title.split()[0].split("_")[-1]]
        os.utime(cached.folder / "used", (moment, moment))
    return cache


def titles(sets):
    return [cached.title.split()[0].split("_")[-1] for cached in sets]


def test_what_was_not_used_for_longest_goes_first(three):
    sets = list_sets(three)
    size = sets[0].bytes
    assert titles(sets) == ["biggan", "adm", "glide"] and size > 6 * 32 * 32 * 3
    assert clean_cache(three, sum(cached.bytes for cached in sets)) == []
    assert titles(clean_cache(three, sum(cached.bytes for cached in sets) - 1)) == ["biggan"]
    assert titles(clean_cache(three, size + 100)) == ["adm"]
    assert titles(clean_cache(three, 0)) == ["glide"]
    assert list_sets(three) == [] and clean_cache(three, 0) == []


def test_opening_counts_as_use(three, layout):
    load(layout, "biggan", three)
    assert titles(clean_cache(three, 0)) == ["adm", "glide", "biggan"]


def test_a_removed_set_is_made_again(three, layout):
    before = load(layout, "adm", three).take(range(6)).copy()
    clean_cache(three, 0)
    np.testing.assert_array_equal(load(layout, "adm", three).take(range(6)), before)


def test_what_another_process_has_open_stays(three, layout):
    command = [sys.executable, "-c", HOLD, str(layout.root), "biggan", str(three)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, env={**os.environ, "PYTHONPATH": str(HOME)}) as holder:
        assert holder.stdout.readline() == "open\n"
        assert titles(clean_cache(three, 0)) == ["adm", "glide"]
        holder.communicate("")
    assert titles(clean_cache(three, 0)) == ["biggan"]


def test_what_this_process_has_open_stays_until_it_is_forgotten(three, layout):
    held = load(layout, "biggan", three)
    assert titles(clean_cache(three, 0)) == ["adm", "glide"]
    del held
    assert titles(clean_cache(three, 0)) == ["biggan"]


def test_what_is_being_made_or_opened_stays(three):
    [first, *_] = list_sets(three)
    with lock_of(first.folder):
        assert titles(clean_cache(three, 0)) == ["adm", "glide"]


def test_leftovers_and_damaged_sets_go_too(three):
    (three / "decoded" / "0123.partial").mkdir()
    (three / "decoded" / "0123.partial" / "00000.npy").write_bytes(b"x")
    damaged = list_sets(three)[1].folder
    (damaged / "manifest.json").unlink()
    (damaged / "used").unlink()
    assert "damaged" in [cached.title for cached in list_sets(three)]
    assert len(clean_cache(three, 0)) == 3
    assert [path for path in (three / "decoded").iterdir() if path.suffix != ".lock"] == []


def test_an_empty_cache_is_clean(tmp_path):
    assert clean_cache(tmp_path, 0) == [] and list_sets(tmp_path) == []
