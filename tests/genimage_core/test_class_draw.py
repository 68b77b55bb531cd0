"""What is drawn for image-class generalisation: nothing but the classes may change."""

from collections import Counter
from pathlib import Path

import pytest

from genimage_core.analysis.class_draw import Sizes, draw_classes


def tree(classes=12, reals=40, fakes=30):
    """Every file tells its class, label and number."""
    return {
        f"c{c:02d}": tuple(
            [Path(f"c{c:02d}/{label}/{number:03d}") for number in range(count)]
            for label, count in enumerate((reals, fakes))
        )
        for c in range(classes)
    }


SIZES = Sizes((1, 2, 5), train=20, test=10)


def classes_of(chosen):
    return {path.parts[0] for path, _ in chosen}


@pytest.mark.parametrize("seed", range(4))
def test_only_the_classes_change(seed):
    draw = draw_classes(tree(), SIZES, seed)
    for count in SIZES.classes:
        train, test = draw.train[count], draw.test_seen[count]
        for chosen, size in ((train, SIZES.train), (test, SIZES.test), (draw.test_unseen, SIZES.test)):
            assert Counter(label for _, label in chosen) == {0: size, 1: size}
            assert len(set(chosen)) == len(chosen)
            assert all(path.parts[1] == str(label) for path, label in chosen)
        assert classes_of(train) == set(draw.seen[:count]) == classes_of(test)
        shares = Counter((path.parts[0], label) for path, label in train)
        assert max(shares.values()) - min(shares.values()) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_is_tested_was_trained_on(seed):
    draw = draw_classes(tree(), SIZES, seed)
    trained = {path for chosen in draw.train.values() for path, _ in chosen}
    tested = {path for chosen in (*draw.test_seen.values(), draw.test_unseen) for path, _ in chosen}
    assert not trained & tested and len(draw.files) == len(trained | tested)
    assert not classes_of(draw.test_unseen) & set(draw.seen)
    assert classes_of(draw.test_unseen) == set(draw.unseen)
    assert [label for _, label in draw.files] == sorted(label for _, label in draw.files)


def test_a_real_and_a_fake_of_one_scene_stay_on_one_side():
    draw = draw_classes(tree(reals=30, fakes=30), SIZES, 0)
    trained = {(p.parts[0], p.name) for chosen in draw.train.values() for p, _ in chosen}
    tested = {(p.parts[0], p.name) for chosen in draw.test_seen.values() for p, _ in chosen}
    assert not trained & tested


def test_seeds_draw_other_classes_and_the_same_seed_the_same():
    draws = [draw_classes(tree(), SIZES, seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] and draws[0].seen != draws[2].seen


def test_classes_with_too_few_images_take_no_part():
    files = tree() | {"poor": (tree()["c00"][0], tree()["c00"][1][:29])}
    assert all("poor" not in draw_classes(files, SIZES, seed).seen for seed in range(20))
    enough = {**files, "poor": tree()["c00"]}
    drawn = {name for seed in range(20) for name in draw_classes(enough, SIZES, seed).seen}
    assert "poor" in drawn


def test_too_few_classes_are_refused_with_what_is_there():
    with pytest.raises(ValueError) as error:
        draw_classes(tree(classes=5), SIZES, 0)
    said = str(error.value)
    assert "at least 6 image classes with 30 reals and 30 fakes each" in said and "there are 5" in said
    with pytest.raises(ValueError, match=r"there are 0 \(of 12 with any; the fullest has 30\)"):
        draw_classes(tree(), Sizes((1,), 25, 6), 0)
    with pytest.raises(ValueError, match="the fullest has 0"):
        draw_classes({}, SIZES, 0)


def test_more_unseen_classes_than_test_images_give_one_each():
    draw = draw_classes(tree(classes=30), Sizes((2,), 4, 5), 0)
    assert (
        len(draw.unseen) == 5 and Counter(p.parts[0] for p, _ in draw.test_unseen).most_common(1)[0][1] == 2
    )
