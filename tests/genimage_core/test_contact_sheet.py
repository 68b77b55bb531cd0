import numpy as np
import pytest
import yaml
from PIL import Image

from genimage_core.__main__ import main
from genimage_core.contact_sheet import draw_contact_sheet

SPACE = {"noise_scale": {"low": 0.0, "high": 0.5}, "mask_kind": "low_pass", "mask_radius": 0.1}


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def pictures(figure):
    return {
        (axes.get_title(), axes.get_subplotspec().rowspan.start): axes.images[0].get_array()
        for axes in figure.axes
        if axes.images
    }


def test_every_operation_is_shown_at_three_strengths(image):
    shown = pictures(draw_contact_sheet(image, SPACE, size=32))
    assert [title for title, row in shown if row == 0] == ["original", "log-spectrum"]
    kinds = ("image", "difference x4", "log-spectrum")
    wanted = {f"{kind}, {share}" for kind in kinds for share in ("33%", "67%", "100%")}
    for row in (1, 2):
        assert {title for title, of in shown if of == row} == wanted
    original = np.asarray(Image.open(image))[9:41, 4:36] / 255
    np.testing.assert_allclose(shown["original", 0], original, atol=1e-6)
    changed = shown["image, 100%", 1]
    difference = np.clip(0.5 + 4 * (changed - original), 0, 1)
    np.testing.assert_allclose(shown["difference x4, 100%", 1], difference, atol=1e-5)
    assert shown["log-spectrum, 100%", 2][0, 0].max() == 0  # the corner is beyond the low-pass
    assert shown["log-spectrum", 0][0, 0].max() > 0


@pytest.mark.parametrize("size", [0, -3, 1.5])
def test_a_size_that_is_not_allowed_is_refused(image, size):
    with pytest.raises(ValueError, match=f"size must be a whole number of pixels, at least 1, got {size}"):
        draw_contact_sheet(image, SPACE, size=size)


def test_a_sheet_of_single_pixels_is_drawn(image):
    assert pictures(draw_contact_sheet(image, SPACE, size=1))


def test_the_command_writes_a_picture(image, tmp_path, capsys):
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({"name": "x", "space": {**SPACE, "freeze_depth": 2}}))
    out = tmp_path / "sheet.png"
    arguments = ["augment", str(image), "--space", str(tmp_path / "space.yaml"), "--size", "32"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert Image.open(out).width > 500 and str(out) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("space: {noise_scale: 5.0}", "noise_scale"),
        ("space: {freeze_depth: 2}", "no operation"),
        ("name: x", "space"),
        ("[", "space.yaml"),
        (None, "space.yaml"),
    ],
)
def test_a_space_that_cannot_be_shown_is_refused(image, tmp_path, capsys, content, named):
    if content is not None:
        (tmp_path / "space.yaml").write_text(content)
    out = tmp_path / "sheet.png"
    assert main(["augment", str(image), "--space", str(tmp_path / "space.yaml"), "--out", str(out)]) == 2
    assert named in capsys.readouterr().err and not out.exists()


def test_an_image_that_cannot_be_read_is_refused(tmp_path, capsys):
    (tmp_path / "space.yaml").write_text(yaml.safe_dump({"space": SPACE}))
    (tmp_path / "image.png").write_bytes(b"no image")
    assert main(["augment", str(tmp_path / "image.png"), "--space", str(tmp_path / "space.yaml")]) == 2
    assert "image.png" in capsys.readouterr().err
