import itertools
import tempfile
from pathlib import Path

import pytest
from run_process import Run, write_space

from genimage_core.data.layout import find_layout
from genimage_core.data.mini import MiniSettings, ensure_mini

EPOCHS = 6
SPACE = {
    "name": "tiny",
    "data": {"image_size": 32, "train_per_class": 24, "val_per_class": 8, "format_alignment": "none"},
    "protocol": {"search": ["sd14", "biggan"], "sealed": ["midjourney", "vqdm"]},
    "detector": {"name": "swin_nano", "base": "generator:sd14"},
    "training": {"epochs": EPOCHS, "batch_size": 16, "learning_rate": 1e-3},
    "base_training": {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3},
    "search": {"trials": 2, "scheduler": "none", "objective": "off_family_accuracy"},
    "resources": {"workers_per_trial": 2},
    "finalists": {"top": 0},
    "space": {
        "mask_kind": "ring",
        "mask_radius": {"low": 0.1, "high": 0.3},
        "noise_scale": {"low": 0.1, "high": 0.3},
        "freeze_depth": {"low": 0, "high": 2, "type": "int"},
    },
}


@pytest.fixture(scope="session")
def space():
    """A search of two short trials on two workers."""
    return SPACE


@pytest.fixture
def job(tmp_path, write_tree):
    """Two small folds on random images."""
    from small_job import make_job  # not at the top: it imports torch, which most tests do without

    root = write_tree(tmp_path / "GenImage", ["sd14", "biggan"], train=4, val=4)
    return make_job(root, tmp_path)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def data_root(cache):
    """A tiny embedded data set whose sealed generators cannot be read."""
    root = ensure_mini(cache, MiniSettings(image_size=32, train_per_class=48, val_per_class=16))
    for place in find_layout(root, ["midjourney", "vqdm"]).places:
        for path in place.folder.iterdir():
            path.write_bytes(f"sealed {place.generator}".encode())
            path.chmod(0)
    return root


@pytest.fixture(scope="session")
def finished(space, data_root, cache, tmp_path_factory):
    """An undisturbed search: its run directory and its process."""
    out = tmp_path_factory.mktemp("runs") / "search"
    # Not pytest's folder: Ray's sockets have a limit on the length of their path.
    with tempfile.TemporaryDirectory(prefix="e-") as temporary:
        file = write_space(space, out.with_suffix(".yaml"))
        run = Run(cache, "--space", file, "--data", data_root, "--out", out, TMPDIR=temporary)
        assert run.finish() == 0, run.text
        assert not list(Path(temporary).glob("genimage-*")), "Ray's temporary folder was left behind"
    return out, run


@pytest.fixture
def launch(cache):
    """Starts the command with any arguments and ends it with the test whatever happens."""
    runs = []

    def launch(*options, **variables):
        runs.append(Run(cache, *options, **variables))
        return runs[-1]

    yield launch
    for run in runs:
        run.end()


@pytest.fixture
def start(launch, data_root, tmp_path):
    """Starts a new search on the tiny data set."""
    numbers = itertools.count()

    def start(space, *options, **variables):
        out = tmp_path / f"run{next(numbers)}"
        file = write_space(space, out.with_suffix(".yaml"))
        return launch("--space", file, "--data", data_root, "--out", out, *options, **variables), out

    return start
