"""What a figure was measured on, without importing torch."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe_machine() -> dict[str, object]:
    """Name the machine and the packages that speed depends on; the load tells whether it was busy."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "system": platform.platform(),
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "load_average_before": round(os.getloadavg()[2], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in ("ray", "torch", "optuna", "numpy")},
    }
