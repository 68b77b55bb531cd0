"""What a run was made with, for its records."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genimage_core.data.batches import BadFile
from genimage_core.data.layout import CLASS_FOLDERS
from genimage_core.protocol import Protocol
from search.base import Base
from search.inputs import Inputs
from search.space import Space

PACKAGES = ("ray", "optuna", "torch", "torchvision", "timm", "numpy", "scipy", "scikit-learn", "pillow")


def describe_run(
    space: Space,
    protocol: Protocol,
    bases: Mapping[str, Base],
    inputs: Inputs,
    nodes: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """Collect what `environment.json` says: command, versions, commit, machines, data, seeds, protocol."""
    section = space.protocol
    return {
        "name": space.name,
        "simulated": inputs.simulated,
        "command": command_line(str(inputs.layout.root)),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "commit": _commit(),
        "hardware": _hardware(nodes),
        "data": {
            "root_kind": "mini" if inputs.simulated else "directory",
            "root": "mini" if inputs.simulated else str(inputs.layout.root),
            "fingerprint": inputs.fingerprint,
            **{key: value for key, value in asdict(space.data).items() if key != "root"},
            "left_out": _count_bad(inputs.bad),
        },
        "shortcuts": {
            "level": inputs.audit.level,
            "sentences": list(inputs.audit.sentences),
            "alignment": inputs.audit.alignment,
        },
        "seeds": {"search": space.search.seed},
        "protocol": {
            "train_on": section.train_on,
            "search": list(protocol.search),
            "sealed": list(protocol.sealed),
            "base": space.detector.base,
            "bases": list(bases),
            "folds": [asdict(fold) for fold in protocol.folds],
            "generators": [
                {"name": g.name, "title": g.title, "family": g.family}
                for g in space.catalog.generators
                if g.name in (*protocol.search, *protocol.sealed)
            ],
        },
        "base": _describe_bases(bases, inputs.simulated, space.data.format_alignment),
        "detector": space.detector.name,
        "objective": space.search.objective,
        "epochs": space.training.epochs,
        "trials": space.search.trials,
        "space": space.model_dump(mode="json", exclude_none=True)["space"],
    }


def _describe_bases(bases: Mapping[str, Base], simulated: bool, alignment: str) -> dict[str, Any]:
    """Describe what detectors knew before: of several bases, what any of them was trained on.

    Of several format alignments, the one that is not that of the images is told.
    """
    every = list(bases.values())
    alignments = [base.format_alignment for base in every if base.format_alignment is not None]
    return {
        "kind": "; ".join(dict.fromkeys(base.kind for base in every)),
        "generators": list(dict.fromkeys(name for base in every for name in base.generators)),
        "simulated": any(base.simulated or (base.kind == "generator" and simulated) for base in every),
        "format_alignment": max(alignments, key=lambda found: found != alignment, default=None),
    }


def _count_bad(files: Sequence[BadFile]) -> dict[str, int]:
    """Count files by generator, split and class."""
    names = [f"{file.generator} {file.split} {CLASS_FOLDERS[file.label]}" for file in files]
    return {name: names.count(name) for name in sorted(set(names))}


def command_line(root: str) -> list[str]:
    """Return what to type to run this again on images below `root`."""
    return _command(sys.argv, os.environ.get("GENIMAGE_ROOT"), root)


def _command(argv: Sequence[str], from_environment: str | None, root: str) -> list[str]:
    """What to type to run this again: the data root is spelt out if an environment variable gave it."""
    start = ["python", _short(argv[0])] if argv[0].endswith(".py") else [Path(argv[0]).name]
    silent = from_environment is not None and str(Path(from_environment).absolute()) == root
    named = any(argument.split("=")[0] == "--data" for argument in argv)
    return [*start, *map(_short, argv[1:]), *(["--data", root] if silent and not named else [])]


def _short(argument: str) -> str:
    path = Path(argument)
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd()) if inside else argument)


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None  # an installed copy has no repository


def _hardware(nodes: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    cpu_info = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (cpu_info.read_text(encoding="utf-8").splitlines() if cpu_info.exists() else [])
        if line.startswith("model name")
    ]
    accelerators = [
        key.partition(":")[2] for node in nodes for key in node if key.startswith("accelerator_type:")
    ]
    return {
        "platform": platform.platform(terse=True),
        "cpu_model": names[0] if names else platform.processor() or platform.machine(),
        "cpus": int(sum(node.get("CPU", 0) for node in nodes)),
        "gpus": accelerators,
        "nodes": len(nodes),
        "memory_gib": round(sum(node.get("memory", 0) for node in nodes) / 2**30, 1),
        "cores_of_driver": os.cpu_count(),
    }
