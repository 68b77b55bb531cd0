import io

import pytest
from rich.console import Console

from genimage_core.protocol import Protocol
from search import dry_run
from search.base import Base
from search.capacity import GroupShape
from search.checks import Checked
from search.cluster import ResourcePlan
from search.space import Space

SPACE = Space(
    name="tiny",
    data={"root": "/somewhere", "image_size": 32, "train_per_class": 50, "val_per_class": 25},
    protocol={"search": ["sd14", "biggan", "adm"], "sealed": ["vqdm"]},
    detector={"name": "swin_nano", "base": "generator:sd14"},
    training={"epochs": 4},
    search={"trials": 9, "grace_period": 1, "reduction_factor": 3},
    space={"noise_scale": {"low": 0.1, "high": 0.3}},
)
PROTOCOL = Protocol("one", ("sd14", "biggan", "adm"), ("vqdm",), ("sd14",))
PLAN = ResourcePlan(GroupShape(2, 1.0, 0.0), 1, 2.0)


@pytest.fixture
def checked(tmp_path):
    name = "generator:sd14"
    bases = {name: Base(name, "generator", "sd14", ("sd14",))}
    return Checked(SPACE, PROTOCOL, bases, ("sd14", "biggan", "adm"), tmp_path / "run", tmp_path, None)


def test_the_fullest_worker_decides_how_long_a_trial_takes(checked):
    # Two of three folds fall to the first worker: 2 x 100 training images, 2 x 150 evaluated ones.
    seconds = dry_run.full_length_seconds(checked, PLAN, train_s=0.01, eval_s=0.002)
    assert seconds == pytest.approx(4 * (200 * 0.01 + 300 * 0.002))


def test_it_prints_what_would_be_done_and_writes_nothing(checked, tmp_path, monkeypatch):
    monkeypatch.setattr(dry_run, "measure_image_seconds", lambda checked, threads: (0.01, 0.002))
    text = io.StringIO()
    dry_run.print_plan(checked, PLAN, Console(file=text, width=200))
    said = text.getvalue()
    for part in (
        "noise_scale:",
        "sd14: sd14: BIGGAN, ADM",
        "sealed: vqdm",
        "1 trials at a time, 2 workers each",
    ):
        assert part in said
    # 10.4 s per full trial; stopped ones take a quarter of that, a third of the trials are kept.
    assert "10 s per full trial" in said
    assert "9 trials: 0.8 min if early stopping" in said and "1.6 min if nothing is stopped" in said
    assert list(tmp_path.iterdir()) == []


def test_it_measures_this_machine(checked, one_thread):
    train_s, eval_s = dry_run.measure_image_seconds(checked, 1)
    assert 0 < eval_s < train_s < 1
