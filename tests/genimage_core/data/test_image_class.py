from genimage_core.data.image_class import UNKNOWN, images_by_class
from genimage_core.data.layout import find_layout


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def shown(layout, generator, split, label):
    found = images_by_class(layout, generator, split, label)
    return {name: sorted(path.name for path in paths) for name, paths in found.items()}


def test_names_of_genimage_tell_one_class_for_reals_and_fakes(tmp_path):
    inner = "imagenet_glide/train"
    touch(tmp_path, *(f"{inner}/nature/{name}.JPEG" for name in ("n01440764_18", "n03495258_2")))
    touch(tmp_path, *(f"{inner}/ai/GLIDE_1000_200_08_{index}_glide_00033.png" for index in ("594", "000")))
    touch(tmp_path, f"{inner}/nature/ILSVRC2012_val_00000744.JPEG", f"{inner}/ai/other.png")
    layout = find_layout(tmp_path)
    reals, fakes = (shown(layout, "glide", "train", label) for label in (0, 1))
    assert set(reals) == set(fakes) == {"n01440764", "n03495258", UNKNOWN}
    assert reals["n03495258"] == ["n03495258_2.JPEG"] and reals[UNKNOWN] == ["ILSVRC2012_val_00000744.JPEG"]
    assert fakes["n03495258"] == ["GLIDE_1000_200_08_594_glide_00033.png"] and fakes[UNKNOWN] == ["other.png"]


def test_folders_side_by_side_tell_the_subject(tmp_path):
    for subject in ("airplane", "cat"):
        touch(tmp_path, f"progan/{subject}/0_real/1.png", f"progan/{subject}/1_fake/{subject}2.png")
    touch(tmp_path, "stylegan/0_real/1.png", "stylegan/1_fake/1.png")
    layout = find_layout(tmp_path)
    assert shown(layout, "progan", "val", 1) == {"airplane": ["airplane2.png"], "cat": ["cat2.png"]}
    assert shown(layout, "stylegan", "val", 1) == {UNKNOWN: ["1.png"]}


def test_the_embedded_data_tell_drawn_scenes_from_photographs(tmp_path):
    (tmp_path / "CARD.md").write_text("These images are SIMULATED.")
    names = [f"00012{n}_{kind}.jpg" for n, kind in enumerate(("leaves", "chelsea", "camera"))]
    touch(tmp_path, *(f"adm/train/{label}/{name}" for label in ("ai", "nature") for name in names))
    found = shown(find_layout(tmp_path), "adm", "train", 0)
    assert found == {"leaves": [names[0]], "photograph": sorted(names[1:])}
    (tmp_path / "CARD.md").unlink()
    assert set(shown(find_layout(tmp_path), "adm", "train", 0)) == {UNKNOWN}
