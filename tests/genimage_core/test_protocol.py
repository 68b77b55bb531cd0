from itertools import combinations
from statistics import fmean

import numpy as np
import pytest

from genimage_core.generators import GENIMAGE
from genimage_core.metrics import Scores
from genimage_core.protocol import OBJECTIVES, Fold, Protocol, find_judges, summarise

STABLE = {"sd14", "sd15", "wukong"}


def test_one_trains_a_detector_per_generator():
    folds = Protocol("one", ("sd14", "biggan", "sd15", "adm")).folds
    assert [(fold.name, fold.train) for fold in folds] == [
        (name, (name,)) for name in ("sd14", "biggan", "sd15", "adm")
    ]
    assert folds[0].left_out == ("biggan", "sd15", "adm")
    assert folds[0].off_family == ("biggan", "adm")
    assert folds[1].left_out == folds[1].off_family == ("sd14", "sd15", "adm")


def test_all_but_one_leaves_a_generator_out():
    folds = Protocol("all_but_one", ("sd14", "biggan", "sd15")).folds
    assert folds == (
        Fold("all_but_sd14", ("biggan", "sd15"), ("sd14",), ()),
        Fold("all_but_biggan", ("sd14", "sd15"), ("biggan",), ("biggan",)),
        Fold("all_but_sd15", ("sd14", "biggan"), ("sd15",), ()),
    )


def test_all_but_family_leaves_relatives_out_together():
    folds = Protocol("all_but_family", ("sd14", "biggan", "wukong")).folds
    assert folds == (
        Fold("all_but_stable_diffusion", ("biggan",), ("sd14", "wukong"), ("sd14", "wukong")),
        Fold("all_but_biggan", ("sd14", "wukong"), ("biggan",), ("biggan",)),
    )


def test_what_the_base_has_seen_is_never_left_out():
    folds = Protocol("one", ("sd14", "wukong", "biggan", "adm"), base_generators=("sd14",)).folds
    assert [fold.left_out for fold in folds] == [
        ("wukong", "biggan", "adm"),
        ("biggan", "adm"),
        ("wukong", "adm"),
        ("wukong", "biggan"),
    ]
    # wukong shares its decoder with the base.
    assert [fold.off_family for fold in folds] == [
        ("biggan", "adm"),
        ("biggan", "adm"),
        ("adm",),
        ("biggan",),
    ]


@pytest.mark.parametrize("train_on", ["one", "all_but_one", "all_but_family"])
@pytest.mark.parametrize("base", [(), ("sd15",), ("vqdm", "adm")])
def test_folds_obey_the_definitions(train_on, base):
    checked = 0
    for size in range(2, 5):
        for search in combinations(GENIMAGE.names, size):
            try:
                folds = Protocol(train_on, search, base_generators=base).folds
            except ValueError:
                continue
            assert any(fold.off_family for fold in folds)
            for fold in folds:
                seen = set(fold.train) | set(base)
                families = {GENIMAGE.family_of(name) for name in seen}
                assert fold.train and set(fold.train) <= set(search)
                assert fold.left_out == tuple(g for g in search if g not in seen)
                assert fold.off_family == tuple(
                    g for g in fold.left_out if GENIMAGE.family_of(g) not in families
                )
            checked += 1
    assert checked > 50


def test_families_are_expanded():
    protocol = Protocol("one", ("stable_diffusion", "adm"), ("biggan",))
    assert protocol.search == ("sd14", "sd15", "wukong", "adm")
    assert Protocol("one", ("adm", "vqdm"), ("stable_diffusion",)).sealed == ("sd14", "sd15", "wukong")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"search": ("adm", "glide"), "sealed": ("glide", "vqdm")}, "glide"),
        ({"search": ("adm", "wukong"), "sealed": ("stable_diffusion",)}, "wukong"),
        ({"search": ("adm", "glide"), "sealed": ("vqdm",), "base_generators": ("vqdm",)}, "sealed vqdm"),
        ({"search": ("adm", "sdxl")}, "'sdxl'"),
        ({"search": ("adm", "glide"), "sealed": ("sdxl",)}, "'sdxl'"),
        ({"search": ("adm", "glide"), "train_on": "two"}, "'two'"),
        ({"search": ("sd14", "sd15", "wukong")}, "off-family"),
        ({"search": ("adm",)}, "off-family"),
        ({"search": ("adm", "sd14"), "base_generators": ("adm", "sd15")}, "off-family"),
        ({"search": ("adm",), "train_on": "all_but_one"}, "all_but_one"),
        ({"search": ("sd14", "sd15"), "train_on": "all_but_family"}, "all_but_family"),
        ({"search": ()}, "search generators"),
    ],
)
def test_impossible_protocols_are_refused_in_one_line(arguments, named):
    with pytest.raises(ValueError) as refused:
        Protocol(**{"train_on": "one", **arguments})
    assert named in str(refused.value) and "\n" not in str(refused.value)


def scores(accuracy, precision=0.5, auroc=0.5):
    return Scores(accuracy, accuracy, accuracy, precision, auroc, 10)


def test_summary_of_a_matrix_worked_by_hand():
    folds = Protocol("one", ("sd14", "sd15", "adm")).folds
    matrix = {
        "sd14": {"sd14": scores(0.9), "sd15": scores(0.8), "adm": scores(0.5, 0.6, 0.7)},
        "sd15": {"sd14": scores(0.7), "sd15": scores(1.0), "adm": scores(0.6, 0.8, 0.9)},
        "adm": {"sd14": scores(0.4, 0.2, 0.1), "sd15": scores(0.6, 0.4, 0.3), "adm": scores(0.8)},
    }
    summary = summarise(folds, matrix)
    assert summary == pytest.approx(
        {
            "off_family_accuracy": (0.5 + 0.6 + 0.5) / 3,
            "left_out_accuracy": (0.65 + 0.65 + 0.5) / 3,
            "worst_left_out": 0.4,
            "in_domain_accuracy": 0.9,
            "average_precision": (0.6 + 0.8 + 0.3) / 3,
            "auroc": (0.7 + 0.9 + 0.2) / 3,
        }
    )
    assert set(OBJECTIVES) < set(summary)


def averaged(folds, matrix, cells, field):
    """Mean of fold means, by loops over every cell."""
    means = []
    for fold in folds:
        values = [
            getattr(matrix[fold.name][generator], field)
            for generator in matrix[fold.name]
            if generator in cells(fold)
        ]
        if values:
            means.append(fmean(values))
    return fmean(means)


@pytest.mark.parametrize("train_on", ["one", "all_but_one", "all_but_family"])
@pytest.mark.parametrize("seed", range(5))
def test_summary_agrees_with_brute_force(train_on, seed):
    rng = np.random.default_rng(seed)
    search = tuple(rng.permutation(["sd14", "wukong", "adm", "vqdm", "glide", "biggan"])[:5].tolist())
    folds = Protocol(train_on, search, base_generators=("wukong",)).folds
    matrix = {fold.name: {g: scores(*rng.random(3)) for g in search} for fold in folds}

    def left_out(fold):
        return {g for g in search if g not in fold.train and g != "wukong"}

    def off_family(fold):
        near = {GENIMAGE.family_of(g) for g in (*fold.train, "wukong")}
        return {g for g in left_out(fold) if GENIMAGE.family_of(g) not in near}

    accuracies = [matrix[fold.name][g].accuracy for fold in folds for g in left_out(fold)]
    assert summarise(folds, matrix) == pytest.approx(
        {
            "off_family_accuracy": averaged(folds, matrix, off_family, "accuracy"),
            "left_out_accuracy": averaged(folds, matrix, left_out, "accuracy"),
            "worst_left_out": min(accuracies),
            "in_domain_accuracy": averaged(folds, matrix, lambda fold: set(fold.train), "accuracy"),
            "average_precision": averaged(folds, matrix, off_family, "average_precision"),
            "auroc": averaged(folds, matrix, off_family, "auroc"),
        }
    )


@pytest.mark.parametrize(
    ("train", "seen", "judges"),
    [
        (("sd14", "glide", "adm"), (), ("sd14", "glide", "adm")),
        (("sd14", "glide", "adm"), ("sd14",), ("glide", "adm")),
        (("sd15", "wukong", "adm"), ("sd14",), ("adm",)),
        (("sd14", "sd15", "wukong"), (), ()),  # nothing would be left to learn from
        (("sd14",), (), ()),
        (("sd14", "glide"), ("sd14", "glide"), ()),
        (("sd14", "glide"), ("another data set's",), ("sd14", "glide")),
    ],
)
def test_who_can_tell_when_a_training_should_end(train, seen, judges):
    assert find_judges(train, seen, GENIMAGE) == judges
