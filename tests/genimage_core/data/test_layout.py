import os
from pathlib import Path

import pytest

from genimage_core.data import folders
from genimage_core.data.file_facts import read_facts
from genimage_core.data.layout import EXTENSIONS, find_layout
from genimage_core.generators import GENIMAGE

CLASSES = ("nature", "ai")


def fill(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("a.png", "b.JPEG"):
        (folder / name).touch()


def grow(root, *holders, splits=("train", "val"), classes=CLASSES):
    for holder in holders:
        for split in splits:
            for name in classes:
                fill(root / holder / split / name)
    return root


def counts(layout):
    """Files by generator, split and label."""
    found = {(place.generator, place.split, place.label) for place in layout.places}
    return {key: len(list(layout.images(*key))) for key in sorted(found)}


def everything(*names, splits=("train", "val"), number=2):
    return {(name, split, label): number for name in sorted(names) for split in splits for label in (0, 1)}


KNOWN = {
    "Midjourney/imagenet_midjourney": "midjourney",
    "stable_diffusion_v_1_4/imagenet_ai_0419_sdv4": "sd14",
    "imagenet_ai_0424_sdv5": "sd15",
    "Stable Diffusion V1.4": "sd14",
    "stable diffusion v1.5": "sd15",
    "SD v1.4": "sd14",
    "sd15": "sd15",
    "ADM/imagenet_ai_0508_adm": "adm",
    "ADMnew": "adm",
    "ADMnew/imagenet_ai_0508_adm": "adm",
    "GLIDE": "glide",
    "imagenet_glide": "glide",
    "wukong/imagenet_ai_0424_wukong": "wukong",
    "vqdm": "vqdm",
    "BigGAN/imagenet_ai_0419_biggan": "biggan",
}


@pytest.mark.parametrize(("holder", "name"), KNOWN.items())
def test_a_generator_is_known_by_its_folder(tmp_path, holder, name):
    layout = find_layout(grow(tmp_path, holder))
    assert layout.generators == (name,) and layout.kind == "genimage"
    assert counts(layout) == everything(name)


def test_all_eight_as_released_come_in_order(tmp_path):
    grow(tmp_path, *(f"{g.top}/{g.inner}" for g in reversed(GENIMAGE.generators)))
    layout = find_layout(tmp_path)
    assert layout.generators == GENIMAGE.names and counts(layout) == everything(*GENIMAGE.names)


def test_a_generators_own_folder_may_be_the_root(tmp_path):
    for root in (tmp_path / "imagenet_glide", tmp_path / "glide" / "imagenet_glide"):
        layout = find_layout(grow(root, "."))
        assert layout.generators == ("glide",) and layout.kind == "imagefolder"
    assert find_layout(tmp_path / "glide").generators == ("glide",)


@pytest.mark.parametrize("subject", [".", "airplane", "car"])
def test_a_test_pack_of_cnndetection_is_for_validation(tmp_path, subject):
    for name in ("0_real", "1_fake"):
        fill(tmp_path / "progan" / subject / name)
        fill(tmp_path / "whichfaceisreal" / name, "x.png")
    layout = find_layout(tmp_path)
    assert layout.kind == "cnndetection" and layout.catalog.family_of("progan") == "progan"
    assert counts(layout) == everything("progan", splits=["val"]) | everything(
        "whichfaceisreal", splits=["val"], number=1
    )


def test_subjects_of_a_test_pack_are_joined(tmp_path):
    for subject in ("airplane", "car"):
        for name in ("0_real", "1_fake"):
            fill(tmp_path / "progan" / "train" / subject / name)
    assert counts(find_layout(tmp_path)) == everything("progan", splits=["train"], number=4)


@pytest.mark.parametrize(
    "classes", [("nature", "ai"), ("real", "fake"), ("0_real", "1_fake"), ("REAL", "Fake")]
)
def test_labels_do_not_follow_the_order_of_folders(tmp_path, classes):
    for split in ("train", "val"):
        fill(tmp_path / "Some set" / split / classes[0], "real.png")
        fill(tmp_path / "Some set" / split / classes[1], "fake.png")
    layout = find_layout(tmp_path / "Some set")
    assert layout.generators == ("some_set",) and layout.kind == "imagefolder"
    for label, name in enumerate(("real.png", "fake.png")):
        assert [p.name for p in layout.images("some_set", "train", label)] == [name]


def test_test_stands_in_for_val_only_where_there_is_none(tmp_path):
    grow(tmp_path, "adm", splits=("train", "test"))
    assert counts(find_layout(tmp_path)) == everything("adm")
    fill(tmp_path / "adm" / "val" / "ai", "only.png")
    assert [p.name for p in find_layout(tmp_path).images("adm", "val", 1)] == ["only.png"]


def test_two_folders_of_one_generator_are_refused(tmp_path):
    grow(tmp_path, "ADM/imagenet_ai_0508_adm", "ADMnew")
    with pytest.raises(ValueError, match="both claim to be adm") as refused:
        find_layout(tmp_path)
    assert all(str(tmp_path / part) in str(refused.value) for part in ("ADM/imagenet", "ADMnew"))


def test_only_what_is_asked_for_is_opened(tmp_path, monkeypatch):
    grow(tmp_path, "adm", "vqdm", "Midjourney/imagenet_midjourney")
    opened, scandir = [], os.scandir

    def spy(path):
        opened.append(Path(path))
        return scandir(path)

    monkeypatch.setattr(folders.os, "scandir", spy)
    layout = find_layout(tmp_path, ["adm"])
    assert layout.generators == ("adm",) and counts(layout) == everything("adm")
    assert opened and not [path for path in opened if "vqdm" in path.parts or "Midjourney" in path.parts]


def test_listing_agrees_with_a_walk(tmp_path):
    names = [
        f"{stem}.{end}"
        for stem in "zaM"
        for end in ("png", "PNG", "jpeg", "JPEG", "jpg", "webp", "txt", "png.part")
    ]
    for inner in (".", "sub", "sub/deep"):
        fill(tmp_path / "adm" / "train" / "ai" / inner, *names, ".DS_Store", "Thumbs.db", "._a.png")
    fill(tmp_path / "adm" / "train" / "nature")
    listed = list(find_layout(tmp_path).images("adm", "train", 1))
    walked = {
        Path(folder) / name
        for folder, _, files in os.walk(tmp_path / "adm" / "train" / "ai")
        for name in files
        if Path(name).suffix.lower() in EXTENSIONS and not name.startswith("._")
    }
    assert set(listed) == walked and len(listed) == len(walked) == 54
    top = [path for path in listed if path.parent.name == "ai"]
    assert top == sorted(top) and listed[: len(top)] == top


@pytest.mark.parametrize("what", ["file", "class", "generator"])
def test_a_link_out_of_the_root_is_followed_only_when_asked(tmp_path, what):
    root, outside = grow(tmp_path / "data", "adm"), grow(tmp_path / "outside", "glide")
    link, target = {
        "file": (root / "adm" / "train" / "ai" / "c.png", outside / "glide" / "train" / "ai" / "a.png"),
        "class": (root / "adm" / "train" / "ai" / "more", outside / "glide" / "train" / "ai"),
        "generator": (root / "glide", outside / "glide"),
    }[what]
    link.symlink_to(target)
    with pytest.raises(ValueError, match="leads out of the data root") as refused:
        counts(find_layout(root))
    assert str(link) in str(refused.value) and str(target) in str(refused.value)
    found = sum(counts(find_layout(root, follow_links=True)).values())
    assert found == {"file": 9, "class": 10, "generator": 16}[what]


def test_links_inside_the_root_are_fine_and_loops_end(tmp_path):
    root = grow(tmp_path, "adm")
    folder = root / "adm" / "train" / "ai"
    (folder / "c.png").symlink_to(root / "adm" / "val" / "ai" / "a.png")
    (folder / "loop").symlink_to(root / "adm" / "train")
    (folder / "gone.png").symlink_to(root / "nowhere.png")
    listed = [path.name for path in find_layout(root).images("adm", "train", 1) if "loop" not in path.parts]
    assert listed == ["a.png", "b.JPEG", "c.png", "gone.png"]
    assert len(list(find_layout(root).images("adm", "train", 1))) < 20


def test_a_root_that_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for root in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(ValueError, match="--data") as refused:
            find_layout(root)
        assert str(root) in str(refused.value)


def test_a_root_without_generators_says_what_was_expected_and_what_is_there(tmp_path):
    (tmp_path / "holiday pictures").mkdir()
    for names in (None, ["adm"], ["flux"]):
        with pytest.raises(ValueError, match="ADM/imagenet_ai_0508_adm") as refused:
            find_layout(tmp_path, names)
        text = str(refused.value)
        assert str(tmp_path) in text and "holiday pictures" in text and "\n" not in text


def test_what_is_missing_and_what_is_there_are_named(tmp_path):
    grow(tmp_path, "adm")
    layout = find_layout(tmp_path)
    layout.require(["adm"])
    with pytest.raises(ValueError) as refused:
        layout.require(["glide", "adm", "vqdm"])
    text = str(refused.value)
    assert "lacks glide, vqdm" in text and "it has adm" in text and "glide/imagenet_glide/train" in text
    grow(tmp_path, "biggan", splits=("train",))
    with pytest.raises(ValueError, match="biggan has no val images of nature"):
        find_layout(tmp_path).require(["biggan"])


@pytest.mark.parametrize(
    ("train", "val"), [("training", "validation"), ("Train", "TEST"), ("train", "validation")]
)
def test_splits_are_known_by_their_usual_names(tmp_path, train, val):
    for split in (train, val):
        for label in ("nature", "ai"):
            (tmp_path / "adm" / split / label).mkdir(parents=True)
            (tmp_path / "adm" / split / label / "a.png").touch()
    layout = find_layout(tmp_path)
    layout.require(["adm"])
    assert layout.generators == ("adm",) and len(layout.places) == 4


def outside(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    for label in ("0_real", "1_fake"):
        (folder / label).mkdir()
        (folder / label / "a.png").touch()
    return folder


def test_a_folder_of_subjects_may_not_lead_out_either(tmp_path, tmp_path_factory):
    (tmp_path / "progan").mkdir()
    (tmp_path / "progan" / "airplane").symlink_to(outside(tmp_path_factory))
    with pytest.raises(ValueError, match=r"progan/airplane is a link that leads out"):
        find_layout(tmp_path)
    assert find_layout(tmp_path, follow_links=True).generators == ("progan",)


def test_a_link_to_what_lies_above_shows_nothing_new(tmp_path):
    for label in ("nature", "ai"):
        (tmp_path / "adm" / "val" / label).mkdir(parents=True)
        (tmp_path / "adm" / "val" / label / "a.png").touch()
    (tmp_path / "adm" / "val" / "ai" / "up").symlink_to("..")
    (tmp_path / "adm" / "val" / "ai" / "top").symlink_to(tmp_path)
    layout = find_layout(tmp_path)
    assert [path.name for path in layout.images("adm", "val", 1)] == ["a.png"]


def test_links_to_themselves_stop_nothing(tmp_path):
    for label in ("nature", "ai"):
        (tmp_path / "adm" / "val" / label).mkdir(parents=True)
    (tmp_path / "adm" / "val" / "ai" / "self.png").symlink_to("self.png")
    (tmp_path / "loop").symlink_to("loop")
    for follow in (False, True):
        layout = find_layout(tmp_path, follow_links=follow)
        assert [path.name for path in layout.images("adm", "val", 1)] == ["self.png"]
    assert read_facts(tmp_path / "adm" / "val" / "ai" / "self.png").error == "unreadable"
