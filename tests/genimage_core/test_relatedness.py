import math

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform

from genimage_core.relatedness import CrossMatrix, differences, distance_of, read_matrix, relate

BLOCKS = (("a", "b", "c"), ("d",), ("e", "f"))


def blocks(inside=0.95, outside=0.55, groups=BLOCKS):
    names = [name for group in groups for name in group]
    group_of = {name: number for number, group in enumerate(groups) for name in group}
    accuracy = [[inside if group_of[a] == group_of[b] else outside for b in names] for a in names]
    return CrossMatrix(tuple(names), tuple(names), np.array(accuracy))


def random_matrix(seed, count=7):
    names = tuple(f"g{i}" for i in range(count))
    return CrossMatrix(names, names, np.random.default_rng(seed).uniform(0.4, 1, (count, count)))


def permuted(matrix, seed):
    rng = np.random.default_rng(seed)
    rows, columns = (rng.permutation(len(names)) for names in (matrix.rows, matrix.columns))
    return CrossMatrix(
        tuple(matrix.rows[i] for i in rows),
        tuple(matrix.columns[i] for i in columns),
        matrix.accuracy[np.ix_(rows, columns)],
    )


def test_blocks_come_back_as_families():
    found = relate(blocks(), 0.9)
    assert {frozenset(members) for members in found.families} == {frozenset(group) for group in BLOCKS}
    assert [name for members in found.families for name in members] == list(found.names)


@pytest.mark.parametrize("matrix", [blocks(), random_matrix(3)], ids=["ties", "random"])
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_matrix_does_not_matter(matrix, seed):
    one, other = relate(matrix, 0.9), relate(permuted(matrix, seed), 0.9)
    assert one.names == other.names and one.families == other.families
    np.testing.assert_array_equal(one.accuracy, other.accuracy)
    np.testing.assert_array_equal(one.merges, other.merges)


@pytest.mark.parametrize("seed", range(5))
def test_new_names_change_nothing_but_names(seed):
    matrix = random_matrix(seed)
    new = dict(zip(matrix.rows, np.random.default_rng(seed).permutation(list("tuvwxyz")), strict=True))
    renamed = tuple(str(new[name]) for name in matrix.rows)
    one, other = relate(matrix, 0.8), relate(CrossMatrix(renamed, renamed, matrix.accuracy), 0.8)
    assert {frozenset(str(new[name]) for name in members) for members in one.families} == {
        frozenset(members) for members in other.families
    }


@pytest.mark.parametrize("seed", range(5))
def test_merges_are_those_of_average_linkage_on_the_names_in_their_order(seed):
    found = relate(random_matrix(seed), 0.9)
    similarity = (found.accuracy + found.accuracy.T) / 2
    np.testing.assert_allclose(found.similarity, similarity)
    condensed = squareform(distance_of(similarity), checks=False)
    np.testing.assert_allclose(cophenet(found.merges), cophenet(linkage(condensed, "average")))
    assert sorted(found.merges[:, :2].ravel()) == list(range(2 * len(found.names) - 2))


def test_similarity_is_the_mean_of_both_ways():
    found = relate(CrossMatrix(("a", "b"), ("a", "b"), np.array([[1.0, 0.6], [0.9, 0.8]])), 0.9)
    assert found.between("a", "b") == found.between("b", "a") == pytest.approx(0.75)
    assert found.merges[0, 2] == pytest.approx(0.5)


def test_distance_is_one_at_chance_and_below_and_zero_at_one():
    np.testing.assert_allclose(distance_of(np.array([0, 0.5, 0.75, 0.9, 1])), [1, 1, 0.5, 0.2, 0], atol=1e-12)


@pytest.mark.parametrize("similarity", [0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
def test_a_similarity_of_exactly_the_threshold_is_enough(similarity):
    matrix = blocks(similarity, 0.5, (("a", "b"), ("c",)))
    assert len(relate(matrix, similarity).families) == 2
    if similarity < 1:
        assert len(relate(matrix, similarity + 0.001).families) == 3


def test_only_generators_that_are_row_and_column_take_part():
    accuracy = np.array([[0.9, 0.6, 0.7], [0.5, 0.95, 0.8]])
    found = relate(CrossMatrix(("b", "a"), ("b", "a", "x"), accuracy), 0.9)
    assert set(found.names) == {"a", "b"} and found.between("a", "b") == pytest.approx(0.55)


def test_differences_name_pairs_of_either_kind_and_pass_over_strangers():
    families = {"one": ("a", "b"), "two": ("c", "d"), "three": ("e",)}  # f is a stranger
    found = differences(relate(blocks(), 0.9), families)
    pairs = {(frozenset(d.pair), d.together) for d in found}
    together = {frozenset("ac"), frozenset("bc")}
    assert pairs == {(pair, True) for pair in together} | {(frozenset("cd"), False)}
    assert [d.together for d in found] == [True, True, False]
    assert found[-1].similarity == pytest.approx(0.55)
    assert differences(relate(blocks(), 0.9), dict(zip("xyz", BLOCKS, strict=True))) == ()


GOOD = {"rows": ["a", "b"], "columns": ["a", "b"], "accuracy": [[1, 0.5], [0.5, 1]]}


def test_a_matrix_is_read_with_what_else_there_is():
    assert read_matrix(GOOD | {"seeds": [0]}).generators == ("a", "b")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rows": None}, "rows"),
        ({"rows": []}, "rows"),
        ({"rows": ["a", 1]}, "rows"),
        ({"rows": ["a", "a"]}, "rows must be different names"),
        ({"columns": ["a", "b", "c"]}, "2 rows of 3 numbers"),
        ({"accuracy": [[1, 0.5]]}, "2 rows of 2 numbers"),
        ({"accuracy": [[1, 0.5], [0.5]]}, "2 rows of 2 numbers"),
        ({"accuracy": [1, 2]}, "accuracy"),
        ({"accuracy": {"a": 1}}, "accuracy"),
        ({"accuracy": [[1, "x"], [0.5, 1]]}, "accuracy"),
        ({"accuracy": [[1, None], [0.5, 1]]}, "accuracy"),
        ({"accuracy": [[1, True], [0.5, 1]]}, "accuracy"),
        ({"accuracy": [[1, math.nan], [0.5, 1]]}, "accuracy of a on b must be within [0, 1], got nan"),
        ({"accuracy": [[1, 0.5], [-0.1, 1]]}, "accuracy of b on a must be within [0, 1], got -0.1"),
        ({"accuracy": [[1, 55], [0.5, 1]]}, "accuracy of a on b must be within [0, 1], got 55.0"),
        ({"accuracy": [[1, 10**400], [0.5, 1]]}, "within [0, 1]"),
    ],
)
def test_what_is_no_matrix_is_refused(change, named):
    with pytest.raises(ValueError) as refused:
        read_matrix(GOOD | change)
    assert named in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("key", ["rows", "columns", "accuracy"])
def test_a_missing_key_is_named(key):
    with pytest.raises(ValueError, match="rows, columns, accuracy"):
        read_matrix({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize("threshold", [0.5, 0, 1.01, math.nan])
def test_a_threshold_outside_is_refused(threshold):
    with pytest.raises(ValueError, match=r"threshold must be above 0\.5"):
        relate(blocks(), threshold)


def test_one_generator_is_too_few():
    matrix = CrossMatrix(("a", "b"), ("b", "c"), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="at least 2 generators"):
        relate(matrix, 0.9)
