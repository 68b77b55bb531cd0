import hashlib
import io
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from genimage_core.data import index
from genimage_core.data.audit import COLUMNS as AUDITED
from genimage_core.data.audit import audit
from genimage_core.data.file_facts import REASONS
from genimage_core.data.index import build_index, read_compact, read_index, scan_index
from genimage_core.data.layout import CLASS_FOLDERS, EXTENSIONS
from tests.genimage_core.data.index_trees import damaged, encoded, genimage_layout, write_places

DAMAGE = (None, None, None, *(reason for reason in REASONS if reason != "unreadable"))
COLUMNS = {
    "path": "str",
    "generator": "str",
    "split": "str",
    "label": "int8",
    "imagenet_class": "Int16",
    "width": "Int32",
    "height": "Int32",
    "format": "str",
    "quality": "Int16",
    "bytes": "int64",
    "mtime_ns": "int64",
    "content": "str",
    "error": "str",
}


@pytest.fixture
def tree(tmp_path):
    """A layout of two generators with five good files in each of its eight places."""
    layout = genimage_layout(tmp_path / "data")
    write_places(layout, 5)
    return layout


@pytest.fixture
def build(tmp_path):
    """Brings the index up to date in this process; returns its table."""

    def build(layout, target=None, **options):
        target = target or tmp_path / "index"
        build_index(layout, target, **({"workers": 0, "report": lambda done, total: None} | options))
        return read_index(target)

    return build


@pytest.fixture
def opened(monkeypatch):
    """Paths that were read, as they are read."""
    names = []
    read = index.read_batch

    def note(root, batch):
        names.extend(batch)
        return read(root, batch)

    monkeypatch.setattr(index, "read_batch", note)
    return names


def state(folder):
    """Every file's content, inode and time."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def walk_with_pillow(root):
    """The table as os.walk and Pillow alone make it."""
    rows = []
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            name = path.name
            if path.suffix.lower() not in EXTENSIONS:
                continue
            top, _, split, label, _ = path.relative_to(root).parts
            data = path.read_bytes()
            row = {
                "path": str(path.relative_to(root)),
                "generator": {"ADM": "adm", "stable_diffusion_v_1_4": "sd14"}[top],
                "split": split,
                "label": CLASS_FOLDERS.index(label),
                "imagenet_class": int(name[:3]) if "_sdv4_" in name else None,
                "bytes": path.stat().st_size,
                "mtime_ns": path.stat().st_mtime_ns,
                "content": hashlib.blake2b(data, digest_size=16).hexdigest(),
                "quality": int(name.split("_q")[1][:2]) if "_q" in name else None,
            }
            try:
                with Image.open(io.BytesIO(data)) as image:
                    row |= {"width": image.width, "height": image.height, "format": image.format}
                    image.load()
                    row["good"] = image.mode != "F"  # real numbers without a stated black and white
            except Exception:
                row["good"] = False
            rows.append(row)
    return pd.DataFrame(rows).sort_values("path", ignore_index=True)


def write_at_random(layout, rng):
    """Files of every kind and damage, named in any case, and some that do not count."""
    for place in layout.places:
        place.folder.mkdir(parents=True, exist_ok=True)
        for number in range(rng.integers(0, 15)):
            kind = ("PNG", "JPEG", "WEBP")[rng.integers(3)]
            extension = {"PNG": (".png", ".PNG"), "JPEG": (".JPEG", ".jpg"), "WEBP": (".webp", ".WebP")}[kind]
            quality = int(rng.integers(10, 100))
            size = tuple(rng.integers(1, 40, 2).tolist())
            options = {"quality": quality} if kind == "JPEG" else {}
            data = encoded(kind, size, seed=int(rng.integers(1000)), **options)
            name = f"{number}_q{quality}" if kind == "JPEG" else f"{number:03d}_sdv4_{number:05d}"
            (place.folder / (name + extension[rng.integers(2)])).write_bytes(data)
        for number in range(rng.integers(0, 8)):
            reason = DAMAGE[rng.integers(3, len(DAMAGE))]
            (place.folder / f"damaged{number}.png").write_bytes(damaged(reason, seed=number))
        (place.folder / "notes.txt").write_text("no image")


@pytest.mark.parametrize("seed", range(5))
def test_the_index_agrees_with_a_walk_and_pillow(tmp_path, build, seed):
    rng = np.random.default_rng(seed)
    layout = genimage_layout(tmp_path / "data")
    write_at_random(layout, rng)
    table = build(layout, chunk=int(rng.integers(1, 40))).sort_values("path", ignore_index=True)
    expected = walk_with_pillow(layout.root)
    assert table["path"].tolist() == expected["path"].tolist()
    for column in ("generator", "split", "label", "bytes", "mtime_ns", "content"):
        assert table[column].tolist() == expected[column].tolist(), column
    assert table["error"].isna().tolist() == expected["good"].tolist()
    good = expected["good"]
    for column in ("width", "height", "format", "quality", "imagenet_class"):
        ours = table.loc[good, column].astype(object).where(table[column].notna(), None)
        theirs = expected.loc[good, column].astype(object).where(expected[column].notna(), None)
        assert ours.tolist() == theirs.tolist(), column


def test_columns_order_and_types_are_the_contract(build, tree):
    table = build(tree)
    assert list(table.columns) == list(COLUMNS)
    strings = {name for name, kind in COLUMNS.items() if kind == "str"}
    assert {name: str(table[name].dtype) for name in COLUMNS if name not in strings} == {
        name: kind for name, kind in COLUMNS.items() if name not in strings
    }
    assert all(pd.api.types.is_string_dtype(table[name]) for name in strings - {"error"})
    assert table["error"].isna().all()


def test_every_damage_has_its_reason(tmp_path, build):
    layout = genimage_layout(tmp_path / "data", ["adm"])
    folder = layout.places[0].folder
    write_places(layout, 0)
    for reason in DAMAGE[3:]:
        (folder / f"{reason}.png").write_bytes(damaged(reason))
    table = build(layout)
    assert dict(zip(table["path"].str.split("/").str[-1], table["error"], strict=True)) == {
        f"{reason}.png": reason for reason in DAMAGE[3:]
    }


def test_rows_come_place_by_place_and_sorted(build, tree):
    table = build(tree, chunk=2)
    expected = [
        p.relative_to(tree.root).as_posix() for place in tree.places for p in sorted(place.folder.iterdir())
    ]
    assert table["path"].tolist() == expected


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_processes_and_parts_change_nothing(build, tmp_path, tree, workers, chunk):
    expected = build(tree)
    table = build(tree, tmp_path / "other", workers=workers, chunk=chunk)
    pd.testing.assert_frame_equal(table, expected)


def test_parts_have_the_size_asked_for(build, tmp_path, tree):
    build(tree, chunk=2)
    for folder in filter(lambda path: path.is_dir(), (tmp_path / "index").iterdir()):
        assert len(list(folder.iterdir())) == 3  # five files in parts of two


def test_progress_ends_at_the_number_of_files(build, tree):
    seen = []
    build(tree, report=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 40) and seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    seen.clear()
    build(tree, report=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (40, 40)


def test_an_unchanged_tree_is_neither_read_nor_written(build, tmp_path, tree, opened):
    build(tree, chunk=2)
    assert len(opened) == 40
    before = state(tmp_path / "index")
    opened.clear()
    build(tree, chunk=2)
    assert opened == [] and state(tmp_path / "index") == before


def test_a_file_with_the_same_size_and_time_is_not_opened(build, tree):
    path = tree.places[0].folder / "000_sdv4_00000.png"
    before, stat = build(tree), path.stat()
    path.write_bytes(bytes(stat.st_size))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    pd.testing.assert_frame_equal(build(tree), before)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_only_new_and_changed_files_are_read_and_vanished_ones_forgotten(
    build, tmp_path, tree, opened, chunk
):
    build(tree, chunk=chunk)
    opened.clear()
    first, second = tree.places[0].folder, tree.places[5].folder
    (first / "new.JPEG").write_bytes(encoded("JPEG", quality=50))
    (first / "001_sdv4_00001.png").unlink()
    (second / "002_sdv4_00002.png").write_bytes(b"other")
    touched = second / "003_sdv4_00003.png"
    os.utime(touched, ns=(1, touched.stat().st_mtime_ns + 1))
    table = build(tree, chunk=chunk)
    changed = [first / "new.JPEG", second / "002_sdv4_00002.png", touched]
    assert sorted(opened) == sorted(path.relative_to(tree.root).as_posix() for path in changed)
    pd.testing.assert_frame_equal(table, build(tree, tmp_path / "fresh"))


def test_random_changes_over_many_rounds_give_what_a_fresh_index_gives(build, tmp_path, tree):
    rng = np.random.default_rng(0)
    for round_ in range(12):
        for place in tree.places:
            paths = sorted(place.folder.iterdir())
            for number in range(rng.integers(0, 4)):
                action = rng.integers(3)
                if action == 0 or len(paths) < 2:
                    (place.folder / f"{round_}-{number}.png").write_bytes(encoded(seed=int(rng.integers(99))))
                elif action == 1:
                    paths.pop(rng.integers(len(paths))).unlink()
                else:
                    paths[rng.integers(len(paths))].write_bytes(
                        damaged("truncated", seed=int(rng.integers(99)))
                    )
        table = build(tree, chunk=4)
        pd.testing.assert_frame_equal(table, build(tree, tmp_path / f"fresh{round_}"))
        files = sum(len(list(place.folder.iterdir())) for place in tree.places)
        parts = len(list((tmp_path / "index").rglob("*.parquet")))
        assert parts <= files / 2 + len(tree.places)  # small changes leave no crumbs


def test_files_that_were_refused_are_tried_again(build, tree, monkeypatch):
    refused = tree.places[0].folder / "000_sdv4_00000.png"
    with monkeypatch.context() as patch:
        read = type(refused).read_bytes

        def refuse(self):
            if self == refused:
                raise PermissionError(13, "no")
            return read(self)

        patch.setattr(type(refused), "read_bytes", refuse)
        assert (build(tree)["error"] == "unreadable").sum() == 1
    assert build(tree)["error"].isna().all()


def test_generators_that_the_layout_leaves_out_are_kept_and_not_listed(build, tmp_path, tree, monkeypatch):
    expected = build(tree)
    only = genimage_layout(tree.root, ["adm"])
    listed = []
    list_images = index.list_images
    monkeypatch.setattr(
        index,
        "list_images",
        lambda place, layout: [listed.append(place.generator), *list_images(place, layout)][1:],
    )
    table = build(only)
    assert set(listed) == {"adm"}
    key = ["generator", "split", "label", "path"]
    pd.testing.assert_frame_equal(
        table.sort_values(key, ignore_index=True), expected.sort_values(key, ignore_index=True)
    )


def test_a_generator_that_vanished_is_forgotten(build, tmp_path, tree):
    build(tree)
    shutil.rmtree(tree.root / "stable_diffusion_v_1_4")
    assert set(build(genimage_layout(tree.root, ["adm"]))["generator"]) == {"adm"}
    assert len([path for path in (tmp_path / "index").iterdir() if path.is_dir()]) == 4


def test_a_place_that_changed_its_label_leaves_no_old_rows(build, tree):
    build(tree)
    swapped = [type(p)(p.generator, p.split, 1 - p.label, p.folder) for p in tree.places]
    layout = type(tree)(tree.root, tree.kind, tree.catalog, tuple(swapped))
    table = build(layout)
    assert len(table) == 40
    assert all(
        ("/nature/" in path) == (label == 1)
        for path, label in zip(table["path"], table["label"], strict=True)
    )


def test_columns_and_generators_are_chosen(build, tmp_path, tree):
    table = build(tree)
    chosen = read_index(tmp_path / "index", ["error", "bytes"], ["adm"])
    expected = table.loc[table["generator"] == "adm", ["error", "bytes"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(chosen, expected)


def test_unknown_columns_and_generators_are_named(build, tmp_path, tree):
    build(tree)
    with pytest.raises(ValueError, match=r"no column colour; it has path, generator"):
        read_index(tmp_path / "index", ["colour"])
    with pytest.raises(ValueError, match=r"no generator glide; it has adm, sd14"):
        read_index(tmp_path / "index", generators=["glide"])


def test_a_missing_index_says_how_to_make_one(tmp_path):
    with pytest.raises(ValueError, match=r"no index at .*genimage data index"):
        read_index(tmp_path)


def test_the_index_of_another_root_is_refused_and_left_alone(build, tmp_path, tree):
    build(tree)
    before = state(tmp_path / "index")
    other = genimage_layout(tmp_path / "other")
    write_places(other, 1)
    with pytest.raises(ValueError, match=f"belongs to the data root {tree.root}"):
        build(other)
    assert state(tmp_path / "index") == before


def test_a_folder_with_other_files_is_refused_and_left_alone(build, tmp_path, tree):
    with pytest.raises(ValueError, match="other files"):
        build(tree, tree.places[0].folder)
    assert len(list(tree.places[0].folder.iterdir())) == 5


@pytest.mark.parametrize("content", ['{"format": 0}', "no json", "[]", "{}", '{"format": 1}'])
def test_another_format_or_a_damaged_manifest_is_refused(build, tmp_path, tree, content):
    build(tree)
    (tmp_path / "index" / "index.json").write_text(content)
    for call in (lambda: read_index(tmp_path / "index"), lambda: build(tree)):
        with pytest.raises(ValueError, match="index anew"):
            call()


@pytest.mark.parametrize("damage", ["cut", "removed"])
def test_a_damaged_part_is_told_and_read_again(build, tmp_path, tree, opened, damage):
    expected = build(tree)
    part = next((tmp_path / "index").rglob("*.parquet"))
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:200])
    else:
        part.unlink()
    with pytest.raises(ValueError, match=r"damaged.*again"):
        read_index(tmp_path / "index")
    opened.clear()
    pd.testing.assert_frame_equal(build(tree), expected)
    assert len(opened) == 5


def test_a_name_that_is_not_unicode_is_refused_before_anything_is_read(build, tree, opened):
    (tree.places[0].folder / os.fsdecode(b"\xff.png")).write_bytes(encoded())
    with pytest.raises(ValueError, match=r"not Unicode.*rename"):
        build(tree)
    assert opened == []


def test_a_tree_without_images_has_an_empty_index(tmp_path, build):
    layout = genimage_layout(tmp_path / "data")
    write_places(layout, 0)
    table = build(layout)
    assert len(table) == 0 and list(table.columns) == list(COLUMNS) and table["label"].dtype == "int8"


def test_generators_with_odd_names_have_their_own_folders(tmp_path, build):
    place = genimage_layout(tmp_path / "data").places[0]
    places = []
    for name in ("../../x", "a=b", "a b", "a_b"):
        folder = tmp_path / "data" / "other" / str(len(places))
        folder.mkdir(parents=True)
        (folder / "i.png").write_bytes(encoded())
        places.append(type(place)(name, "val", 1, folder))
    table = build(type(genimage_layout(tmp_path))(tmp_path / "data", "mapping", None, tuple(places)))
    assert table["generator"].tolist() == ["../../x", "a=b", "a b", "a_b"]
    assert len(list((tmp_path / "index").iterdir())) == 5


def test_the_manifest_names_root_and_format(build, tmp_path, tree):
    build(tree)
    manifest = json.loads((tmp_path / "index" / "index.json").read_text())
    assert (manifest["format"], manifest["root"], manifest["kind"]) == (2, str(tree.root), "genimage")


def test_a_change_that_keeps_the_size_is_seen_by_its_time(build, tree):
    path = tree.places[0].folder / "000_sdv4_00000.png"
    build(tree)
    data = path.read_bytes()
    time.sleep(0.01)
    path.write_bytes(data[:-1] + b"x")
    table = build(tree).set_index("path")
    content = hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    assert table.loc[path.relative_to(tree.root).as_posix(), "content"] == content


def test_a_compact_table_is_the_same_to_an_audit(tmp_path, build):
    layout = genimage_layout(tmp_path / "data")
    write_places(layout, 40, reasons=(None, None, None, "truncated", "unknown range"))
    build(layout, chunk=9)
    whole, compact = (read(tmp_path / "index", AUDITED) for read in (read_index, read_compact))
    assert audit(compact) == audit(whole) and len(compact) == len(whole)
    assert compact["generator"].dtype == "category" and compact["content"].dtype == np.uint64


def test_parts_are_the_whole(tmp_path, build, tree):
    build(tree, chunk=7)
    scanned = pd.concat(list(scan_index(tmp_path / "index", ["path", "bytes"], ["adm"])))
    expected = read_index(tmp_path / "index", ["path", "bytes"], ["adm"])
    pd.testing.assert_frame_equal(
        scanned.sort_values("path", ignore_index=True), expected.sort_values("path", ignore_index=True)
    )
