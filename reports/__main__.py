"""`python -m reports RUN_DIR`: rebuild the report of a run from its records; of several, compare them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.compared_runs import check_folder, check_folders
from reports.comparison_page import check_out, write_comparison
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
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    arguments = _parser().parse_args(argv)
    runs, out = arguments.runs, arguments.out or OUT
    try:
        _check(runs, arguments.out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        print(write_report(runs[0]) if len(runs) == 1 else write_comparison(runs, out))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _check(runs: Sequence[Path], out: Path | None) -> None:
    """Refuse a wrong call before anything is read.

    Raises:
        ValueError: Says what is wrong.
    """
    if len(runs) > 1:
        check_folders(runs)
        check_out(out or OUT)
        return
    check_folder(runs[0])
    if out is not None:
        raise ValueError(
            "--out is for the comparison of several runs; the report of one lies in its directory"
        )


if __name__ == "__main__":
    sys.exit(main())
