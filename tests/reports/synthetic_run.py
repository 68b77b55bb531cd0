"""Writes run directories with known numbers."""

import json
from pathlib import Path

SEARCH = ("sd14", "biggan", "glide", "adm")
BASE = "sd14"


def folds(search=SEARCH, base=BASE):
    return [
        {
            "name": name,
            "train": [name],
            "left_out": [g for g in search if g not in (name, base)],
            "off_family": [g for g in search if g not in (name, base)],
        }
        for name in search
    ]


def environment(**changes):
    record = {
        "name": "fft",
        "simulated": True,
        "command": ["python", "search/run.py", "--space", "spaces/fft.yaml", "--out", "my runs/fft"],
        "started": "2026-11-22T18:00:00+00:00",
        "versions": {"python": "3.11.9", "torch": "2.9.0", "ray": "2.60.0", "optuna": "5.0.0"},
        "commit": "abc1234",
        "hardware": {"platform": "Linux", "cpu_model": "x86", "cpus": 2, "gpus": [], "memory_gib": 23.4},
        "data": {"root_kind": "mini", "fingerprint": "f00d", "image_size": 64, "train_per_class": 160},
        "seeds": {"search": 0},
        "protocol": {
            "train_on": "one",
            "search": list(SEARCH),
            "sealed": ["midjourney", "vqdm"],
            "base": "generator:sd14",
            "folds": folds(),
        },
        "detector": "swin_nano",
        "objective": "off_family_accuracy",
        "epochs": 3,
        "trials": 10,
        "space": {
            "mask_radius": {"low": 0.05, "high": 0.5},
            "noise_scale": {"low": 0.0, "high": 0.5},
            "mask_kind": "low_pass",
        },
    }
    return record | changes


def score(accuracy, images=160):
    return {
        "accuracy": accuracy,
        "real_accuracy": min(1.0, accuracy + 0.1),
        "fake_accuracy": max(0.0, accuracy - 0.1),
        "average_precision": accuracy,
        "auroc": accuracy,
        "images": images,
    }


def matrix(off, trained=0.95, known=0.8, search=SEARCH, base=BASE):
    """Every off-family cell is `off`, so every mean over them is too."""
    return {
        row: {c: score(trained if c == row else known if c == base else off) for c in search}
        for row in search
    }


def epoch(number, off, **changes):
    record = {
        "epoch": number,
        "train_loss": 0.6 / number,
        "off_family_accuracy": off,
        "left_out_accuracy": off,
        "worst_left_out": off - 0.05,
        "in_domain_accuracy": 0.95,
        "average_precision": off,
        "auroc": off,
        "train_s": 6.0,
        "eval_s": 2.0,
        "wait_s": 0.5,
        "matrix": matrix(off),
    }
    return record | changes


def trial(number, value=None, state="completed", epochs=3, **changes):
    """A trial that rises to `value` by 0.01 an epoch; without a value it has no epochs."""
    reached = [] if value is None else [epoch(n, value - 0.01 * (epochs - n)) for n in range(1, epochs + 1)]
    record = {
        "number": number,
        "role": "searched" if number else "baseline",
        "state": state,
        "config": {
            "mask_radius": round(0.05 + 0.03 * number, 3) if number else 0.0,
            "noise_scale": round(0.04 * (number * 3 % 10), 3),
        },
        "epochs": reached,
        "error": None,
        "retries": 0,
    }
    return record | changes


TIMING = {
    "wall_s": 412.0,
    "startup_s": 21.5,
    "first_result_s": 34.0,
    "train_s": 280.0,
    "eval_s": 96.0,
    "goodput": 0.913,
    "overhead_per_trial_s": 0.42,
}


def write_run(folder: Path, records=(), timing=TIMING, best=False, **changes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "environment.json").write_text(json.dumps(environment(**changes)), encoding="utf-8")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "trials.jsonl").write_text(lines, encoding="utf-8")
    if timing is not None:
        (folder / "timing.json").write_text(json.dumps(timing), encoding="utf-8")
    if best:
        (folder / "best.yaml").write_text("name: fft-best\n", encoding="utf-8")
    return folder


def cut_off_trials():
    """Ten planned, six finished, the search ended during trials 6 (after an epoch) and 7 (before one)."""
    return [*ten_trials()[:6], trial(6, 0.900, "interrupted", epochs=1), trial(7, None, "interrupted")]


def ten_trials():
    """Best trial 7 with 0.712, baseline 0.655; three stopped, one failed."""
    return [
        trial(0, 0.655),
        trial(1, 0.640),
        trial(2, 0.601, "stopped", epochs=1),
        trial(3, 0.690),
        trial(4, None, "failed", error="RuntimeError: CUDA error | device lost <b>", retries=2),
        trial(5, 0.668),
        trial(6, 0.612, "stopped", epochs=2),
        trial(7, 0.712),
        trial(8, 0.590, "stopped", epochs=1),
        trial(9, 0.700),
    ]
