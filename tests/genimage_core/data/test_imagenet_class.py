from importlib.util import find_spec
from pathlib import Path

import pytest

from genimage_core.data.imagenet_class import imagenet_class, synsets


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("033_sdv4_00152.png", 33),
        ("999_sdv5_00001.png", 999),
        ("208_midjourney_76.png", 208),
        ("116_biggan_00094.png", 116),
        ("115_adm_141.PNG", 115),
        ("000_wukong_3.png", 0),
        ("GLIDE_1000_200_08_808_glide_00033.png", 808),
        ("VQDM_1000_200_00_017_vqdm_00020.png", 17),
        ("imagenet_glide/train/ai/GLIDE_1000_200_08_808_glide_00033.png", 808),
        ("n01440764_18.JPEG", 0),
        ("n03495258_20762.JPEG", 594),
        ("n15075141_9.JPEG", 999),
        ("n00000000_1.JPEG", None),
        ("ILSVRC2012_val_00000744.JPEG", None),
        ("000123_photograph.jpg", None),
        ("1033_sdv4_00152.png", None),
        ("033_cat_00152.png", None),
        ("holiday.jpg", None),
        ("033_sdv4_00152_copy.png", None),
    ],
)
def test_the_class_is_read_off_the_name(name, expected):
    assert imagenet_class(name) == expected


def test_there_are_a_thousand_sorted_synsets():
    ids = synsets()
    assert len(ids) == len(set(ids)) == 1000
    assert list(ids) == sorted(ids)


def test_the_synsets_are_those_of_timm():
    timm = find_spec("timm")  # not imported: that takes seconds
    if timm is None:
        pytest.skip("timm is not installed")
    text = Path(timm.origin).with_name("data").joinpath("_info", "imagenet_synsets.txt").read_text()
    assert tuple(text.split()) == synsets()
