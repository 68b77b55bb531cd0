import io

import numpy as np
import pytest
from PIL import Image

from genimage_core.data.jpeg_quality import jpeg_quality, luminance_tables

ALL = range(1, 101)


def tables_of(mode="RGB", **options):
    """Quantisation tables of a JPEG, as Pillow reads them."""
    buffer = io.BytesIO()
    Image.new(mode, (16, 16)).save(buffer, "JPEG", **options)
    with Image.open(buffer) as image:
        return image.quantization


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_every_quality_that_pillow_writes_is_read_back(mode, subsampling):
    read = [jpeg_quality(tables_of(mode, quality=q, subsampling=subsampling)) for q in ALL]
    assert read == list(ALL)


def test_progressive_and_optimised_files_have_the_same_tables():
    assert [jpeg_quality(tables_of(quality=q, progressive=True, optimize=True)) for q in ALL] == list(ALL)


def test_the_tables_are_those_that_pillow_writes_entry_by_entry():
    # An order other than rows would show here, whatever the quality says.
    for quality in ALL:
        assert list(tables_of(quality=quality)[0]) == luminance_tables()[quality - 1].tolist()


def test_no_two_qualities_share_a_table():
    assert len(np.unique(luminance_tables(), axis=0)) == 100


@pytest.mark.parametrize("quality", [10, 50, 75, 96])
def test_a_table_that_is_slightly_off_gets_the_nearest_quality(quality):
    table = luminance_tables()[quality - 1].copy()
    table[::16] += 1
    assert jpeg_quality({0: table.tolist()}) == quality


@pytest.mark.parametrize("quality", [10, 50, 75, 96])
def test_a_table_between_two_qualities_by_other_shape_gets_none(quality):
    table = luminance_tables()[quality - 1]
    assert jpeg_quality({0: table[::-1].tolist()}) is None


def test_custom_and_missing_tables_have_no_quality():
    assert jpeg_quality(tables_of(qtables=[[40] * 64, [40] * 64])) is None
    assert jpeg_quality({}) is None
    assert jpeg_quality({0: [1, 2, 3]}) is None


def test_the_first_table_is_luminance_whatever_its_number():
    tables = tables_of(quality=61)
    assert jpeg_quality({2: list(tables[0]), 3: list(tables[1])}) == 61
