"""Looking at every node of a cluster that was joined, before anything is written or trained."""

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from genimage_core.data.layout import find_layout
from search.checks import Checked
from search.cluster import status_error
from search.cluster_verdict import Node, is_loopback, judge_facts, judge_gpus, judge_images, judge_openness
from search.environment import PACKAGES
from search.errors import one_line
from search.node_facts import NONCE, NodeFacts, identify, look
from search.space import is_mini

LOOK_S = 120.0  # a worker process has to start, on a slow disk too
IDENTIFY_S = 1800.0  # listing millions of files takes its time
RUN_DIR = "the run directory (--out)"
MINI_CACHE = "the cache with the embedded data set (GENIMAGE_CACHE)"


def check_cluster(checked: Checked) -> None:
    """Compare every node with this machine.

    Raises:
        ValueError: With a line for everything that would go wrong: a cluster that obeys anyone, GPUs that no
            node has, other versions, folders that are not shared, images that are missing or others.
    """
    nodes, address = _living(), ray.get_runtime_context().gcs_address
    obeys_anyone = not is_loopback(address) and not status_error(address, RAY_AUTH_MODE="disabled")
    problems = judge_openness(address, obeys_anyone) + judge_gpus(nodes, checked.space.resources)
    problems += _look_at_nodes(nodes, checked)
    if not problems and not is_mini(checked.space.data.root):
        problems = _look_at_images(nodes, checked)
    if problems:
        raise ValueError("\n  ".join([f"the cluster at {address} cannot run this search:", *problems]))


def _living() -> list[Node]:
    return [
        Node(
            node["NodeID"],
            f"{node['NodeManagerAddress']} ({node['NodeManagerHostname']})",
            node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def _look_at_nodes(nodes: Sequence[Node], checked: Checked) -> list[str]:
    wanted = {RUN_DIR: checked.run_dir}
    if is_mini(checked.space.data.root):
        wanted |= {MINI_CACHE: checked.cache}
    with _probes(wanted) as (folders, nonce):
        here = look(PACKAGES, folders, nonce, "here")

        def judge(node: Node, facts: NodeFacts) -> list[str]:
            return judge_facts(node.name, _arrived(facts, folders, node.node_id), here)

        return _ask(nodes, LOOK_S, look, lambda node: (PACKAGES, folders, nonce, node.node_id), judge)


@contextmanager
def _probes(wanted: Mapping[str, Path]) -> Iterator[tuple[dict[str, Path], str]]:
    """Make a folder with a nonce in each of what is wanted, or the nearest above; they vanish at the end."""
    nonce = uuid.uuid4().hex
    nearest = {k: next(folder for folder in (p, *p.parents) if folder.is_dir()) for k, p in wanted.items()}
    folders = {kind: folder / f".cluster-check-{uuid.uuid4().hex}" for kind, folder in nearest.items()}
    try:
        for folder in folders.values():
            folder.mkdir()  # with the rights that the run directory will have, on nodes of other users too
            (folder / NONCE).write_text(nonce, encoding="ascii")
        yield folders, nonce
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def _arrived(facts: NodeFacts, folders: Mapping[str, Path], mark: str) -> NodeFacts:
    """Add to a node's facts what it wrote without an error but is not to be seen here."""
    lost = {
        kind: "what it writes does not arrive here"
        for kind, folder in folders.items()
        if not facts.folders[kind] and not (folder / mark).exists()
    }
    return replace(facts, folders={**facts.folders, **lost})


def _look_at_images(nodes: Sequence[Node], checked: Checked) -> list[str]:
    data, names = checked.space.data, checked.generators
    layout = find_layout(Path(str(data.root)), names, mapping=data.layout, follow_links=data.follow_links)
    arguments = (layout, names, data, checked.space.search.seed)
    here = identify(*arguments)

    def judge(node: Node, there: Mapping[tuple[str, str], str]) -> list[str]:
        return judge_images(node.name, str(layout.root), there, here)

    return _ask(nodes, IDENTIFY_S, identify, lambda node: arguments, judge)


def _ask(
    nodes: Sequence[Node],
    limit_s: float,
    function: Callable[..., Any],
    arguments: Callable[[Node], tuple[Any, ...]],
    judge: Callable[[Node, Any], list[str]],
) -> list[str]:
    """Call a function on every node and judge what it returns; that a node cannot answer is judged, too."""
    remote = ray.remote(num_cpus=0, max_retries=0)(function)
    calls = {
        node: remote.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        ).remote(*arguments(node))
        for node in nodes
    }
    ray.wait(list(calls.values()), num_returns=len(calls), timeout=limit_s)
    problems = []
    for node, call in calls.items():
        try:
            problems += judge(node, ray.get(call, timeout=0))
        except GetTimeoutError:
            problems.append(f"{node.name}: no answer within {limit_s:.0f} s; look at its load and disks")
        except RayError as error:
            problems.append(f"{node.name}: cannot be used: {one_line(error)}")
    return problems
