"""Generators outside GenImage, named by a mapping that the space file points at."""

import pytest
import yaml

from search.space import build_protocol, dump_space, load_space

GLOBS = {"ai": {"train": ["flux/*.png"]}, "nature": {"train": ["photos/*.jpg"]}}
MAPPING = {"generators": {"flux": {"family": "flux", **GLOBS}, "flux_dev": {"family": "flux", **GLOBS}}}
SPACE = {
    "name": "tiny",
    "data": {"root": "/somewhere", "layout": "maps/own.yaml"},
    "protocol": {"search": ["flux", "adm"], "sealed": ["flux_dev"]},
    "detector": {"base": "scratch"},
}


def write(folder, mapping=MAPPING, **sections):
    (folder / "maps").mkdir(exist_ok=True)
    (folder / "maps" / "own.yaml").write_text(yaml.safe_dump(mapping))
    (folder / "tiny.yaml").write_text(yaml.safe_dump(SPACE | sections))
    return folder / "tiny.yaml"


def test_the_mapping_lies_beside_the_space_and_is_kept_with_it(tmp_path):
    space = load_space(write(tmp_path))
    assert space.data.layout == MAPPING
    (tmp_path / "again.yaml").write_text(dump_space(space))
    (tmp_path / "maps" / "own.yaml").unlink()
    assert load_space(tmp_path / "again.yaml") == space


def test_its_families_decide_what_is_off_family(tmp_path):
    space = load_space(write(tmp_path, protocol={"search": ["flux", "flux_dev", "adm"]}))
    folds = {fold.name: fold for fold in build_protocol(space, ()).folds}
    assert folds["flux"].left_out == ("flux_dev", "adm") and folds["flux"].off_family == ("adm",)
    assert folds["adm"].off_family == ("flux", "flux_dev")


@pytest.mark.parametrize(
    ("sections", "mapping", "named"),
    [
        ({}, {"generators": {}}, "data.layout: mapping: generators"),
        ({}, {"generators": {"flux": {"family": "flux"}}}, "generators.flux.ai"),
        ({"protocol": {"search": ["flux", "sdxl"]}}, MAPPING, "protocol.search: unknown generator 'sdxl'"),
        ({"data": {"root": "/somewhere", "layout": "nowhere.yaml"}}, MAPPING, "nowhere.yaml"),
        ({"data": {"root": "/somewhere"}}, MAPPING, "unknown generator 'flux'"),
    ],
)
def test_a_mistake_is_named(tmp_path, sections, mapping, named):
    with pytest.raises(ValueError) as refused:
        load_space(write(tmp_path, mapping, **sections))
    assert named in str(refused.value) and str(tmp_path) in str(refused.value)
