"""`python -m reports RUN_DIR`: rebuild the report of a run from its records; of several, compare them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.compared_runs import check_folder, check_folders
from reports.comparison_page import check_out, write_comparison
from reports.interactive import check_plotly, write_interactive
from reports.render import write_report

OUT = Path("comparison")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description=(
            "Rebuild the report of a run from its records alone: RUN_DIR/report/index.html (opens offline), "
            "report.md and report.json. Of several runs, compare them: OUT/index.html, comparison.md and "
            "comparison.json. Works on finished runs, on those still going on, and where nothing completed. "
            "Nothing is trained or scored."
        ),
        epilog="Exit codes: 0 done, 1 a record cannot be understood, 2 the call is wrong.",
    )
    parser.add_argument(
        "runs", metavar="RUN_DIR", type=Path, nargs="+", help="directory that the search wrote"
    )
    parser.add_argument(
        "--out", type=Path, help=f"of several runs: folder for their comparison (default: {OUT})"
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="of one run: also RUN_DIR/report/interactive.html, Optuna's figures (the extra `interactive`)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    arguments = _parser().parse_args(argv)
    try:
        _check(arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        written = _write(arguments)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(*written, sep="\n")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse a wrong call before anything is read.

    Raises:
        ValueError: Says what is wrong.
    """
    runs: Sequence[Path] = arguments.runs
    if len(runs) > 1:
        if arguments.interactive:
            raise ValueError("--interactive is for one run; a comparison of several has no such figures")
        check_folders(runs)
        check_out(arguments.out or OUT)
        return
    check_folder(runs[0])
    if arguments.out is not None:
        raise ValueError("--out is for the comparison of several runs; the report of one lies in its folder")
    if arguments.interactive:
        check_plotly()


def _write(arguments: argparse.Namespace) -> list[Path]:
    """Write what was asked for and say where it is."""
    runs: Sequence[Path] = arguments.runs
    if len(runs) > 1:
        return [write_comparison(runs, arguments.out or OUT)]
    figures = [write_interactive(runs[0])] if arguments.interactive else []
    return [write_report(runs[0]), *figures]  # the report links the figures, if they are there


if __name__ == "__main__":
    sys.exit(main())
