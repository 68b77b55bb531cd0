import pytest

from search.cluster_verdict import Node, is_loopback, judge_facts, judge_gpus, judge_images, judge_openness
from search.node_facts import NodeFacts
from search.sections import ResourcesSection

HERE = NodeFacts({"python": "3.12", "torch": "2.9.0", "timm": "1.0.20"}, {"the run directory (--out)": ""})
IDENTITIES = {("sd14", "train"): "0a1b", ("sd14", "val"): "2c3d"}


def facts(versions=None, folders=None):
    return NodeFacts({**HERE.versions, **(versions or {})}, {**HERE.folders, **(folders or {})})


@pytest.mark.parametrize(
    ("address", "alone"),
    [
        ("127.0.0.1:6379", True),
        ("127.3.0.9:6379", True),
        ("localhost:6379", True),
        ("[::1]:6379", True),
        ("10.0.0.1:6379", False),
        ("0.0.0.0:6379", False),
        ("[2001:db8::1]:6379", False),
        ("head.cluster.local:6379", False),
    ],
)
def test_only_a_loopback_address_is_out_of_reach(address, alone):
    assert is_loopback(address) is alone
    assert judge_openness(address, obeys_anyone=False) == []
    problems = judge_openness(address, obeys_anyone=True)
    assert len(problems) == (0 if alone else 1)
    assert all(address in line and "RAY_AUTH_MODE=token" in line for line in problems)


def test_a_node_like_this_machine_has_no_problems():
    assert judge_facts("10.0.0.2", facts(), HERE) == []
    assert judge_images("10.0.0.2", "/data", IDENTITIES, IDENTITIES) == []


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (facts({"torch": "2.8.0"}), "10.0.0.2: torch is 2.8.0 there and 2.9.0 here"),
        (facts({"python": "3.11"}), "10.0.0.2: python is 3.11 there and 3.12 here"),
        (facts({"timm": ""}), "10.0.0.2: timm is missing there and 1.0.20 here"),
        (
            facts(folders={"the run directory (--out)": "PermissionError: denied"}),
            "10.0.0.2: the run directory (--out) is not shared: PermissionError: denied",
        ),
    ],
)
def test_each_difference_is_one_line_that_says_what_to_do(there, said):
    [line] = judge_facts("10.0.0.2", there, HERE)
    assert line.startswith(said) and "; " in line and "\n" not in line


def test_every_difference_is_told():
    there = facts({"torch": "2.8.0", "timm": ""}, {"the run directory (--out)": "another folder is there"})
    assert len(judge_facts("10.0.0.2", there, HERE)) == 3


def test_images_that_differ_and_images_that_are_missing_are_told_apart():
    there = {("sd14", "train"): "ffff", ("sd14", "val"): "ValueError: sd14 has 0 val images"}
    other, missing = judge_images("10.0.0.2", "/data", there, IDENTITIES)
    assert "10.0.0.2: train images of sd14 under /data are not those that are here; copy" in other
    assert "(ValueError: sd14 has 0 val images); copy" in missing


@pytest.mark.parametrize(
    ("wanted", "gpus", "refused"),
    [
        ("auto", [0, 0], False),
        (0.0, [0, 0], False),
        (1.0, [0, 1], False),
        (0.5, [0, 1], False),
        (2.0, [1, 1], True),  # two GPUs on two nodes are not two GPUs
        (1.0, [0, 0], True),
    ],
)
def test_a_worker_gets_its_gpus_from_one_node(wanted, gpus, refused):
    nodes = [Node(str(n), f"10.0.0.{n}", float(count)) for n, count in enumerate(gpus)]
    lines = judge_gpus(nodes, ResourcesSection(gpus_per_worker=wanted))
    assert len(lines) == refused
    for line in lines:
        assert f"gpus_per_worker is {wanted:g}" in line
        assert all(f"10.0.0.{n} has {count}" in line for n, count in enumerate(gpus))
