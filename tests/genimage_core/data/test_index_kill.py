"""The index under SIGKILL, at random moments and before every single step that touches the disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from genimage_core.data.index import build_index, read_index
from tests.genimage_core.data.index_trees import damaged, encoded, genimage_layout, write_places

HOME = Path(__file__).parents[3]
CHUNK = 16


@pytest.fixture
def tree(tmp_path):
    layout = genimage_layout(tmp_path / "data")
    write_places(layout, 60, reasons=(None, None, "truncated", "zero bytes"))
    return layout


def start(layout, target, *options, workers=0, chunk=CHUNK):
    module = "tests.genimage_core.data.index_process"
    command = [sys.executable, "-m", module, str(layout.root), str(target), str(workers), str(chunk)]
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    return subprocess.Popen(
        [*command, *map(str, options)], cwd=HOME, env=environment, stderr=subprocess.PIPE, text=True
    )


def run(layout, target, *options, workers=0):
    process = start(layout, target, *options, workers=workers)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode


def fresh(layout, target):
    build_index(layout, target, workers=0, report=lambda done, total: None, chunk=CHUNK)
    return read_index(target)


def test_killed_at_random_moments_it_goes_on_and_ends_as_if_undisturbed(tmp_path, tree):
    expected, target, rng = fresh(tree, tmp_path / "fresh"), tmp_path / "index", np.random.default_rng(1)
    finished, kills = [], 0
    for attempt in range(5):
        process = start(
            tree, target, "--die-after-reports", int(rng.integers(3, 12)), workers=(0, 2)[attempt % 2]
        )
        process.communicate(timeout=60)
        kills += process.returncode == -signal.SIGKILL
        finished.append(len(list(target.rglob("*.parquet"))))
        with pytest.raises(ValueError, match="never finished"):
            read_index(target)
    assert kills == 5
    assert finished == sorted(finished) and finished[-1] > finished[0] > 0  # what was finished stayed
    assert run(tree, target, workers=2) == 0
    pd.testing.assert_frame_equal(read_index(target), expected)
    assert_tidy(target)


@pytest.mark.slow
def test_killed_by_the_clock_it_ends_as_if_undisturbed(tmp_path, tree):
    expected, target, rng = fresh(tree, tmp_path / "fresh"), tmp_path / "index", np.random.default_rng(2)
    began = time.perf_counter()
    assert run(tree, tmp_path / "timed", workers=2) == 0
    duration = time.perf_counter() - began
    kills = 0
    for _ in range(6):
        process = start(tree, target, workers=2)
        time.sleep(duration * rng.uniform(0.4, 0.95))
        process.kill()
        process.communicate(timeout=60)
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 1  # the others were quicker than the clock: they found less and less to do
    assert run(tree, target, workers=2) == 0
    pd.testing.assert_frame_equal(read_index(target), expected)
    assert_tidy(target)


def change(layout):
    """Something of everything: new, changed and vanished files, an empty place."""
    for number, place in enumerate(layout.places):
        (place.folder / "new.png").write_bytes(encoded(seed=number))
        (place.folder / "000_sdv4_00000.png").write_bytes(damaged("truncated", seed=number))
        (place.folder / "031_sdv4_00031.png").unlink()
    for path in layout.places[3].folder.iterdir():
        path.unlink()


@pytest.mark.slow
def test_killed_before_any_step_of_an_update_readers_see_the_old_index_or_the_new(tmp_path):
    layout = genimage_layout(tmp_path / "data", ["adm"])
    write_places(layout, 40)
    old = fresh(layout, tmp_path / "old")
    change(layout)
    new = fresh(layout, tmp_path / "new")
    seen, code = [], -signal.SIGKILL
    while code == -signal.SIGKILL:
        target = tmp_path / f"killed{len(seen)}"
        shutil.copytree(tmp_path / "old", target)
        code = run(layout, target, "--generators", "adm", "--die-at", len(seen) + 1)
        table = read_index(target)
        seen.append("old" if table.equals(old) else "new" if table.equals(new) else "neither")
        pd.testing.assert_frame_equal(fresh(layout, target), new)  # goes on
        assert_tidy(target)
    assert len(seen) > 12 and seen.count("old") > 5 and seen.count("new") > 5  # before and after the switch
    assert seen == sorted(seen, reverse=True) and "neither" not in seen


def assert_tidy(target):
    """What lies there is what the manifest names."""
    places = json.loads((target / "index.json").read_text())["places"]
    named = [f"{place['name']}/{part}" for place in places for part in place["parts"]]
    found = [path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()]
    assert sorted(found) == sorted([*named, "index.json"])


def test_workers_end_with_a_parent_that_was_killed(tmp_path, tree):
    process = start(tree, tmp_path / "index", workers=2, chunk=10_000)
    deadline = time.monotonic() + 30
    while len(workers := children_of(process.pid)) < 3:  # two, and the one that tracks shared resources
        assert process.poll() is None and time.monotonic() < deadline
    process.kill()
    process.communicate()
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline, "worker processes outlived their parent"
        time.sleep(0.05)


def children_of(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_two_at_once_make_one_index(tmp_path, tree):
    processes = [start(tree, tmp_path / "index", workers=workers) for workers in (0, 2)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    pd.testing.assert_frame_equal(read_index(tmp_path / "index"), fresh(tree, tmp_path / "fresh"))


def test_who_has_to_wait_says_so(tmp_path, tree):
    with FileLock(f"{tmp_path / 'index'}.lock"):
        process = start(tree, tmp_path / "index")
        line = process.stderr.readline()
        assert f"another process writes the index {tmp_path / 'index'}; waiting" in line
        assert process.poll() is None and not (tmp_path / "index").exists()
    process.communicate(timeout=60)
    assert process.returncode == 0 and len(read_index(tmp_path / "index")) == 480
