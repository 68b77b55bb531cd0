import ast
import subprocess
import sys
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
PACKAGES = ("genimage_core", "search", "reports")

# A file of genimage_core imports only from its own layer and those before it.
LAYERS = (
    {"generators", "spectrum", "fields", "metrics", "intervals", "settings", "cache", "limits", "policy"}
    | {"yaml_files", "calibration", "curriculum", "spectral_distance", "relatedness"}
    | {"resampling", "comparison", "paired_tests", "selection"},
    {"filters", "mixing", "geometry", "degrade", "sampling", "operations", "augment"}
    | {"protocol", "published", "spectra"},
    {"data", "detectors"},
    {"bases", "device", "steps", "training", "base_training", "frozen_features", "evaluation"}
    | {"fold_training", "prediction"},
    {"measure_mini", "showcase", "contact_sheet", "augmented", "baseline", "baseline_tables", "analysis"},
    {"commands"},
    {"__main__"},
)


def module_name(path):
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for package in PACKAGES for path in sorted((HOME / package).rglob("*.py"))}


@lru_cache
def imports_of(module):
    """Everything a file imports, anywhere in it, as `package.module` or `package.module.name`."""
    path, found = FILES[module], set()
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            found |= {f"{source}.{alias.name}" for alias in node.names}
    return frozenset(found)


def own_imports_of(module):
    """The files of this project that a file imports."""
    own = set()
    for name in imports_of(module):
        own |= {candidate for candidate in (name, name.rpartition(".")[0]) if candidate in FILES}
    return {name for name in own if name != module and not module.startswith(f"{name}.")}


def roots_of(module):
    return {name.partition(".")[0] for name in imports_of(module)}


def importers_of(library, package):
    return [m for m in FILES if m.partition(".")[0] == package and library in roots_of(m)]


def layer_of(module):
    name = module.split(".")[1]
    found = [index for index, layer in enumerate(LAYERS) if name in layer]
    assert found, f"{module} is new: give it a place in LAYERS"
    return found[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_files_to_check(package):
    files = [module for module in FILES if module.startswith(f"{package}.")]
    assert len(files) >= 5
    assert any(own_imports_of(module) for module in files)


def test_the_reader_of_imports_sees_what_is_known_to_be_there():
    assert "genimage_core.settings" in own_imports_of("genimage_core.limits")
    assert "ray" in roots_of("search.cluster")
    assert "torch" in roots_of("search.workers")  # imported inside a function


@pytest.mark.parametrize("library", ["ray", "optuna", "search", "reports"])
def test_the_core_runs_alone(library):
    assert importers_of(library, "genimage_core") == []


def test_yaml_is_read_in_one_file():
    assert importers_of("yaml", "genimage_core") == ["genimage_core.yaml_files"]
    assert importers_of("yaml", "search") == ["search.space"]  # which writes it


@pytest.mark.parametrize("library", ["ray", "yaml", "search", "torch", "timm"])
def test_reports_only_read_records(library):
    assert importers_of(library, "reports") == []


def test_timm_is_imported_in_one_file():
    assert [m for package in PACKAGES for m in importers_of("timm", package)] == [
        "genimage_core.detectors.backbones"
    ]


def test_search_is_the_one_that_imports_ray():
    assert importers_of("ray", "search") != []
    assert importers_of("ray", "genimage_core") == importers_of("ray", "reports") == []


@pytest.mark.parametrize("module", [m for m in FILES if m.startswith("genimage_core.")])
def test_core_files_import_from_their_left(module):
    later = [other for other in own_imports_of(module) if layer_of(other) > layer_of(module)]
    assert not later, f"{module} imports {later}, which stands to its right"


def test_detectors_and_data_do_not_know_each_other():
    for one, other in (("data", "detectors"), ("detectors", "data")):
        for module in FILES:
            if module.startswith(f"genimage_core.{one}"):
                assert not [m for m in own_imports_of(module) if m.startswith(f"genimage_core.{other}")]


def test_there_is_no_import_cycle():
    graph = {module: own_imports_of(module) for module in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def loaded_after(statement):
    probe = f"{statement}; import sys; print(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=HOME, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_process_that_only_searches_imports_no_torch():
    loaded = loaded_after("import search.run, search.session, search.trial, search.tuning, search.monitor")
    assert {"search", "genimage_core", "ray", "optuna"} <= loaded
    assert not loaded & {"torch", "timm", "torchvision"}


def test_a_space_file_is_checked_without_ray_or_torch():
    loaded = loaded_after("import search.space, genimage_core.protocol, genimage_core.detectors.catalogue")
    assert "search" in loaded
    assert not loaded & {"torch", "timm", "ray", "optuna", "sklearn"}
