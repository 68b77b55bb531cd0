import pytest

from genimage_core.data.images import choose_images
from genimage_core.data.index import build_index, read_index
from genimage_core.data.layout import find_layout
from genimage_core.data.mapping import read_mapping
from genimage_core.generators import GENIMAGE

FLUX = {
    "title": "FLUX.1",
    "ai": {"train": ["flux/**/*.png"], "val": ["fluxtest/*.PNG", "fluxtest/*.webp"]},
    "nature": {"train": ["photos/a/*"], "val": ["photos/b/*.jpg"]},
}


@pytest.fixture
def root(tmp_path):
    fakes = ("flux/1/x.png", "flux/y.png", "fluxtest/z.PNG", "fluxtest/w.webp")
    for name in (*fakes, "photos/a/1.jpg", "photos/a/notes.txt", "photos/b/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(layout, *key):
    return [path.relative_to(layout.root).as_posix() for path in layout.images(*key)]


def test_a_mapping_says_where_everything_is(root):
    layout = find_layout(root, mapping={"generators": {"flux": FLUX}})
    assert layout.kind == "mapping" and layout.generators == ("flux",)
    layout.require(["flux"])
    assert names(layout, "flux", "train", 1) == ["flux/1/x.png", "flux/y.png"]
    assert sorted(names(layout, "flux", "val", 1)) == ["fluxtest/w.webp", "fluxtest/z.PNG"]
    assert names(layout, "flux", "train", 0) == ["photos/a/1.jpg"]
    assert names(layout, "flux", "val", 0) == ["photos/b/2.jpg"]
    assert layout.catalog.get("flux").title == "FLUX.1" and layout.catalog.family_of("flux") == "flux"


def test_a_file_that_two_patterns_match_counts_once(root):
    twice = FLUX | {"ai": {"train": ["flux/**/*.png", "flux/*.png"], "val": ["fluxtest/*"]}}
    layout = find_layout(root, mapping={"generators": {"flux": twice}})
    assert sorted(names(layout, "flux", "train", 1)) == ["flux/1/x.png", "flux/y.png"]


def test_extensions_match_in_any_case(root):
    (root / "fluxtest" / "v.png").touch()
    (root / "fluxtest" / "dir.png").mkdir()
    mixed = FLUX | {"ai": {"train": ["flux/**/*.PnG"], "val": ["fluxtest/*.png"]}}
    layout = find_layout(root, mapping={"generators": {"flux": mixed}})
    assert sorted(names(layout, "flux", "val", 1)) == ["fluxtest/v.png", "fluxtest/z.PNG"]
    assert names(layout, "flux", "train", 1) == ["flux/1/x.png", "flux/y.png"]


def test_two_stars_at_the_end_are_everything_below(root):
    deep = FLUX | {"ai": {"train": ["flux/**"], "val": ["fluxtest/*"]}}
    layout = find_layout(root, mapping={"generators": {"flux": deep}})
    assert names(layout, "flux", "train", 1) == ["flux/1/x.png", "flux/y.png"]


@pytest.mark.parametrize("globs", [[], ["flux/a**/*.png"], ["/flux/*"], [""]])
def test_impossible_patterns_are_refused_by_their_key(globs):
    with pytest.raises(ValueError, match=r"mapping: generators\.flux\.ai\.train"):
        read_mapping({"generators": {"flux": FLUX | {"ai": {"train": globs, "val": ["b/*"]}}}})


@pytest.mark.parametrize(
    "wide",
    [
        {"ai": {"train": ["flux/**/*", "photos/a/*"], "val": ["fluxtest/*"]}},
        {"nature": {"train": ["photos/**/*"], "val": ["photos/b/*"]}},
    ],
)
def test_the_index_refuses_a_file_with_two_labels_or_splits(root, tmp_path_factory, wide):
    layout = find_layout(root, mapping={"generators": {"flux": FLUX | wide}})
    with pytest.raises(ValueError, match=r"photos/./.\.jpg counts as train nature and .* of flux; narrow"):
        build_index(layout, tmp_path_factory.mktemp("i") / "index", workers=0, report=lambda *a: None)


def test_the_index_counts_a_file_that_two_patterns_match_once(root, tmp_path_factory):
    twice = FLUX | {"ai": {"train": ["flux/**/*.png", "flux/*.png"], "val": ["fluxtest/*"]}}
    target = tmp_path_factory.mktemp("i") / "index"
    layout = find_layout(root, mapping={"generators": {"flux": twice}})
    build_index(layout, target, workers=0, report=lambda *a: None)
    assert read_index(target)["path"].is_unique and len(read_index(target)) == 6


def test_a_file_of_both_classes_is_refused(root):
    wide = FLUX | {"ai": {"train": ["flux/**/*.png", "photos/**/*"], "val": ["fluxtest/*"]}}
    layout = find_layout(root, mapping={"generators": {"flux": wide}})
    with pytest.raises(ValueError, match=r"photos/a/1\.jpg counts as nature and as ai"):
        choose_images(layout, "flux", "train", 1, 0)


def test_an_unknown_key_is_named_with_those_that_there_are():
    with pytest.raises(
        ValueError, match=r"generators\.flux\.familly: unknown key; allowed: title, family, ai, nature"
    ):
        read_mapping({"generators": {"flux": FLUX | {"familly": "x"}}})
    with pytest.raises(ValueError, match="generator: unknown key; allowed: generators"):
        read_mapping({"generators": {"flux": FLUX}, "generator": {}})


def test_families_can_be_joined_and_known_generators_keep_theirs(root):
    mapping = {"generators": {"sd14": FLUX, "sdxl": FLUX | {"family": "stable_diffusion"}}}
    catalog = find_layout(root, mapping=mapping).catalog
    assert catalog.family_of("sd14") == "stable_diffusion" and catalog.get("sd14").native_size == 512
    assert catalog.expand(["stable_diffusion"]) == ("sd14", "sd15", "wukong", "sdxl")
    assert catalog.expand(["sdxl", "adm"]) == ("sdxl", "adm")


def test_only_what_is_asked_for_is_matched(root):
    absent = FLUX | {"ai": {"train": ["nowhere/*.png"]}}
    mapping = {"generators": {"flux": FLUX, "sealed": absent}}
    assert find_layout(root, ["flux"], mapping=mapping).generators == ("flux",)
    with pytest.raises(ValueError, match=r"sealed: no image under .* matches 'nowhere/\*.png'"):
        find_layout(root, mapping=mapping)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ai": {"train": ["/etc/*.png"]}}, "relative to the data root"),
        ({"ai": {"train": ["../*.png"]}}, "relative to the data root"),
        ({"ai": {"test": ["x/*.png"]}}, "'train' or 'val'"),
        ({"ai": {}}, "generators.flux.ai"),
        ({"nature": None}, "generators.flux.nature"),
        ({"family": "a family"}, "generators.flux.family"),
        ({"folder": "x"}, "generators.flux.folder"),
        ({"family": "adm"}, "family adm"),
    ],
)
def test_a_mistake_names_its_key(root, change, named):
    mapping = {"generators": {"flux": FLUX | change}}
    if change == {"family": "adm"}:
        assert find_layout(root, mapping=mapping).catalog.expand(["flux"]) == ("flux",)
        return
    with pytest.raises(ValueError) as refused:
        find_layout(root, mapping=mapping)
    assert named in str(refused.value)


def test_a_family_with_the_name_of_a_stranger_is_refused():
    mapping = {"generators": {"flux": FLUX | {"family": "sd14"}}}
    with pytest.raises(ValueError, match="family sd14 of flux is the name of a generator outside it"):
        read_mapping(mapping).catalog(GENIMAGE)


def test_a_pattern_through_a_link_out_of_the_root_is_refused(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.png").touch()
    (root / "link").symlink_to(outside)
    mapping = {"generators": {"flux": FLUX | {"ai": {"train": ["link/*.png"]}}}}
    with pytest.raises(ValueError, match="leads out of the data root"):
        find_layout(root, mapping=mapping)
    assert find_layout(root, mapping=mapping, follow_links=True).generators == ("flux",)
