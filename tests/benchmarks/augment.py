"""Cost of the frequency augmentation beside the bare transform, NumPy as in the literature, and torchvision.

python -m tests.benchmarks.augment [--out FILE] [--device cpu|cuda] [--threads 1] [--sizes 64,128,224]
                                   [--repeats 15] [--batch 64]

Prints JSON to stdout and a table to stderr. The contenders take turns, so that a busy moment hits them all;
ratios are medians of the ratios within a round. On CUDA the full policy is also compared with the memory
bandwidth and with a training step of Swin-T.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision

from genimage_core.augment import FrequencyPolicy
from tests.benchmarks import augment_cuda
from tests.benchmarks.augment_contenders import OVER_NUMPY, OVER_TORCHVISION, contenders, policies
from tests.benchmarks.taking_turns import Times, clock_for, ratio, rounded, take_turns

FLOORS = ("bare_transform", "bare_in_blocks")
GOAL_SIZE = "224"


def measure(size: int, batch: int, device: torch.device, repeats: int) -> dict[str, Any]:
    """Times by contender, and the ratios, for images of `size` x `size` pixels."""
    times = take_turns(contenders(size, batch, device), clock_for(device), repeats)
    table = {
        name: row.summary() | {f"over_{floor}": ratio(row, times[floor]) for floor in FLOORS}
        for name, row in times.items()
    }
    return {
        "contenders": table,
        "over_numpy": ratios(times, OVER_NUMPY),
        "over_torchvision": ratios(times, OVER_TORCHVISION),
    }


def ratios(times: Mapping[str, Times], pairs: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Ours over theirs."""
    return {
        f"{one}/{other}": ratio(times[one], times[other]) for one, others in pairs.items() for other in others
    }


def reached(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """What the full policy is to reach on one core, and whether it does; empty if it was not measured."""
    if GOAL_SIZE not in sizes:
        return {}
    row = sizes[GOAL_SIZE]["contenders"]["full_policy"]
    faster = {name: 1 / value for name, value in sizes[GOAL_SIZE]["over_numpy"].items()}
    return {
        "full_policy_ms_per_image": at_most(row["median_ms"], 3.0),
        "full_policy_over_bare_transform": at_most(row["over_bare_transform"], 2.0),
        "full_policy_over_bare_in_blocks": at_most(row["over_bare_in_blocks"], 2.0),
        "times_faster_than_numpy_fact": at_least(faster["full_policy/numpy_fact"], 12.0),
        "times_faster_than_numpy_fact_float32": at_least(faster["full_policy/numpy_fact_float32"], 12.0),
    }


def at_most(value: float, limit: float) -> dict[str, Any]:
    return {"value": rounded(value), "at_most": limit, "reached": value <= limit}


def at_least(value: float, limit: float) -> dict[str, Any]:
    return {"value": rounded(value), "at_least": limit, "reached": value >= limit}


def reached_on_cuda(result: Mapping[str, Any]) -> dict[str, Any]:
    """Like `reached`; what could not be measured is left out."""
    goals = {}
    for batch, row in result["bandwidth"].items():
        if "floor_over_time" in row:
            goals[f"share_of_bandwidth_floor_batch_{batch}"] = at_least(row["floor_over_time"]["apply"], 0.5)
    if "policy_over_step" in result["training_step"]:
        goals["share_of_training_step"] = at_most(result["training_step"]["policy_over_step"], 0.03)
    return goals


def print_size(size: int, result: Mapping[str, Any]) -> None:
    for name, row in result["contenders"].items():
        cells = " ".join(f"{value:8.3f}" for value in row.values())
        print(f"{size:>5} {name:<26} {cells}", file=sys.stderr)
    for group in ("over_numpy", "over_torchvision"):
        for pair, value in result[group].items():
            print(f"{size:>5} {pair:<44} {value:8.4f}", file=sys.stderr)


def print_goals(goals: Mapping[str, Mapping[str, Any]]) -> None:
    for name, goal in goals.items():
        (bound, limit), verdict = list(goal.items())[1], "reached" if goal["reached"] else "missed"
        text = f"{goal['value']:.4g}, {bound.replace('_', ' ')} {limit:g}: {verdict}"
        print(f"      {name:<44} {text}", file=sys.stderr)


def describe(device: torch.device) -> dict[str, object]:
    on_gpu = device.type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "system": platform.platform(),
        "device": torch.cuda.get_device_name(device) if on_gpu else cpu_name(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "threads": torch.get_num_threads(),
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def changed_fields(policy: FrequencyPolicy) -> dict[str, Any]:
    defaults = FrequencyPolicy().to_dict()
    return {name: value for name, value in policy.to_dict().items() if value != defaults[name]}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--threads", default=1, type=int)
    parser.add_argument("--sizes", default="64,128,224", type=whole_numbers)
    parser.add_argument("--batch", default=64, type=int)
    parser.add_argument("--repeats", default=15, type=int)
    arguments = parser.parse_args()
    if arguments.repeats < 2 or arguments.batch < 4:
        parser.error("--repeats must be at least 2, and --batch at least 4")
    return arguments


def whole_numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure all sizes, and print each when it is done."""
    started = time.perf_counter()
    columns = " ".join(f"{name:>8}" for name in ("median", "q1", "q3", "cpu", "/bare", "/blocks"))
    print(f" size {'contender':<26} {columns}   (ms per image; ratios)", file=sys.stderr)
    sizes = {}
    for size in arguments.sizes:
        sizes[str(size)] = measure(size, arguments.batch, arguments.device, arguments.repeats)
        print_size(size, sizes[str(size)])
    record: dict[str, Any] = {"sizes": sizes}
    if arguments.device.type == "cuda":
        record["cuda"] = augment_cuda.measure(arguments.batch, arguments.device, arguments.repeats)
        print(json.dumps(record["cuda"], indent=2), file=sys.stderr)
        record["reached"] = reached_on_cuda(record["cuda"])
    else:
        record["reached"] = reached(sizes) if arguments.threads == 1 else {}
    print_goals(record["reached"])
    return record | {"seconds": round(time.perf_counter() - started, 1)}


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    record = {
        "benchmark": "augment",
        "command": " ".join(["python -m tests.benchmarks.augment", *sys.argv[1:]]),
        "machine": describe(arguments.device),
        "policies": {name: changed_fields(policy) for name, policy in policies().items()},
        "batch": arguments.batch,
        "repeats": arguments.repeats,
        "unit": "ms per image",
    }
    text = json.dumps(record | run(arguments), indent=2)
    print(text)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
