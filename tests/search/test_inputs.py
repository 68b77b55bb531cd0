import io
from collections import namedtuple
from dataclasses import replace

import pytest
import yaml
from rich.console import Console

from genimage_core.data import decoding
from search import inputs
from search.inputs import check_inputs, prepare_inputs, write_left_out
from search.space import dump_space, load_space

NAMES = ("sd14", "biggan")
CONTENT = {
    "name": "tiny",
    "data": {"image_size": 32, "train_per_class": 3, "val_per_class": 2, "format_alignment": "none"},
    "protocol": {"search": list(NAMES), "sealed": ["vqdm"]},
    "detector": {"name": "swin_nano", "base": "scratch"},
}


@pytest.fixture
def root(tmp_path, write_tree):
    return write_tree(tmp_path / "GenImage", NAMES)


@pytest.fixture
def space_of(tmp_path, root):
    def make(**data):
        content = {**CONTENT, "data": {**CONTENT["data"], "root": str(root), **data}}
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
        return load_space(tmp_path / "tiny.yaml")

    return make


@pytest.fixture
def prepare(tmp_path):
    def prepare(space):
        said = io.StringIO()
        console = Console(file=said, width=1000)
        return prepare_inputs(space, NAMES, tmp_path / "cache", console), said.getvalue()

    return prepare


def test_what_is_needed_is_told_before_and_nothing_the_second_time(space_of, prepare, tmp_path):
    first, said = prepare(space_of())
    assert "decoding images (4." in said and f"MB in {tmp_path / 'cache'})" in said
    second, said = prepare(space_of())
    assert "checking decoded images" in said and second.fingerprint == first.fingerprint
    assert prepare(space_of(crop="random"))[0].fingerprint != first.fingerprint


def test_room_for_all_sets_is_asked_for_before_the_first_is_decoded(space_of, prepare, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    one_set_fits = usage(10**9, 0, 2 * 2**20)
    monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: one_set_fits)
    with pytest.raises(ValueError, match=r"need 4\..* MB in .* 2\.1 MB are free"):
        prepare(space_of())
    assert not list(tmp_path.rglob("*.npy"))


def test_what_is_left_out_is_told(space_of, prepare, root):
    [damaged, *_] = sorted(root.rglob("train/ai/*.png"))
    damaged.write_bytes(b"")
    _, said = prepare(space_of(max_bad_share=0.4))
    assert said.count("left out: ") == 1 and f"train/ai/{damaged.name}: zero bytes" in said
    with pytest.raises(
        ValueError, match=r"1 of 3 ai images .*data\.max_bad_share \(--max-bad-share\) allows 0\.01"
    ):
        prepare(space_of())


def test_a_damaged_set_is_found_out_by_its_checksum(space_of, prepare, tmp_path):
    first, _ = prepare(space_of())
    shard = next((tmp_path / "cache").rglob("*.npy"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.warns(UserWarning, match="decoded again"):
        assert prepare(space_of())[0].fingerprint == first.fingerprint


def test_reals_of_a_size_are_counted_before_anything_is_made(space_of):
    check_inputs(space_of(real_size=[32, 40]), NAMES)
    with pytest.raises(ValueError, match=r"data\.real_size \[450, 550\]"):
        check_inputs(space_of(real_size=[450, 550]), NAMES)


def test_data_settings_survive_a_space_file(space_of, tmp_path):
    space = space_of(crop="random", margin=8, real_size=[450, 550], max_bad_share=0.2)
    (tmp_path / "again.yaml").write_text(dump_space(space))
    assert load_space(tmp_path / "again.yaml") == space
    assert space.data == replace(
        space_of().data, crop="random", margin=8, real_size=(450, 550), max_bad_share=0.2
    )


@pytest.mark.parametrize(
    ("key", "value"), [("crop", "center"), ("real_size", [550, 450]), ("real_size", [1]), ("margin", 3)]
)
def test_what_cannot_be_is_refused_with_its_key(space_of, key, value):
    with pytest.raises(ValueError, match=rf"tiny\.yaml: data.*{key}"):
        space_of(**{key: value})


def test_a_long_list_of_what_is_left_out_goes_to_the_run_directory(
    space_of, prepare, root, tmp_path, monkeypatch
):
    monkeypatch.setattr(inputs, "NAMED", 1)
    for split in ("train", "val"):
        sorted(root.rglob(f"{split}/ai/*.png"))[0].write_bytes(b"")
    ready, said = prepare(space_of(max_bad_share=0.5))
    assert said.count("left out: ") == 2 and "left out: 1 more; left_out.csv" in said
    write_left_out(ready.bad, tmp_path)
    listed = (tmp_path / "left_out.csv").read_text().splitlines()
    assert listed[0] == "generator,split,label,path,reason" and len(listed) == 3
    write_left_out((), tmp_path / "nowhere")
