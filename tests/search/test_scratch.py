import subprocess
import sys
import tempfile

import pytest

from search.scratch import scratch_folder

HOLD = "from search.scratch import scratch_folder\nwith scratch_folder() as f: print(f, flush=True); input()"


@pytest.fixture
def parent(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_goes_with_its_owner(parent):
    with scratch_folder() as folder:
        assert folder.parent == parent and folder.is_dir()
    assert list(parent.iterdir()) == []


def test_what_a_killed_owner_left_is_removed_and_what_a_living_one_holds_stays(parent):
    command = [sys.executable, "-c", HOLD]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as killed, subprocess.Popen(command, **pipes) as living:
        left, held = killed.stdout.readline().strip(), living.stdout.readline().strip()
        killed.kill()
        killed.wait()
        (parent / "genimage-error-x").mkdir()
        with scratch_folder() as own:
            assert {str(path) for path in parent.iterdir()} == {
                held,
                str(own),
                str(parent / "genimage-error-x"),
            }
        assert left != held
        living.communicate("\n")
