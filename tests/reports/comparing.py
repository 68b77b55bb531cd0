"""Runs to stand side by side, and the files that are written about them."""

import json
from dataclasses import replace

import numpy as np
from synthetic_finalists import World, write_search
from test_report_page import Page

from reports.comparison_page import write_comparison

WORLD = World(trials=4, top=1, seeds=3, val_per_class=30, test_per_class=60)
CONDITIONS = {
    "data": {"fingerprint": "f00d"},
    "detector": "swin_nano",
    "started": "2026-11-23T08:00:00+00:00",
}
BASE = {"kind": "generator", "generators": ["sd14"], "simulated": True}
SPACE = """name: fft
training: {epochs: 3, batch_size: 16}
space: {mask_radius: {low: 0.0, high: %s}, mask_kind: low_pass}
"""


def compared(runs, out, resamples=400):
    """The three files about runs."""
    folder = write_comparison(runs, out, resamples).parent
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def plain(files):
    """Text of the page, and of the Markdown without its escapes."""
    return " ".join(" ".join(Page(files["index.html"]).text).split()), files["comparison.md"].replace(
        "\\", ""
    )


def with_finalists(folder, gain=0.0, world=WORLD, seed=1, **changes):
    run = write_search(folder, replace(world, gain=gain), np.random.default_rng(seed))
    path = run / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | CONDITIONS | {"base": BASE} | changes))
    (run / "space.yaml").write_text(SPACE % (0.5 + gain))
    return run


def change_finalists(run, **values):
    path = run / "finalists.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def data(runs, out):
    return json.loads(compared(runs, out)["comparison.json"])
