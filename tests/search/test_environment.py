from pathlib import Path

import pytest

from search.environment import _command


@pytest.mark.parametrize(
    ("argv", "variable", "command"),
    [
        (["search/run.py", "--space", "a.yaml"], None, ["python", "search/run.py", "--space", "a.yaml"]),
        (["/opt/bin/genimage-search", "--space", "a.yaml"], None, ["genimage-search", "--space", "a.yaml"]),
        (["search/run.py"], "/data", ["python", "search/run.py", "--data", "/data"]),
        (["search/run.py", "--data=/data"], "/data", ["python", "search/run.py", "--data=/data"]),
        (["search/run.py", "--data", "/data"], "/data", ["python", "search/run.py", "--data", "/data"]),
        (["search/run.py"], "/other", ["python", "search/run.py"]),
    ],
)
def test_the_command_can_be_typed_again(argv, variable, command):
    assert _command(argv, variable, "/data") == command


def test_paths_inside_the_working_folder_are_relative():
    inside = str(Path.cwd() / "spaces" / "fft.yaml")
    assert _command(["search/run.py", "--space", inside], None, "mini")[-1] == "spaces/fft.yaml"
