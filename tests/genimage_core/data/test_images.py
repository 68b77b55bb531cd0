from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from genimage_core.data import decoding
from genimage_core.data.alignment import reencode
from genimage_core.data.batches import BadFile
from genimage_core.data.images import (
    choose_images,
    describe_images,
    describe_tests,
    list_validation,
    load_images,
)
from genimage_core.data.layout import find_layout
from genimage_core.data.pixels import decode, read_quality
from genimage_core.data.recipe import digest
from genimage_core.settings import ALIGNMENTS, DataSettings

SETTINGS = DataSettings(image_size=32, train_per_class=3, val_per_class=2, format_alignment="none")
EVERYTHING = replace(SETTINGS, train_per_class=6, max_bad_share=1.0)


@pytest.fixture
def folder(tmp_path, write_tree):
    root = write_tree(tmp_path / "data", ["adm"], train=6, val=3)
    return root / "ADM" / "imagenet_ai_0508_adm"


def layout_of(folder):
    return find_layout(folder.parents[1])


@pytest.fixture
def biased(folder):
    """JPEG reals of several qualities and sizes, PNG fakes: as in GenImage."""
    rng = np.random.default_rng(1)
    for split in ("train", "val"):
        for number, path in enumerate(sorted((folder / split / "nature").iterdir())):
            pixels = rng.integers(0, 256, (30 + 4 * number, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path.with_suffix(".JPEG"), quality=(50, 71, 93)[number % 3])
            path.unlink()
    return folder


def load(folder, cache, settings=SETTINGS, split="train", seed=0, **options):
    return load_images(layout_of(folder), "adm", split, settings, seed, cache, **options)


def everything_of(data):
    return data.take(range(len(data.labels)))


def test_images_are_chosen_by_seed(folder):
    chosen = choose_images(layout_of(folder), "adm", "train", 3, seed=4)
    assert chosen == choose_images(layout_of(folder), "adm", "train", 3, seed=4)
    assert [label for _, label in chosen] == [0, 0, 0, 1, 1, 1]
    assert [path.parent.name for path, _ in chosen] == ["nature"] * 3 + ["ai"] * 3
    assert len(set(chosen)) == 6
    assert len({tuple(choose_images(layout_of(folder), "adm", "train", 3, seed)) for seed in range(8)}) > 1
    everything = choose_images(layout_of(folder), "adm", "train", 6, seed=1)
    assert (
        sorted(everything) == sorted(choose_images(layout_of(folder), "adm", "train", 6, seed=2))
        and len(everything) == 12
    )


def test_images_for_tests_are_none_that_the_search_uses(folder):
    layout, settings = layout_of(folder), replace(SETTINGS, val_per_class=2)
    used = list_validation(layout, ["adm"], settings, 3)
    tests = describe_tests(layout, "adm", settings, 3, per_class=1, without=used)
    searched = describe_images(layout, "adm", "val", settings, 3)
    assert used == {file.path for file in searched.files}
    assert [file.label for file in tests.files] == [0, 1]
    assert not {file.path for file in tests.files} & used


def test_reals_that_generators_share_are_seen_once_they_are_seen_under_one(tmp_path):
    for name in ("nature", "one", "two"):
        (tmp_path / name).mkdir()
        for number in range(6):
            (tmp_path / name / f"{name}{number}.png").touch()
    shared = {"train": ["nature/*"], "val": ["nature/*"]}
    entries = {
        name: {"nature": shared, "ai": {"train": [f"{name}/*"], "val": [f"{name}/*"]}}
        for name in ("one", "two")
    }
    layout = find_layout(tmp_path, mapping={"generators": entries})
    settings = replace(SETTINGS, val_per_class=3)
    used = list_validation(layout, ["one"], settings, 0)
    sealed = describe_tests(layout, "two", settings, 0, per_class=3, without=used)
    assert not {file.path for file in sealed.files} & used
    with pytest.raises(ValueError, match=r"two has 6 val images of nature .* 4 beside 3 others"):
        describe_tests(layout, "two", settings, 0, per_class=4, without=used)


def test_too_few_images_for_tests_are_counted_beside_those_of_the_search(folder):
    layout = layout_of(folder)
    used = list_validation(layout, ["adm"], SETTINGS, 0)
    with pytest.raises(ValueError, match=r"3 val images of nature .* 2 beside 2 others were asked for"):
        describe_tests(layout, "adm", SETTINGS, 0, per_class=2, without=used)


def test_what_is_left_out_are_reals_of_the_size_that_is_asked_for(biased):
    chosen, without = [], frozenset()
    for _ in range(3):
        layout = layout_of(biased)
        path = choose_images(layout, "adm", "train", 1, 0, (34, 42), without=without)[0][0]
        chosen, without = [*chosen, path.name], without | {path}
    assert set(chosen) == {"001.JPEG", "002.JPEG", "003.JPEG"}


@pytest.mark.parametrize("split", ["train", "val"])
def test_too_few_images_name_the_key(folder, split):
    with pytest.raises(ValueError, match=rf"data\.{split}_per_class") as refused:
        choose_images(layout_of(folder), "adm", split, 7, seed=0)
    assert all(part in str(refused.value) for part in ("adm", split, "nature", "7", str(folder.parents[1])))


def test_only_reals_have_to_be_of_a_size(biased):
    # 30, 34, ..., 50 high and 36 wide.
    chosen = choose_images(layout_of(biased), "adm", "train", 3, 0, real_size=(34, 42))
    assert [path.name for path, label in chosen if label == 0] == ["001.JPEG", "002.JPEG", "003.JPEG"]
    assert [c for c in chosen if c[1] == 1] == [
        c for c in choose_images(layout_of(biased), "adm", "train", 3, 0) if c[1] == 1
    ]
    assert choose_images(layout_of(biased), "adm", "train", 3, 0, real_size=(1, 999)) == choose_images(
        layout_of(biased), "adm", "train", 3, 0
    )


def test_bad_reals_are_counted_also_where_a_size_is_asked_for(biased, tmp_path):
    for number in (1, 2, 3, 4):
        (biased / "train" / "nature" / f"{number:03d}.JPEG").write_bytes(b"not an image")
    settings = replace(SETTINGS, real_size=(1, 999), max_bad_share=0.0)
    with pytest.raises(ValueError, match=r"of 3 nature images cannot be decoded"):
        load(biased, tmp_path, settings)


def test_too_few_reals_of_a_size_are_counted(biased):
    with pytest.raises(ValueError, match=r"3 images of 6 .* data\.real_size \[34, 42\], 4 were") as refused:
        choose_images(layout_of(biased), "adm", "train", 4, 0, real_size=(34, 42))
    assert "data.train_per_class" in str(refused.value) and "nature" in str(refused.value)


def test_what_is_loaded_is_what_the_files_hold(folder, tmp_path):
    loaded = load(folder, tmp_path / "cache", split="val")
    chosen = choose_images(layout_of(folder), "adm", "val", 2, seed=0)
    assert loaded.image_size == 32 and loaded.shards[0].dtype == np.uint8
    assert loaded.labels.tolist() == [0, 0, 1, 1] and loaded.labels.dtype == np.uint8
    for pixels, (path, _) in zip(everything_of(loaded), chosen, strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(path)))


def test_the_second_time_nothing_is_decoded(folder, tmp_path, monkeypatch):
    first = load(folder, tmp_path / "cache")
    monkeypatch.setattr(decoding, "decode", lambda *arguments, **options: pytest.fail("decoded again"))
    second = load(folder, tmp_path / "cache")
    assert second.fingerprint == first.fingerprint
    np.testing.assert_array_equal(everything_of(second), everything_of(first))
    with pytest.raises(ValueError):
        second.shards[0][0] = 0  # shared between processes, so nobody may write


CHANGES = [{"image_size": 64}, {"train_per_class": 2}, {"crop": "resize"}, {"crop": "random"}]
CHANGES += [{"format_alignment": name} for name in ALIGNMENTS if name != "none"]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_the_fingerprint_covers_what_decides_pixels(biased, tmp_path, change):
    first = load(biased, tmp_path / "cache")
    other = load(biased, tmp_path / "cache", replace(SETTINGS, **change))
    assert other.fingerprint != first.fingerprint


def test_the_seed_counts_only_where_it_decides_pixels(biased, tmp_path):
    matched = replace(EVERYTHING, format_alignment="match_quality")
    prints = {load(biased, tmp_path / "cache", matched, seed=seed).fingerprint for seed in (0, 1)}
    assert len(prints) == 2
    assert len({load(biased, tmp_path / "cache", EVERYTHING, seed=seed).fingerprint for seed in (0, 1)}) == 1


@pytest.mark.parametrize("name", ["pil", "libjpeg_turbo"])
def test_other_versions_of_the_decoder_decode_anew(folder, tmp_path, monkeypatch, name):
    from genimage_core.data import recipe

    first, real = load(folder, tmp_path / "cache"), recipe.features.version
    monkeypatch.setattr(recipe.features, "version", lambda asked: "0" if asked == name else real(asked))
    assert load(folder, tmp_path / "cache").fingerprint != first.fingerprint


def test_a_changed_file_is_decoded_anew(folder, tmp_path):
    first = load(folder, tmp_path / "cache", EVERYTHING)
    changed = folder / "train" / "nature" / "000.png"
    Image.fromarray(np.zeros((32, 32, 3), dtype=np.uint8)).save(changed)
    second = load(folder, tmp_path / "cache", EVERYTHING)
    assert second.fingerprint != first.fingerprint
    assert not second.take([0]).any() and first.take([0]).any()


def test_the_fingerprint_does_not_depend_on_where_the_root_lies(folder, tmp_path):
    first = load(folder, tmp_path / "cache")
    moved = folder.parents[1].rename(tmp_path / "elsewhere") / "ADM" / folder.name
    assert load(moved, tmp_path / "cache").fingerprint == first.fingerprint


def test_threads_at_once_share_one_decoding(folder, tmp_path, monkeypatch):
    decoded = []

    def counted(*arguments, **options):
        decoded.append(arguments)
        return decode(*arguments, **options)

    monkeypatch.setattr(decoding, "decode", counted)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(load, folder, tmp_path / "cache") for _ in range(4)]
        sets = [future.result() for future in asked]
    assert len(decoded) == 6
    assert len({s.fingerprint for s in sets}) == 1
    for other in sets[1:]:
        np.testing.assert_array_equal(everything_of(other), everything_of(sets[0]))


def as_decoded(folder, split, per_class, quality_of, **options):
    """What plain decoding of the chosen files gives, one by one."""
    chosen = choose_images(layout_of(folder), "adm", split, per_class, 0)
    return np.stack([decode(path, 32, quality=quality_of(path, label), **options) for path, label in chosen])


@pytest.mark.parametrize(
    ("alignment", "qualities"), [("none", (None, None)), ("jpeg96", (None, 96)), ("jpeg96_both", (96, 96))]
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_training_and_evaluation_are_aligned_alike(biased, tmp_path, alignment, qualities, split):
    settings = replace(SETTINGS, format_alignment=alignment)
    expected = as_decoded(biased, split, 2, lambda path, label: qualities[label])
    got = load(biased, tmp_path, replace(settings, train_per_class=2), split)
    np.testing.assert_array_equal(everything_of(got), expected)


def test_reals_are_untouched_where_fakes_are_matched_to_them(biased, tmp_path):
    plain, matched = (
        everything_of(load(biased, tmp_path, replace(EVERYTHING, format_alignment=name)))
        for name in ("none", "match_quality")
    )
    np.testing.assert_array_equal(matched[:6], plain[:6])
    qualities = {read_quality(path) for path in (biased / "train" / "nature").iterdir()}
    assert qualities == {50, 71, 93}
    found = [
        [q for q in range(1, 101) if (np.asarray(reencode(Image.fromarray(before), q)) == after).all()]
        for before, after in zip(plain[6:], matched[6:], strict=True)
    ]
    assert all(len(which) == 1 and which[0] in qualities for which in found)
    assert len({which[0] for which in found}) > 1


def by_file(folder, cache, settings):
    chosen = choose_images(layout_of(folder), "adm", "train", settings.train_per_class, 0)
    return dict(zip(chosen, everything_of(load(folder, cache, settings)), strict=True))


def test_a_matched_fake_has_the_same_pixels_whatever_is_chosen_with_it(biased, tmp_path):
    matched = replace(EVERYTHING, format_alignment="match_quality")
    whole = by_file(biased, tmp_path, matched)
    (biased / "train" / "ai" / "000.png").rename(biased / "train" / "ai" / "zzz.png")
    again = by_file(biased, tmp_path, matched)
    same = set(whole) & set(again)
    assert len(same) == 11 and len(whole) == 12
    for key in same:
        np.testing.assert_array_equal(whole[key], again[key])


def test_matching_needs_reals_of_known_quality(folder, tmp_path):
    with pytest.raises(ValueError, match=r"train: .*match_quality .* none of the 3 chosen"):
        load(folder, tmp_path / "cache", replace(SETTINGS, format_alignment="match_quality"))
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_the_share_that_is_allowed_is_allowed(tmp_path, write_tree):
    folder = write_tree(tmp_path / "data", ["adm"], train=100, val=3) / "ADM" / "imagenet_ai_0508_adm"
    spoil(folder, "train", "ai", range(29))
    settings = replace(SETTINGS, train_per_class=100, max_bad_share=0.29)
    assert len(load(folder, tmp_path / "cache", settings).bad) == 29


def test_copies_have_one_identity_and_other_files_another(folder, tmp_path, write_tree):
    here = load(folder, tmp_path / "cache")
    there = write_tree(tmp_path / "copy", ["adm"], train=6, val=3) / "ADM" / "imagenet_ai_0508_adm"
    assert load(there, tmp_path / "cache").identity == here.identity
    (there / "train" / "ai" / "000.png").unlink()
    assert load(there, tmp_path / "cache").identity != here.identity


def test_a_margin_is_stored_for_random_crops_and_their_centre_is_the_usual_one(biased, tmp_path):
    centre = load(biased, tmp_path, EVERYTHING)
    margin = load(biased, tmp_path, replace(EVERYTHING, crop="random", margin=8))
    assert margin.margin == 8 and margin.shards[0].shape[1:] == (40, 40, 3) and margin.image_size == 32
    np.testing.assert_array_equal(everything_of(margin), everything_of(centre))


def test_a_resize_is_not_a_crop(biased, tmp_path):
    resized = load(biased, tmp_path, replace(SETTINGS, crop="resize"))
    expected = as_decoded(biased, "train", 3, lambda path, label: None, resize=True)
    np.testing.assert_array_equal(everything_of(resized), expected)
    assert (everything_of(load(biased, tmp_path))[:3] != expected[:3]).any()


def spoil(folder, split, label, numbers):
    for number in numbers:
        (folder / split / label / f"{number:03d}.png").write_bytes(b"not an image")


def test_unreadable_files_are_left_out_and_listed(folder, tmp_path):
    spoil(folder, "train", "ai", [1])
    (folder / "train" / "nature" / "004.png").write_bytes(b"")
    loaded = load(folder, tmp_path / "cache", EVERYTHING)
    assert loaded.labels.tolist() == [0] * 5 + [1] * 5
    assert loaded.bad == (
        BadFile("adm", "train", 0, f"ADM/{folder.name}/train/nature/004.png", "zero bytes"),
        BadFile("adm", "train", 1, f"ADM/{folder.name}/train/ai/001.png", "not an image"),
    )
    good = [
        path
        for path, _ in choose_images(layout_of(folder), "adm", "train", 6, 0)
        if path.name not in ("001.png", "004.png")
    ]
    for path in good:
        assert (everything_of(loaded) == np.asarray(Image.open(path))).all((1, 2, 3)).sum() == 1
    assert load(folder, tmp_path / "cache", EVERYTHING).bad == loaded.bad  # of the cache


def test_a_truncated_file_is_not_filled_up_with_grey(folder, tmp_path):
    damaged = folder / "train" / "ai" / "002.png"
    damaged.write_bytes(damaged.read_bytes()[:1200])
    [bad] = load(folder, tmp_path, EVERYTHING).bad
    assert bad.path.endswith("train/ai/002.png") and bad.reason == "truncated"


def test_too_many_unreadable_files_are_refused_with_the_way_out(folder, tmp_path):
    spoil(folder, "train", "ai", [1, 3])
    settings = replace(EVERYTHING, max_bad_share=0.3)
    with pytest.raises(ValueError, match=r"train: 2 of 6 ai images cannot be decoded: .*") as refused:
        load(folder, tmp_path, settings)
    said = str(refused.value)
    assert (
        "adm train" in said
        and "/train/ai/001.png (not an image), " in said
        and "/003.png (not an image);" in said
    )
    assert "data.max_bad_share (--max-bad-share) allows 0.3; set it to 1.0" in said
    for enough in (2 / 6, 1.0):
        assert len(load(folder, tmp_path, replace(settings, max_bad_share=enough)).labels) == 10


@pytest.mark.parametrize("label", ["nature", "ai"])
def test_a_class_of_which_nothing_is_left_is_always_refused(folder, tmp_path, label):
    spoil(folder, "train", label, range(6))
    with pytest.raises(ValueError, match=rf"6 of 6 {label} images cannot .*none is left") as refused:
        load(folder, tmp_path, EVERYTHING)
    assert "..." in str(refused.value) and str(refused.value).count("(not an image)") == 5


def test_a_link_to_nowhere_is_a_bad_file(folder, tmp_path):
    (folder / "train" / "ai" / "000.png").unlink()
    (folder / "train" / "ai" / "000.png").symlink_to(folder / "missing.png")
    [bad] = load(folder, tmp_path, EVERYTHING).bad
    assert bad.path.endswith("train/ai/000.png") and bad.reason == "unreadable"


def test_what_the_system_refused_is_looked_at_again_when_the_last_check_is_old(folder, tmp_path, monkeypatch):
    def refuse(path, *arguments, **options):
        if path.name == "001.png" and path.parent.name == "ai":
            raise decoding.UnreadableImage(path, "unreadable", "Input/output error")
        return decode(path, *arguments, **options)

    monkeypatch.setattr(decoding, "decode", refuse)
    assert len(load(folder, tmp_path, EVERYTHING).bad) == 1
    monkeypatch.undo()
    [stamp] = tmp_path.glob("decoded/*/")
    (stamp / "checked").touch()
    assert len(load(folder, tmp_path, EVERYTHING).bad) == 1  # all workers of a run read the same set
    (stamp / "checked").unlink()
    with pytest.warns(UserWarning, match=r"001\.png could not be read then"):
        assert load(folder, tmp_path, EVERYTHING).bad == ()
    assert len(load(folder, tmp_path, EVERYTHING).labels) == 12


def test_progress_counts_every_file(folder, tmp_path):
    told = []
    spoil(folder, "train", "ai", [0])
    load(folder, tmp_path, EVERYTHING, report=lambda done, total: told.append((done, total)))
    assert told == [(done, 12) for done in range(1, 13)]


def test_jpegs_with_upper_case_extensions_are_read(tmp_path, write_tree):
    folder = (
        write_tree(tmp_path / "data", ["adm"], train=3, val=2, kind="JPEG") / "ADM" / "imagenet_ai_0508_adm"
    )
    loaded = load(folder, tmp_path / "cache")
    first = choose_images(layout_of(folder), "adm", "train", 3, 0)[0][0]
    assert first.suffix == ".JPEG"
    np.testing.assert_array_equal(loaded.take([0])[0], np.asarray(Image.open(first)))


def test_digest_is_stable_and_blind_to_the_order_of_keys():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest([1, 2]) != digest([2, 1])
    assert digest([1, 2]) == "3a316d6d3226f84c"  # of another session: bases and caches are found by it
