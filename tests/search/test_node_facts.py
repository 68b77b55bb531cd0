import platform
import shutil
from importlib.metadata import version

import pytest

from genimage_core.data.layout import find_layout
from genimage_core.settings import DataSettings
from search.node_facts import NONCE, identify, look

SETTINGS = DataSettings(32, 2, 2, "none")


def test_versions_are_those_that_are_installed():
    found = look(["numpy", "torch", "no-such-package"], {}, "", "").versions
    assert found["numpy"] == version("numpy") and found["no-such-package"] == ""
    assert found["torch"] == version("torch").split("+")[0]
    assert platform.python_version().startswith(f"{found['python']}.")


def test_a_shared_folder_is_read_and_written(tmp_path):
    (tmp_path / NONCE).write_text("abc")
    assert look([], {"runs": tmp_path}, "abc", "node1").folders == {"runs": ""}
    assert (tmp_path / "node1").read_text() == "abc"


@pytest.mark.parametrize(
    ("nonce", "said"), [(None, "FileNotFoundError"), ("another", "another folder is there")]
)
def test_a_folder_of_this_node_alone_is_known_by_its_nonce(tmp_path, nonce, said):
    if nonce is not None:
        (tmp_path / NONCE).write_text(nonce)
    assert said in look([], {"runs": tmp_path}, "abc", "node1").folders["runs"]
    assert not (tmp_path / "node1").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / NONCE).write_text("abc")
    (tmp_path / "node1").mkdir()  # in the way; rights alone do not stop root
    assert "IsADirectoryError" in look([], {"runs": tmp_path}, "abc", "node1").folders["runs"]


def test_images_are_known_by_their_files_wherever_they_lie(tmp_path, write_tree):
    root = write_tree(tmp_path / "one", ["adm", "sd14"])
    shutil.copytree(root, tmp_path / "two")
    found = [identify(find_layout(place), ["adm", "sd14"], SETTINGS, 0) for place in (root, tmp_path / "two")]
    assert found[0] == found[1] and len(found[0]) == 4
    image = next(find_layout(tmp_path / "two").images("adm", "val", 1))
    image.write_bytes(image.read_bytes() + b"more")
    changed = identify(find_layout(tmp_path / "two"), ["adm", "sd14"], SETTINGS, 0)
    assert [key for key in changed if changed[key] != found[0][key]] == [("adm", "val")]


def test_images_that_are_gone_are_an_answer_too(tmp_path, write_tree):
    root = write_tree(tmp_path / "data", ["adm", "sd14"])
    layout = find_layout(root)
    sound = identify(layout, ["adm", "sd14"], SETTINGS, 0)
    shutil.rmtree(next(place.folder for place in layout.places if place.generator == "adm"))
    there = identify(layout, ["adm", "sd14"], SETTINGS, 0)
    assert [key for key in there if there[key] != sound[key]] == [("adm", "train")]
    assert "FileNotFoundError" in there["adm", "train"]
