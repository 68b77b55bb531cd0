import pytest

from genimage_core.data.layout import find_generators, list_images, require_generators
from genimage_core.generators import NAMES, get_generator


def test_generators_are_found_where_they_unzip(tmp_path, write_tree):
    root = write_tree(tmp_path, ["adm", "sd14"], train=1, val=1)
    assert find_generators(root) == {
        "sd14": root / "stable_diffusion_v_1_4" / "imagenet_ai_0419_sdv4",
        "adm": root / "ADM" / "imagenet_ai_0508_adm",
    }
    assert list(find_generators(root, ["adm"])) == ["adm"]


def test_a_generator_that_was_not_asked_for_is_not_touched(tmp_path, write_tree):
    root = write_tree(tmp_path, ["adm", "vqdm"], train=1, val=1)
    sealed = root / get_generator("vqdm").top
    sealed.chmod(0)
    try:
        assert list(require_generators(root, ["adm"])) == ["adm"]
    finally:
        sealed.chmod(0o755)


def test_a_root_that_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for root in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(ValueError, match="--data") as refused:
            find_generators(root)
        assert str(root) in str(refused.value)


def test_a_root_without_generators_says_what_was_expected(tmp_path):
    assert find_generators(tmp_path) == {}
    with pytest.raises(ValueError, match="ADM/imagenet_ai_0508_adm/train") as refused:
        require_generators(tmp_path, ["adm", "glide"])
    assert str(tmp_path) in str(refused.value) and "\n" not in str(refused.value)


def test_what_is_missing_and_what_is_there_are_named(tmp_path, write_tree):
    root = write_tree(tmp_path, ["adm"], train=1, val=1)
    with pytest.raises(ValueError) as refused:
        require_generators(root, ["glide", "adm", "vqdm"])
    text = str(refused.value)
    assert "lacks glide, vqdm" in text and "has adm" in text and "glide/imagenet_glide/train" in text


def test_folders_come_in_the_order_asked_for(tmp_path, write_tree):
    names = NAMES[::-1]
    root = write_tree(tmp_path, names, train=1, val=1)
    assert tuple(require_generators(root, names)) == names


def test_images_are_told_by_their_extension_in_any_case(tmp_path):
    folder = tmp_path / "train" / "ai"
    folder.mkdir(parents=True)
    names = ["b.JPEG", "a.PNG", "d.webp", "c.jpg", "e.Jpg"]
    for name in [*names, "notes.txt", ".DS_Store", "Thumbs.db", "f.png.part"]:
        (folder / name).touch()
    assert [path.name for path in list_images(tmp_path, "train", 1)] == sorted(names)


def test_a_missing_class_is_named(tmp_path, write_tree):
    root = write_tree(tmp_path, ["adm"], train=1, val=1)
    folder = find_generators(root)["adm"]
    for path in (folder / "val" / "nature").iterdir():
        path.unlink()
    (folder / "val" / "nature").rmdir()
    with pytest.raises(ValueError, match="nature"):
        list_images(folder, "val", 0)
