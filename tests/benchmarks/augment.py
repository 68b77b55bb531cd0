"""Cost of the full frequency augmentation beside the bare transform and the literature's NumPy style.

python -m tests.benchmarks.augment [--out FILE] [--device cpu] [--threads 1]

Prints JSON to stdout and a table to stderr. The contenders take turns, so that a busy moment hits them all.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genimage_core.augment import FrequencyPolicy, apply, block_size, sample

POLICY = FrequencyPolicy(
    mask_kind="low_pass",
    mask_radius=0.2,
    noise_scale=0.3,
    phase_perturb_prob=0.5,
    blend_alpha=0.7,
)
SIZES = (64, 128, 224)
NUMPY_IMAGES = 4


def bare(images: Tensor) -> Tensor:
    return torch.fft.irfft2(torch.fft.rfft2(images), s=images.shape[-2:])


def full_policy(images: Tensor, generator: torch.Generator) -> Tensor:
    return apply(images, sample(POLICY, len(images), generator))


def numpy_round_trip(images: np.ndarray) -> list[np.ndarray]:
    """Amplitude and phase of the full complex spectrum and back, image by image, as FACT and APR do."""
    results = []
    for image in images:
        bins = np.fft.fft2(image, axes=(0, 1))
        amplitude, phase = np.abs(bins), np.angle(bins)
        back = np.fft.ifft2(amplitude * np.exp(1j * phase), axes=(0, 1))
        results.append(np.clip(np.real(back), 0, 1))
    return results


def contenders(size: int, batch: int, device: torch.device) -> dict[str, tuple[Callable[[], object], int]]:
    """What is timed, and how many images each call handles."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch, 3, size, size, generator=generator)
    pixels = images[:NUMPY_IMAGES].permute(0, 2, 3, 1).contiguous().numpy()
    images = images.to(device)
    return {
        "full_policy": (lambda: full_policy(images, generator), batch),
        "bare_transform": (lambda: bare(images), batch),
        "bare_in_blocks": (lambda: [bare(block) for block in images.split(block_size(images))], batch),
        "copy": (lambda: images.clone(), batch),
        "numpy_round_trip": (lambda: numpy_round_trip(pixels), NUMPY_IMAGES),
    }


def measure(size: int, batch: int, device: torch.device, repeats: int) -> dict[str, object]:
    """Milliseconds per image over the repeats, after two warm-up rounds, and the ratio within a round."""
    calls = contenders(size, batch, device)
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 2):
        for name, (call, count) in calls.items():
            seconds, cpu_seconds = timed(call, device)
            if turn >= 2:
                wall[name].append(seconds * 1e3 / count)
                cpu[name].append(cpu_seconds * 1e3 / count)
    summary: dict[str, object] = {name: summarise(wall[name], cpu[name]) for name in calls}
    for other in ("bare_transform", "bare_in_blocks"):
        ratios = [one / two for one, two in zip(wall["full_policy"], wall[other], strict=True)]
        summary[f"full_policy_over_{other}"] = round(statistics.median(ratios), 3)
    return summary


def summarise(wall: list[float], cpu: list[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(wall, n=4)
    values = {"median_ms": median, "q1_ms": low, "q3_ms": high, "cpu_median_ms": statistics.median(cpu)}
    return {name: round(value, 4) for name, value in values.items()}


def timed(call: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds by the clock and of this process; they differ where others use the cores."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    started, cpu_started = time.perf_counter(), time.process_time()
    call()
    wait()
    return time.perf_counter() - started, time.process_time() - cpu_started


def print_table(size: int, summary: dict[str, object]) -> None:
    for name, row in summary.items():
        cells = " ".join(f"{value:8.3f}" for value in row.values()) if isinstance(row, dict) else f"{row:.2f}"
        print(f"{size:>5} {name:<31} {cells}", file=sys.stderr)


def describe(device: torch.device) -> dict[str, object]:
    on_gpu = device.type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": platform.platform(),
        "device": torch.cuda.get_device_name(device) if on_gpu else cpu_name(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "threads": torch.get_num_threads(),
    }


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--threads", default=1, type=int)
    parser.add_argument("--batch", default=64, type=int)
    parser.add_argument("--repeats", default=15, type=int)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    record = {
        "benchmark": "augment",
        "command": " ".join(["python -m tests.benchmarks.augment", *sys.argv[1:]]),
        "machine": describe(arguments.device),
        "policy": POLICY.to_dict(),
        "batch": arguments.batch,
        "repeats": arguments.repeats,
        "unit": "ms per image",
        "sizes": {},
    }
    print(
        " size contender                         median       q1       q3      cpu  ms per image",
        file=sys.stderr,
    )
    for size in SIZES:
        summary = measure(size, arguments.batch, arguments.device, arguments.repeats)
        record["sizes"][str(size)] = summary
        print_table(size, summary)
    text = json.dumps(record, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
