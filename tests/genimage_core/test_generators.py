import pytest

from genimage_core.generators import GENIMAGE

# As the released archives unzip, with the native sizes of the paper.
RELEASED = {
    "midjourney": ("Midjourney/imagenet_midjourney", 1024),
    "sd14": ("stable_diffusion_v_1_4/imagenet_ai_0419_sdv4", 512),
    "sd15": ("stable_diffusion_v_1_5/imagenet_ai_0424_sdv5", 512),
    "adm": ("ADM/imagenet_ai_0508_adm", 256),
    "glide": ("glide/imagenet_glide", 256),
    "wukong": ("wukong/imagenet_ai_0424_wukong", 512),
    "vqdm": ("VQDM/imagenet_ai_0419_vqdm", 256),
    "biggan": ("BigGAN/imagenet_ai_0419_biggan", 128),
}


def test_the_eight_lie_where_they_unzip():
    assert {g.name: (f"{g.top}/{g.inner}", g.native_size) for g in GENIMAGE.generators} == RELEASED
    assert set(GENIMAGE.names) == set(RELEASED) and len(GENIMAGE.names) == 8


def test_the_stable_diffusion_family_is_the_only_one_with_relatives():
    assert GENIMAGE.families["stable_diffusion"] == ("sd14", "sd15", "wukong")
    assert sorted(members for members in GENIMAGE.families.values() if len(members) > 1) == [
        ("sd14", "sd15", "wukong")
    ]
    assert sorted(name for members in GENIMAGE.families.values() for name in members) == sorted(
        GENIMAGE.names
    )
    assert all(name in GENIMAGE.families[GENIMAGE.family_of(name)] for name in GENIMAGE.names)


@pytest.mark.parametrize(
    ("names", "members"),
    [
        (["vqdm", "adm"], ("vqdm", "adm")),
        (["adm", "vqdm", "adm"], ("adm", "vqdm")),
        (["glide", "stable_diffusion", "adm"], ("glide", "sd14", "sd15", "wukong", "adm")),
        (["wukong", "stable_diffusion"], ("wukong", "sd14", "sd15")),
        ([], ()),
    ],
)
def test_expand_keeps_the_order_and_drops_repeats(names, members):
    assert GENIMAGE.expand(names) == members


@pytest.mark.parametrize(
    "call", [lambda name: GENIMAGE.expand(["adm", name]), GENIMAGE.get, GENIMAGE.family_of]
)
@pytest.mark.parametrize("name", ["sdxl", "ADM", "", "nature"])
def test_an_unknown_name_lists_the_known_ones(call, name):
    with pytest.raises(ValueError) as refused:
        call(name)
    text = str(refused.value)
    assert repr(name) in text and all(known in text for known in GENIMAGE.names) and "\n" not in text
