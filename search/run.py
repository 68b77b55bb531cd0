"""Search for the training that generalises: `python search/run.py --space spaces/fft.yaml`."""

import argparse
import os
import re
import signal
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from search.checks import Checked, Step, check, plan_for
from search.cluster import ray_session
from search.cluster_checks import check_cluster
from search.dry_run import print_plan
from search.errors import disk_is_full, keep_traceback, one_line
from search.inputs import choose_root
from search.resume import read_resumed
from search.session import conclude, execute
from search.space import MINI, Space, load_space
from search.storage import SCHEME, Mirror, fetch, kept_up
from search.warm_start import TakenOver, read_taken_over, take_over

DESCRIPTION = """\
Search frequency augmentation and freeze depth for detectors of generated images that hold up on generators
they were not trained on. Trains one detector per fold and trial, evaluates it on every search generator,
stops poor trials early, and writes a report into the run directory.
"""
EPILOGUE = """\
Without --data, data.root in the space file or GENIMAGE_ROOT, the embedded, SIMULATED data set is used; it is
made on first use. Watch a run with: tensorboard --logdir RUN_DIR/tensorboard
Ctrl-C ends a search early: it reports on what there is, and --resume goes on with it.
Exit codes: 0 done, 1 the work failed, 2 the call or the space file is wrong, 130 interrupted.
"""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line; a wrong one ends with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="search/run.py",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--space", type=Path, metavar="FILE", help="space file (YAML)")
    parser.add_argument("--data", type=Path, metavar="ROOT", help="folder with GenImage as released, or mini")
    parser.add_argument("--out", type=Path, metavar="DIR", help="new run directory (default: runs/NAME-TIME)")
    parser.add_argument("--trials", type=int, metavar="N", help="number of trials, the baseline included")
    parser.add_argument(
        "--time-budget",
        type=duration,
        metavar="T",
        help="search this long, then start no epoch: 90s, 30m, 8h; finalists come on top",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the whole search")
    parser.add_argument(
        "--resume",
        type=local_or_mirror,
        metavar="RUN_DIR",
        help="go on with a run that was cut off, or with its mirror (s3://BUCKET/PREFIX), fetched to --out; "
        "with a larger --trials, with one that has ended",
    )
    parser.add_argument(
        "--warm-start",
        type=Path,
        metavar="RUN_DIR",
        help="try the best configurations of that run first, as far as the space allows them",
    )
    parser.add_argument(
        "--no-finalists",
        action="store_true",
        help="end with the search: train nothing anew, leave sealed generators sealed",
    )
    parser.add_argument(
        "--finalists-only",
        type=Path,
        metavar="RUN_DIR",
        help="of a search that has ended, train the best configurations anew and open the seal",
    )
    parser.add_argument(
        "--mirror",
        metavar="URI",
        help="keep a copy of the run directory on S3-compatible storage: s3://BUCKET/PREFIX",
    )
    parser.add_argument("--address", metavar="A", help="join a Ray cluster: auto or HOST:PORT")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would be done and how long it takes; train nothing"
    )
    arguments = parser.parse_args(argv)
    _require_sense(parser, arguments)
    return arguments


def _require_sense(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse what cannot be asked for together."""
    if arguments.resume is None and arguments.finalists_only is None:
        if arguments.space is None:
            parser.error("--space FILE says what to search, or --resume RUN_DIR what to go on with")
        return
    if arguments.finalists_only is not None and (arguments.resume is not None or arguments.no_finalists):
        parser.error("--finalists-only goes with neither --resume nor --no-finalists")
    going_on = "--resume" if arguments.finalists_only is None else "--finalists-only"
    refused = ("out", "seed", "warm_start", *(() if arguments.resume else ("trials", "time_budget")))
    for name in refused:
        if name == "out" and isinstance(arguments.resume, str):
            continue  # where a mirror is fetched to
        if getattr(arguments, name) is not None:
            parser.error(f"--{name.replace('_', '-')} does not go with {going_on}")


def local_or_mirror(text: str) -> Path | str:
    """Read a run directory, or the address of a mirror."""
    return text if text.startswith(SCHEME) else Path(text)


def bring_here(arguments: argparse.Namespace) -> None:
    """Fetch the run to go on with if it is named by its mirror, which is then kept up.

    Raises:
        ValueError: If that cannot be done.
    """
    uri = arguments.resume
    if isinstance(uri, str):
        arguments.resume = arguments.out or Path("runs") / Path(uri).name
        fetch(uri, arguments.resume)
        arguments.mirror = arguments.mirror or uri


def duration(text: str) -> float:
    """Read `90s`, `30m`, `1.5h` or `2d` as seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it like 90s, 30m, 8h or 2d")
    return float(match[1]) * UNITS[match[2]]


def read_space(arguments: argparse.Namespace) -> Space:
    """Load the space file under the values of the command line and the environment."""
    root = choose_root(arguments.space, arguments.data)
    return load_space(arguments.space, _overrides(arguments, root))


def _overrides(arguments: argparse.Namespace, root: str | None) -> dict[str, dict[str, Any]]:
    return {"data": {"root": root}, "search": {"trials": arguments.trials, "seed": arguments.seed}}


def check_new(arguments: argparse.Namespace) -> Checked:
    """Check a run that begins.

    Raises:
        ValueError: On the first thing that is impossible.
    """
    space = read_space(arguments)
    before = arguments.warm_start
    taken = take_over(before, space) if before else TakenOver()
    run_dir = new_run_dir(arguments.out, space)
    return check(space, run_dir, arguments.address, steps=_steps(arguments), taken=taken)


def _steps(arguments: argparse.Namespace) -> tuple[Step, ...]:
    if arguments.finalists_only:
        return ("finalists",)
    return ("search",) if arguments.no_finalists else get_args(Step)


def check_resumed(arguments: argparse.Namespace, console: Console) -> Checked:
    """Check a run that goes on.

    Raises:
        ValueError: On the first thing that is impossible.
    """
    run_dir = (arguments.resume or arguments.finalists_only).absolute()
    root = str(arguments.data.absolute()) if arguments.data and str(arguments.data) != MINI else None
    space, changed = read_resumed(run_dir, arguments.space, _overrides(arguments, root))
    for line in changed:
        console.print(f"changed: {line}", markup=False)
    taken, steps = read_taken_over(run_dir), _steps(arguments)
    return check(space, run_dir, arguments.address, steps=steps, resumed=True, taken=taken)


def tell_opened(checked: Checked, console: Console) -> None:
    """Say which of the sealed generators are so in name only."""
    opened = [name for name in checked.protocol.sealed if name in checked.taken.opened]
    if opened:
        console.print(
            f"no longer sealed: {', '.join(opened)}: the run that this one takes its first configurations "
            "from knew them, so what they say of these is no test of something never seen"
        )


def new_run_dir(given: Path | None, space: Space) -> Path:
    """Name the run directory.

    Raises:
        ValueError: If it exists or cannot be made.
    """
    run_dir = (given or Path("runs") / f"{space.name}-{datetime.now():%Y%m%d-%H%M%S}").absolute()
    if run_dir.exists():
        raise ValueError(f"run directory {run_dir} exists; name a new one with --out")
    above = next(folder for folder in run_dir.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        reason = "is not writable" if above.is_dir() else "is not a folder"
        raise ValueError(f"cannot make run directory {run_dir}: {above} {reason}; name another with --out")
    return run_dir


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit code."""
    started = time.time()
    arguments = parse_arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being told to end is like Ctrl-C
    try:
        return _run(arguments, started)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, started: float) -> int:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        bring_here(arguments)
        goes_on = arguments.resume or arguments.finalists_only
        checked = check_resumed(arguments, console) if goes_on else check_new(arguments)
        tell_opened(checked, console)
        mirror = Mirror(arguments.mirror, checked.run_dir) if arguments.mirror else None
    except (ValueError, OSError) as error:
        return _refuse(error)
    with ExitStack() as stack:
        try:
            nodes = stack.enter_context(ray_session(checked.address, checked.run_dir))
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray has set its own
            if checked.address:
                check_cluster(checked)
            plan = plan_for(checked, nodes)
        except (ValueError, ConnectionError) as error:
            return _refuse(error)
        except Exception as error:
            return _give_up(error, checked)
        try:
            if arguments.dry_run:
                print_plan(checked, plan, console)
                return 0
            budget = arguments.time_budget
            with kept_up(mirror, console.print) as behind:
                searched = execute(checked, plan, nodes, console, started=started, time_budget=budget)
                stack.close()  # the report needs no Ray
                code = conclude(checked, searched, console)
            return _tell_behind(behind, mirror, checked.run_dir) or code
        except Exception as error:
            return _give_up(error, checked)


def _tell_behind(behind: list[str], mirror: Mirror | None, run_dir: Path) -> int:
    """Say that a mirror lacks something of the run; the exit code."""
    if not behind or mirror is None:
        return 0
    again = f"bring it up to date by --resume {run_dir} --mirror {mirror.uri}"
    print(f"error: the mirror {mirror.uri} is behind: {behind[0]}; {again}", file=sys.stderr)
    return 1


def _refuse(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


def _give_up(error: Exception, checked: Checked) -> int:
    log = keep_traceback(error, checked.run_dir)
    print(f"error: {one_line(error)} (details: {log})", file=sys.stderr)
    if disk_is_full(str(error)):
        print(f"make room on the disk, then go on with --resume {checked.run_dir}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
