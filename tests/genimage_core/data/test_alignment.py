import io
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chisquare

from genimage_core.data import alignment
from genimage_core.data.alignment import LOSSLESS, reencode, target_quality
from genimage_core.data.jpeg_quality import jpeg_quality
from genimage_core.settings import ALIGNMENTS

REAL, FAKE = 0, 1


def picture(height=40, width=56):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("quality", [5, 60, 96, 100])
def test_the_bytes_carry_the_tables_of_the_quality(monkeypatch, quality):
    written = []

    class Kept(io.BytesIO):
        def __init__(self):
            super().__init__()
            written.append(self)

    monkeypatch.setattr(alignment.io, "BytesIO", Kept)
    again = np.asarray(reencode(Image.fromarray(picture()), quality))
    monkeypatch.undo()
    direct = io.BytesIO()
    Image.fromarray(picture()).save(direct, "JPEG", quality=quality)
    assert written[0].getvalue() == direct.getvalue()  # Pillow's defaults
    with Image.open(io.BytesIO(written[0].getvalue())) as file:
        assert jpeg_quality(file.quantization) == quality
        np.testing.assert_array_equal(again, np.asarray(file.convert("RGB")))


def test_only_what_an_alignment_names_is_re_encoded():
    expected = {"none": (None, None), "jpeg96": (None, 96), "jpeg96_both": (96, 96)}
    for name, qualities in expected.items():
        assert tuple(target_quality(name, "a.png", label) for label in (REAL, FAKE)) == qualities
    assert target_quality("match_quality", "a.png", REAL) is None
    assert {*expected, "match_quality"} == set(ALIGNMENTS)


def drawn(name, qualities, seed=0):
    return target_quality("match_quality", name, FAKE, real_qualities=qualities, seed=seed)


def test_qualities_are_drawn_as_the_reals_have_them():
    qualities = [75] * 50 + [90] * 30 + [96] * 20
    counts = Counter(drawn(f"val/ai/{number}.png", qualities) for number in range(4000))
    assert set(counts) == {75, 90, 96}
    assert chisquare([counts[q] for q in (75, 90, 96)], [2000, 1200, 800]).pvalue > 0.001


def test_as_many_fakes_stay_lossless_as_reals_are():
    drawn_ones = [drawn(f"{number}.png", [LOSSLESS] * 25 + [90] * 75) for number in range(2000)]
    counts = Counter(drawn_ones)
    assert set(counts) == {None, 90}
    assert chisquare([counts[None], counts[90]], [500, 1500]).pvalue > 0.001


def test_a_draw_follows_from_name_and_seed_alone():
    qualities = [60, 75, 90]
    assert len({drawn("a.png", given) for given in permutations(qualities)}) == 1
    assert len({drawn("a.png", qualities, seed) for seed in range(30)}) == 3
    assert len({drawn(f"{number}.png", qualities) for number in range(30)}) == 3
    # Of another session: the same file gives the same pixels on every machine.
    assert [drawn(f"ai/{number}.png", range(1, 101), seed=7) for number in range(4)] == [83, 34, 41, 46]


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(ValueError, match=r"match_quality .* choose another alignment"):
        drawn("a.png", [])


def test_an_unknown_alignment_is_refused():
    with pytest.raises(ValueError, match="jpeg95"):
        target_quality("jpeg95", "a.png", FAKE)
