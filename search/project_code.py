"""The project's code, as the nodes of a cluster get it."""

import shutil
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("genimage_core", "reports", "search")


def gather_code(target: Path) -> Path:
    """Copy the packages that run here into a new folder, for Ray to take to every node as `working_dir`.

    Not as `py_modules`: Ray would put the folders of the driver before those, and a node that has an older
    checkout at the same place would run that.
    """
    for name in PACKAGES:
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None, f"{name} runs here"
        ignored = shutil.ignore_patterns("__pycache__", "example")
        shutil.copytree(Path(spec.origin).parent, target / name, ignore=ignored)
    return target
