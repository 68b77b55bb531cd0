"""Placement groups of workers whose trial was killed: Ray gives them back only at the end of everything.

A worker group is known by the name of its mailbox, an actor that ends with the trial that owns it.
"""

from pathlib import Path

import ray
from ray._raylet import PlacementGroupID
from ray.util import get_current_placement_group, remove_placement_group
from ray.util.placement_group import PlacementGroup

_FILE = "placement_group"


def note_placement_group(groups: Path, name: str) -> None:
    """Write down, from within a worker, what its group occupies."""
    folder = groups / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _FILE).write_text(get_current_placement_group().id.hex(), encoding="ascii")


def remove_orphans(groups: Path) -> int:
    """Give back what groups without a living trial occupy, and end what is left of their workers.

    Returns:
        How many there were.
    """
    orphans = [path.parent.name for path in groups.glob(f"*/{_FILE}") if not _has_owner(path.parent.name)]
    for name in orphans:
        remove_group(groups, name)
    return len(orphans)


def remove_group(groups: Path, name: str) -> None:
    """Give back what a group occupies; nothing happens if it has been given back."""
    path = groups / name / _FILE
    if path.exists():
        remove_placement_group(PlacementGroup(PlacementGroupID(bytes.fromhex(path.read_text("ascii")))))
        path.unlink(missing_ok=True)


def _has_owner(name: str) -> bool:
    try:
        ray.get_actor(name)
    except ValueError:
        return False
    return True
