"""All benchmarks, one after the other.

python -m tests.benchmarks [--out reports/benchmarks] [--only step,overhead]

Each runs in a process of its own, says what it measures in its own words (`python -m tests.benchmarks.NAME
--help`), prints a table or its JSON, and writes `NAME.json`. All together take hours on two cores; nothing
else should run beside them.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

# By the name of the JSON file: the module, and what is not its default.
BENCHMARKS: Mapping[str, tuple[str, Sequence[str]]] = {
    "overhead": ("overhead", ()),
    "goodput": ("goodput", ()),
    "goodput_one_epoch": ("goodput", ("--epochs", "1")),
    "waiting": ("waiting", ()),
    "cost": ("cost", ()),
    "time_to_good": ("time_to_good", ()),
    "step": ("step", ()),
    "augment": ("augment", ()),
    "data": ("data", ()),
    "driver": ("driver", ()),
    "index_memory": ("index_memory", ()),
    "null_claims": ("null_claims", ()),
}


def main() -> int:
    """Run what is asked for; the number of benchmarks that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"), metavar="DIR")
    parser.add_argument("--only", metavar="A,B", help=f"of {', '.join(BENCHMARKS)}")
    arguments = parser.parse_args()
    names = arguments.only.split(",") if arguments.only else list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"--only: no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    ended = {name: run(name, arguments.out / f"{name}.json") for name in names}
    Console().print(tabulate(ended))
    return sum(code != 0 for code, _ in ended.values())


def run(name: str, out: Path) -> tuple[int, float]:
    """Run one; its exit code and the minutes it took."""
    module, options = BENCHMARKS[name]
    print(f"== {name}", flush=True)
    started = time.monotonic()
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *options, "--out", str(out)]
    code = subprocess.run(command, check=False).returncode
    return code, (time.monotonic() - started) / 60


def tabulate(ended: Mapping[str, tuple[int, float]]) -> Table:
    """Say what became of each."""
    table = Table("benchmark", "minutes", "ended")
    for name, (code, minutes) in ended.items():
        table.add_row(name, f"{minutes:.1f}", "well" if code == 0 else f"with exit code {code}")
    return table


if __name__ == "__main__":
    sys.exit(main())
