"""PURE: what is wrong with a cluster for a search, in words, from what was found on its nodes."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from search.node_facts import Identities, NodeFacts
from search.sections import ResourcesSection


@dataclass(frozen=True)
class Node:
    """A living node.

    Attributes:
        node_id: Ray's.
        name: For people: address and host name.
        gpus: How many it has.
    """

    node_id: str
    name: str
    gpus: float


def is_loopback(address: str) -> bool:
    """Whether HOST:PORT can be reached from its own machine only."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def judge_openness(address: str, obeys_anyone: bool) -> list[str]:
    """Say what is wrong with a head at `address` that others can reach and that asks for no token."""
    if is_loopback(address) or not obeys_anyone:
        return []
    return [
        f"it obeys everyone who can reach {address}; start all of its nodes with RAY_AUTH_MODE=token and one "
        "RAY_AUTH_TOKEN (`ray get-auth-token --generate` makes one), and set both here"
    ]


def judge_gpus(nodes: Sequence[Node], section: ResourcesSection) -> list[str]:
    """Say that no node has as many GPUs as a worker is to have."""
    wanted = section.gpus_per_worker
    if isinstance(wanted, str) or any(node.gpus >= wanted for node in nodes):
        return []
    there = ", ".join(f"{node.name} has {node.gpus:g}" for node in nodes)
    return [
        f"resources.gpus_per_worker is {wanted:g}, but no node has so many GPUs: {there}; "
        "lower it, or let a node join that has them"
    ]


def judge_facts(name: str, there: NodeFacts, here: NodeFacts) -> list[str]:
    """Say how a node differs from this machine in its packages, and which folders it does not share."""
    packages = [
        f"{name}: {package} is {there.versions[package] or 'missing'} there and {version or 'missing'} here; "
        "install the same packages on every node"
        for package, version in here.versions.items()
        if there.versions[package] != version
    ]
    folders = [
        f"{name}: {folder} is not shared: {reason}; use storage that every node has under the same path"
        for folder, reason in there.folders.items()
        if reason
    ]
    return packages + folders


def judge_images(name: str, root: str, there: Identities, here: Identities) -> list[str]:
    """Say which images a node lacks, or has others of than this machine, by generator and split."""
    return [
        f"{name}: {split} images of {generator} under {root} are not those that are here"
        # An identity has no spaces, an error has.
        f"{f' ({found})' if ' ' in found else ''}; copy them again, or use storage that every node has"
        for (generator, split), found in there.items()
        if found != here[generator, split]
    ]
