import json
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import binom

from genimage_core.data.alignment import LOSSLESS
from genimage_core.data.audit import Audit, audit
from genimage_core.data.audit_checks import (
    ALIGNMENTS,
    FEATURES,
    LEVEL,
    MOST,
    PLAN,
    align,
    balanced,
    check,
    known_qualities,
)
from genimage_core.data.layout import CLASS_FOLDERS, SPLITS, find_layout
from genimage_core.data.mini import MiniSettings, ensure_mini

TYPES = {"label": "int8", "imagenet_class": "Int16", "width": "Int32", "height": "Int32", "quality": "Int16"}


def rows(generator, label, count, **columns):
    """Index rows of one class; columns that are not given are the same in both classes."""
    plain = {"width": 256, "height": 256, "format": "JPEG", "quality": 90, "bytes": 40_000, "error": None}
    fixed = {"generator": generator, "split": "train", "label": label, "imagenet_class": None, "mtime_ns": 0}
    names = [f"{generator}-{label}-{number}" for number in range(count)]
    return pd.DataFrame({"path": names, "content": names, **fixed, **plain, **columns}).astype(TYPES)


def null(generator="sd14", count=650, seed=0):
    """Both classes drawn from one distribution."""
    rng = np.random.default_rng(seed)

    def draw():
        return {
            "width": rng.integers(300, 600, count),
            "height": rng.integers(300, 600, count),
            "format": rng.choice(["JPEG", "PNG", "WEBP"], count),
            "quality": pd.array(rng.integers(70, 98, count), "Int16"),
            "bytes": rng.integers(20_000, 90_000, count),
        }

    return pd.concat([rows(generator, label, count, **draw()) for label in (0, 1)], ignore_index=True)


def genimage(generator="sd14", count=300, seed=0):
    """JPEG reals of mixed quality and size, PNG fakes of one size."""
    table = null(generator, count, seed)
    fake = table["label"].eq(1)
    rng = np.random.default_rng(seed)
    table["format"] = np.where(fake, "PNG", "JPEG")
    table["quality"] = table["quality"].mask(fake)
    table[["width", "height"]] = table[["width", "height"]].mask(fake, 512)
    table["bytes"] = table["bytes"].where(~fake, rng.integers(300_000, 500_000, len(table)))
    return table


def above(found, alignment, generator=0):
    return {c.features for c in found.generators[generator].after(alignment) if c.above_chance}


class TestGenImageLike:
    @pytest.fixture
    def table(self):
        return pd.concat([genimage("sd14"), genimage("adm", seed=1)], ignore_index=True)

    def test_everything_tells_on_the_raw_files(self, table):
        found = audit(table)
        assert found.level == "shortcut"
        assert above(found, "none", 0) == above(found, "none", 1) == set(FEATURES)
        format_check = found.generators[0].checks[0]
        assert (format_check.features, format_check.accuracy, format_check.high) == ("format", 1.0, 1.0)
        assert "format alone (100.0 % [" in found.sentences[0]
        assert found.sentences[0].endswith("tell real from fake on adm and sd14.")
        assert "Train with format_alignment: jpeg96_both or match_quality." in found.sentences

    @pytest.mark.parametrize(
        ("alignment", "level", "left"),
        [
            ("jpeg96", "shortcut", {"quality"}),
            ("jpeg96_both", "clean", set()),
            ("match_quality", "clean", set()),
        ],
    )
    def test_what_an_alignment_leaves(self, table, alignment, level, left):
        found = audit(table, alignment=alignment)
        assert found.level == level
        assert above(found, alignment, 0) == above(found, alignment, 1) == left
        by_name = {c.features: c for c in found.generators[0].after(alignment)}
        assert set(by_name) == {"format", "quality"}
        assert by_name["format"].accuracy == 0.5
        words = "quality alone (" if left else "neither format nor quality tells real from fake ("
        assert found.sentences[1].startswith(f"After format_alignment: {alignment}, {words}")

    def test_one_quality_on_both_sides_makes_jpeg96_enough(self, table):
        table = table.assign(quality=table["quality"].where(table["quality"].isna(), 96))
        assert audit(table, alignment="jpeg96").level == "clean"
        advice = "Train with format_alignment: jpeg96, jpeg96_both or match_quality."
        assert advice in audit(table).sentences


class TestAlign:
    def test_what_each_alignment_does_to_the_last_encoding(self):
        table = balanced(genimage(), 0)
        fake, pool = table["label"].eq(1), known_qualities(table)
        for alignment in ALIGNMENTS[1:]:
            done = align(table, alignment, pool, 0)
            assert done["format"].eq("JPEG").all()
            if alignment != "jpeg96_both":
                assert done.loc[~fake, "quality"].equals(table.loc[~fake, "quality"])
        assert align(table, "jpeg96", pool, 0).loc[fake, "quality"].eq(96).all()
        assert align(table, "jpeg96_both", pool, 0)["quality"].eq(96).all()
        drawn = align(table, "match_quality", pool, 0).loc[fake, "quality"]
        assert set(drawn) <= set(table.loc[~fake, "quality"])
        assert drawn.nunique() > 20

    def test_qualities_are_drawn_from_all_files_not_from_the_sample(self):
        table = pd.concat([genimage(count=3000).query("label == 0"), genimage(count=100).query("label == 1")])
        found = [audit(table, seed=seed).generators[0].after("match_quality")[1] for seed in range(20)]
        assert {(c.features, c.rows) for c in found} == {("quality", 100)}
        assert np.mean([c.accuracy for c in found]) == pytest.approx(0.5, abs=0.03)

    def test_lossless_reals_are_matched_by_fakes_that_stay_lossless(self):
        table = genimage()
        bare = table.index < 100
        table["format"] = table["format"].mask(bare, "PNG")
        table["quality"] = table["quality"].mask(bare)
        assert audit(table, alignment="match_quality").level == "clean"
        pool = known_qualities(table)
        assert len(pool) == 300 and (pool == LOSSLESS).sum() == 100
        fakes = align(table, "match_quality", pool, 0).query("label == 1")
        assert (fakes["format"].eq("PNG") == fakes["quality"].isna()).all()
        assert 60 < fakes["quality"].isna().sum() < 140

    def test_reals_of_unknown_quality_still_tell_after_match_quality(self):
        table = genimage()
        bare = table.index < 100
        table["format"] = table["format"].mask(bare, "WEBP")
        table["quality"] = table["quality"].mask(bare)
        found = audit(table, alignment="match_quality")
        assert found.level == "shortcut"
        assert above(found, "match_quality") == {"format", "quality"}
        assert audit(table, alignment="jpeg96_both").level == "clean"

    def test_nothing_to_draw_from_is_said_and_judged_as_it_lies(self):
        table = genimage()
        table["quality"] = pd.array([None] * len(table), "Int16")
        found = audit(table, alignment="match_quality")
        assert found.level == "shortcut"
        assert above(found, "match_quality") == {"format"}
        assert "No real file of sd14 has a known JPEG quality" in found.sentences[-1]
        assert "Train with format_alignment: jpeg96 or jpeg96_both." not in found.sentences
        assert "Train with format_alignment: jpeg96_both." in found.sentences


class TestVerdict:
    def test_null_data_are_clean(self):
        found = audit(null())
        assert found.level == "clean"
        start = "On the files as they lie, none of format, size, quality and bytes tells real from fake ("
        assert len(found.sentences) == 1
        assert found.sentences[0].startswith(start)

    def test_null_data_alarm_no_more_often_than_the_level(self):
        runs = 50
        alarms = sum(audit(null(count=50, seed=s), seed=s).level != "clean" for s in range(runs))
        assert alarms <= binom.ppf(0.999, runs, LEVEL)

    def test_a_weak_shortcut_is_found(self):
        table = null()
        table["format"] = np.where(np.random.default_rng(0).random(1300) < 0.6, "JPEG", "PNG")
        fake = table["label"].eq(1)
        swapped = table["format"].map({"JPEG": "PNG", "PNG": "JPEG"})
        table["format"] = table["format"].where(fake, swapped)
        found = audit(table)
        assert found.level == "shortcut"
        assert "format" in above(found, "none")
        assert found.generators[0].checks[0].accuracy == pytest.approx(0.6, abs=0.05)

    def test_a_sure_difference_of_less_than_two_points_is_no_shortcut(self):
        formats = [["PNG"] * count + ["JPEG"] * (2000 - count) for count in (10, 82)]
        table = pd.concat([rows("sd14", label, 2000, format=formats[label]) for label in (0, 1)])
        found = check(balanced(table, 0), "none", "format", pool=table["quality"], tests=1, seed=0)
        assert found.accuracy == 0.518
        assert found.low > 0.5
        assert not found.above_chance

    def test_size_and_bytes_matter_on_raw_files_only(self):
        table = null()
        table["bytes"] = table["bytes"] + 100_000 * table["label"].astype(int)
        raw, aligned = audit(table), audit(table, alignment="jpeg96_both")
        assert (raw.level, aligned.level) == ("shortcut", "clean")
        assert all("bytes alone (100.0 % [" in found.sentences[0] for found in (raw, aligned))
        assert all("Crops at native scale" in found.sentences[-1] for found in (raw, aligned))

    def test_features_that_tell_only_together_are_told(self):
        kinds = np.random.default_rng(1).choice(["JPEG", "PNG"], 1000)
        good = [np.where(kinds == kind, 95, 80) for kind in ("JPEG", "PNG")]
        table = pd.concat([rows("sd14", k, 1000, format=kinds, quality=good[k]) for k in (0, 1)])
        found = audit(table)
        assert above(found, "none") == {"all"}
        assert "format, size, quality and bytes together (100.0 %" in found.sentences[0]
        assert found.sentences[0].endswith("tell real from fake on sd14.")

    def test_the_interval_is_exact_and_joint(self):
        found = audit(pd.concat([null("sd14"), null("adm")]))
        tail = LEVEL / (2 * len(PLAN)) / 2
        for one in found.generators[1].checks:
            total = 2 * one.rows
            right = round(one.accuracy * total)
            assert binom.sf(right - 1, total, one.low) == pytest.approx(tail, rel=1e-6)
            assert binom.cdf(right, total, one.high) == pytest.approx(tail, rel=1e-6)

    def test_copies_do_not_help(self):
        table = null(count=40)
        copied = pd.concat([table] * 16, ignore_index=True)
        found = audit(copied)
        assert found.level == "clean"
        assert found.generators[0].checks[0].rows == 40

    def test_the_classes_are_balanced_and_large_ones_sampled(self):
        table = pd.concat([rows("sd14", 0, 5000), rows("sd14", 1, 2500, format="PNG")])
        assert audit(table).generators[0].checks[0].rows == MOST
        few = pd.concat([rows("sd14", 0, 5000), rows("sd14", 1, 30)])
        first = audit(few).generators[0].checks[0]
        assert (first.rows, first.accuracy) == (30, 0.5)

    def test_only_val(self):
        table = genimage().assign(split="val")
        assert audit(table).level == "shortcut"

    def test_qualities_missing_everywhere_are_no_shortcut(self):
        table = null()
        table["quality"] = pd.array([None] * len(table), "Int16")
        found = audit(table)
        assert found.level == "clean"
        assert found.generators[0].checks[2].accuracy == 0.5
        assert "quality" not in found.generators[0].ai.quantiles


class TestTooFew:
    @pytest.mark.parametrize("count", [0, 1, 19])
    def test_no_number_below_twenty_per_class(self, count):
        found = audit(pd.concat([rows("sd14", 0, 100), rows("sd14", 1, count, format="PNG")]))
        assert found.level == "too few"
        assert found.generators[0].checks == ()
        assert found.sentences == (
            f"Too few readable files to tell on sd14 (100 nature, {count} ai): "
            "20 different ones per class are needed.",
        )

    def test_twenty_are_enough(self):
        assert audit(genimage(count=20)).level == "shortcut"

    def test_all_bad(self):
        table = genimage().assign(error="truncated", format=None, width=pd.NA, height=pd.NA, quality=pd.NA)
        found = audit(table)
        assert found.level == "too few"
        assert found.generators[0].ai.bad == {"truncated": 300}
        assert found.generators[0].ai.quantiles == {}
        bad = "600 of 600 files cannot be read and are left out (sd14 nature: 300; sd14 ai: 300)."
        assert found.sentences[1] == bad

    def test_one_unknown_generator_is_never_called_clean(self):
        table = pd.concat([null("adm"), rows("sd14", 0, 100)])
        assert audit(table).level == "too few"
        assert audit(pd.concat([genimage("adm"), rows("sd14", 0, 100)])).level == "shortcut"

    def test_an_empty_index(self):
        found = audit(null().iloc[:0])
        assert (found.level, found.sentences) == ("too few", ("The index holds no files.",))


class TestFacts:
    def test_counts_formats_and_quantiles(self):
        table = rows("sd14", 0, 101, bytes=np.arange(101), format=["PNG"] * 21 + ["JPEG"] * 80)
        table.loc[[3, 4], "error"] = "zero bytes"
        table.loc[[5], "error"] = "not an image"
        facts = audit(table).generators[0].nature
        assert (facts.files, facts.readable) == (101, 98)
        assert facts.bad == {"zero bytes": 2, "not an image": 1}
        assert facts.formats == {"JPEG": 80, "PNG": 18}
        assert facts.quantiles["bytes"][::3] == (0.0, 51.5, 100.0)
        assert facts.quantiles["quality"] == (90.0,) * 7


class TestRecord:
    @pytest.mark.parametrize("table", [genimage(), rows("adm", 0, 3)])
    def test_round_trip_through_json(self, table):
        found = audit(table, alignment="jpeg96", seed=3)
        text = json.dumps(found.to_dict(), allow_nan=False)
        assert Audit.from_dict(json.loads(text)) == found

    def test_a_damaged_record_is_refused(self):
        record = audit(null(count=20)).to_dict()
        del record["generators"][0]["checks"][0]["low"]
        with pytest.raises(ValueError, match="low"):
            Audit.from_dict(record)

    def test_the_seed_decides(self):
        table = null(count=60)
        assert audit(table, seed=1) == audit(table, seed=1)
        assert audit(table, seed=1).generators != audit(table, seed=2).generators


class TestInput:
    def test_unknown_alignment(self):
        with pytest.raises(ValueError, match=r"'jpeg95'; allowed are none, jpeg96"):
            audit(null(count=20), alignment="jpeg95")

    def test_missing_column(self):
        with pytest.raises(ValueError, match="no column quality, error"):
            audit(null(count=20).drop(columns=["quality", "error"]))

    def test_unknown_label(self):
        with pytest.raises(ValueError, match="labels other than"):
            audit(rows("sd14", 2, 20))

    @pytest.mark.parametrize(
        "convert",
        [
            lambda table: table.convert_dtypes(dtype_backend="pyarrow"),
            lambda table: table.convert_dtypes(),
            lambda table: table.astype({"generator": "category", "format": "category"}),
            lambda table: table.set_index("path"),
            lambda table: table.set_index(np.zeros(len(table))),
        ],
        ids=["pyarrow", "nullable", "category", "path as index", "index of equal numbers"],
    )
    @pytest.mark.parametrize("alignment", ["jpeg96", "match_quality"])
    def test_how_the_table_is_held_makes_no_difference(self, convert, alignment):
        table = genimage(count=40)
        table.loc[3, "error"] = "truncated"
        assert audit(convert(table), alignment=alignment) == audit(table, alignment=alignment)

    def test_the_table_is_left_alone(self):
        table = genimage(count=30)
        before = table.copy()
        audit(table, alignment="match_quality")
        pd.testing.assert_frame_equal(table, before)


def indexed(root, quality):
    """The contract's columns of a tree, filled in here; `quality` knows what every JPEG was written with."""
    found = []
    layout = find_layout(root)
    for name in layout.generators:
        for split in SPLITS:
            for label in range(len(CLASS_FOLDERS)):
                for path in layout.images(name, split, label):
                    with Image.open(path) as image:
                        facts = {"width": image.width, "height": image.height, "format": image.format}
                    facts["quality"] = quality(path) if facts["format"] == "JPEG" else None
                    facts |= {"path": path.as_posix(), "content": path.as_posix(), "error": None}
                    facts |= {"generator": name, "split": split, "label": label}
                    found.append({**facts, "bytes": path.stat().st_size})
    return pd.DataFrame(found).astype({"quality": "Int16"})


def test_real_files_like_genimages(tmp_path, write_tree):
    root = write_tree(tmp_path, ("adm",), train=40, val=20)
    rng = np.random.default_rng(0)
    written = {}
    for path in [p for p in root.rglob("*.png") if p.parent.name == "nature"]:
        with Image.open(path) as image:
            target = path.with_suffix(".JPEG")
            written[target] = int(rng.integers(60, 96))
            image.resize(rng.integers(24, 90, 2)).save(target, "JPEG", quality=written[target])
        path.unlink()
    table = indexed(root, written.get)
    assert table["quality"].notna().sum() == 60
    assert above(audit(table), "none") == set(FEATURES)
    assert [audit(table, alignment=a).level for a in ALIGNMENTS] == ["shortcut"] * 2 + ["clean"] * 2


def test_the_embedded_data_set_passes(tmp_path):
    root = ensure_mini(tmp_path, MiniSettings(image_size=32, train_per_class=20, val_per_class=20))

    # Same tables, same quality: the sum of the first one stands for it.
    def coarse(path):
        with Image.open(BytesIO(path.read_bytes())) as image:
            return sum(image.quantization[0]) % 101

    table = indexed(root, coarse)
    assert table["quality"].nunique() > 4
    for alignment in ("none", "jpeg96_both", "match_quality"):
        assert audit(table, alignment=alignment).level == "clean"
    longer = table.assign(bytes=table["bytes"] + table["label"])
    assert audit(longer).level == "shortcut"


BIASED, FAIR = {"format": "JPEG"}, {"format": "PNG"}


def halves(train, val, count=60):
    """One generator; `train` and `val` give what is particular to nature and to ai."""
    return pd.concat(
        [
            rows("sd14", label, count, **columns).assign(split=split)
            for split, classes in (("train", train), ("val", val))
            for label, columns in enumerate(classes)
        ],
        ignore_index=True,
    )


@pytest.mark.parametrize(
    ("train", "val", "told"),
    [
        ((BIASED, BIASED), (BIASED, FAIR), ["sd14 val"]),
        ((BIASED, FAIR), (FAIR, BIASED), ["sd14 train", "sd14 val"]),  # together they cancel out
        ((BIASED, BIASED), (FAIR, FAIR), []),
    ],
)
def test_splits_are_judged_apart(train, val, told):
    found = audit(halves(train, val))
    assert [g.name for g in found.generators] == ["sd14 train", "sd14 val"]
    assert [g.name for g in found.generators if any(c.above_chance for c in g.after("none"))] == told
    assert found.level == ("shortcut" if told else "clean")


def test_qualities_of_one_class_scattered_among_the_others_are_found():
    odd, even = [{"quality": [50 + 2 * (i % 20) + label for i in range(400)]} for label in (0, 1)]
    table = pd.concat([rows("adm", 0, 400, **odd), rows("adm", 1, 400, **even)], ignore_index=True)
    [quality] = [c for c in audit(table).generators[0].after("none") if c.features == "quality"]
    assert quality.accuracy > 0.95
