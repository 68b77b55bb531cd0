import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data as photographs

from genimage_core.data import leaks
from genimage_core.data.index import build_index, read_index
from genimage_core.data.leaks import exact_leaks, match_hashes, near_leaks, perceptual_hash
from tests.genimage_core.data.index_trees import genimage_layout


def table_of(*rows):
    return pd.DataFrame(rows, columns=["path", "generator", "split", "label", "content", "error"])


def in_parts(table, size=2):
    """All leaks of a table that is read in parts, which must not matter."""
    parts = [table.iloc[start : start + size] for start in range(0, len(table), size)]
    found, whole = exact_leaks(lambda: iter(parts)), exact_leaks(lambda: iter([table]))
    pd.testing.assert_frame_equal(found.rows, whole.rows)
    assert found.files == whole.files == len(found.rows)
    return found.rows


@pytest.mark.parametrize("most", [0, 1, 3, 50])
def test_of_many_leaks_the_first_are_named_and_all_are_counted(most):
    both = [(number, split) for number in range(9) for split in ("train", "val")]
    table = table_of(*((f"{number}/{split}", "adm", split, 0, f"c{number}", None) for number, split in both))
    found = exact_leaks(lambda: iter([table.iloc[:7], table.iloc[7:]]), most)
    assert found.files == 18
    pd.testing.assert_frame_equal(found.rows, in_parts(table).head(most))


def test_exact_leaks_are_across_splits_or_labels_of_any_generators():
    table = table_of(
        ("a/t1", "adm", "train", 0, "one", None),
        ("b/v1", "sd14", "val", 0, "one", None),
        ("a/t2", "adm", "train", 0, "two", None),
        ("b/t2", "sd14", "train", 1, "two", None),
        ("a/t3", "adm", "train", 0, "three", None),
        ("a/v3", "adm", "val", 1, "three", None),
        ("a/t4", "adm", "train", 0, "same side", None),
        ("b/t4", "sd14", "train", 0, "same side", None),
        ("a/t5", "adm", "train", 0, "once", None),
        ("a/t6", "adm", "train", 0, "empty", "zero bytes"),
        ("a/v6", "adm", "val", 1, "empty", "zero bytes"),
        ("a/t7", "adm", "train", 0, None, "unreadable"),
        ("a/v7", "adm", "val", 0, None, "unreadable"),
    )
    found = in_parts(table)
    assert list(found.columns) == [*leaks_columns(), "across_splits", "across_labels"]
    groups = found.groupby("content")[["across_splits", "across_labels"]].first()
    assert groups.loc["one"].tolist() == [True, False]
    assert groups.loc["two"].tolist() == [False, True]
    assert groups.loc["three"].tolist() == [True, True]
    assert found["path"].tolist() == ["a/t1", "b/v1", "a/t3", "a/v3", "a/t2", "b/t2"]


def leaks_columns():
    return ["content", "path", "generator", "split", "label"]


def test_no_leaks_are_an_empty_table():
    found = in_parts(table_of(("a", "adm", "train", 0, "x", None), ("b", "adm", "val", 0, "y", None)))
    assert found.empty and "across_labels" in found


def brute_force(first, second, distance):
    bits = np.bitwise_count(first[:, None] ^ second[None, :]).astype(int)
    rows = []
    for position, row in enumerate(bits):
        if (row <= distance).any():
            rows.append((position, int(row.argmin()), int(row.min()), int((row <= distance).sum())))
    return rows


@pytest.mark.parametrize("distance", [0, 1, 4, 7, 16])
@pytest.mark.parametrize("candidates", [7, 1_000_000])
def test_matches_are_those_of_comparing_all_with_all(monkeypatch, distance, candidates):
    monkeypatch.setattr(leaks, "_PAIRS", candidates)
    rng = np.random.default_rng(distance)
    second = rng.integers(0, 2**64, 400, dtype=np.uint64)
    flips = [
        sum(1 << int(bit) for bit in rng.choice(64, size, replace=False)) for size in rng.integers(0, 20, 300)
    ]
    first = second[rng.integers(0, 400, 300)] ^ np.array(flips, dtype=np.uint64)
    second = np.concatenate([second, second[:50]])  # equal hashes count one by one
    found = match_hashes(first, second, distance)
    expected = brute_force(first, second, distance)
    assert (
        list(found[["first", "second", "distance", "matches"]].itertuples(index=False, name=None)) == expected
    )
    assert 0 < len(expected) < 300


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (0, 0)])
def test_nothing_matches_nothing(sizes):
    assert match_hashes(*(np.arange(size, dtype=np.uint64) for size in sizes), distance=3).empty


def test_many_hashes_are_matched_without_comparing_all_pairs(monkeypatch):
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 2**64, n, dtype=np.uint64) for n in (20_000, 100_000))
    first[:100] = second[:100] ^ np.uint64(1 << 63 | 1)
    compared, count = [], np.bitwise_count
    monkeypatch.setattr(leaks.np, "bitwise_count", lambda bits: [compared.append(len(bits)), count(bits)][1])
    found = match_hashes(first, second, 4)
    assert found["first"].tolist() == found["second"].tolist() == list(range(100))
    assert sum(compared) < len(first) * len(second) / 500


def crops_of(pixels):
    corners = [(y, x) for y in (0, 200) for x in (0, 300)]
    return [Image.fromarray(pixels[y : y + 200, x : x + 200]) for y, x in corners]


@pytest.fixture(scope="module")
def leaking(tmp_path_factory):
    """Crops of a photograph in training; in validation their copies, and images of its own."""
    layout = genimage_layout(tmp_path_factory.mktemp("leaks"), ["sd14", "adm"])
    folders = {(p.generator, p.split, p.label): p.folder for p in layout.places}
    for folder in folders.values():
        folder.mkdir(parents=True)
    crops, own = crops_of(photographs.astronaut()), crops_of(photographs.coffee())
    train, val = folders["sd14", "train", 0], folders["adm", "val", 1]
    for number, crop in enumerate(crops):
        crop.save(train / f"{number}.png")
        crop.save(val / f"encoded{number}.jpg", quality=40)
        crop.resize((128, 128)).save(val / f"resized{number}.webp")
    for number, image in enumerate(own):
        image.save(val / f"own{number}.png")
    (val / "broken.png").write_bytes(b"")
    target = layout.root / "index"
    build_index(layout, target, workers=0, report=lambda done, total: None)
    return layout.root, read_index(target)


@pytest.mark.parametrize("workers", [0, 2])
def test_copies_that_were_encoded_again_or_resized_are_found(leaking, workers):
    pytest.importorskip("imagehash")
    root, table = leaking
    assert in_parts(table).empty
    seen = []
    found = near_leaks(table, root, workers=workers, report=lambda done, total: seen.append((done, total)))
    names = found["path"].str.split("/").str[-1].tolist()
    copies = [f"{how}{number}" for how in ("encoded", "resized") for number in range(4)]
    assert [name.split(".")[0] for name in names] == copies
    assert [path[-5] for path in found["train_path"]] == list("01230123")
    assert set(found["generator"]) == {"adm"} and set(found["train_generator"]) == {"sd14"}
    assert set(found["label"]) == {1} and set(found["train_label"]) == {0}
    assert (found["distance"] <= 4).all() and (found["matches"] == 1).all()
    assert seen[-1] == (16, 16)


def test_the_hash_is_that_of_the_library(leaking, tmp_path):
    imagehash = pytest.importorskip("imagehash")
    path = tmp_path / "a.png"
    Image.fromarray(photographs.coffee()).save(path)
    assert f"{perceptual_hash(path):016x}" == str(imagehash.phash(Image.open(path)))


def test_the_library_that_is_missing_is_named_with_its_install_line(leaking, monkeypatch):
    root, table = leaking
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(ValueError, match=r"imagehash; install it with `uv sync --extra near-duplicates`"):
        near_leaks(table, root)


@pytest.mark.parametrize("distance", [-1, 17])
def test_a_distance_out_of_range_is_refused(leaking, distance):
    root, table = leaking
    with pytest.raises(ValueError, match=f"the distance is {distance} bits"):
        near_leaks(table, root, distance=distance)


def test_a_file_that_broke_since_is_named(leaking, tmp_path):
    pytest.importorskip("imagehash")
    (tmp_path / "a.png").write_bytes(b"no image")
    table = table_of(("a.png", "adm", "train", 0, "x", None))
    with pytest.raises(ValueError, match=r"cannot decode .*a\.png"):
        near_leaks(table, tmp_path)
