"""`python -m reports RUN_DIR`: rebuild the report of a run from its records."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from reports.render import write_report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reports",
        description=(
            "Rebuild the report of a run from its records alone: RUN_DIR/report/index.html (opens offline), "
            "report.md and report.json. Works on a finished run, on one that is still going on, and on one "
            "where nothing completed. Nothing is trained or scored."
        ),
        epilog="Exit codes: 0 done, 1 a record cannot be understood, 2 the call is wrong.",
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", type=Path, help="directory that the search wrote")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    run_dir: Path = _parser().parse_args(argv).run_dir
    if not (run_dir / "environment.json").is_file():
        why = "it has no environment.json" if run_dir.is_dir() else "there is no such directory"
        print(f"error: {run_dir} is not a run directory: {why}", file=sys.stderr)
        return 2
    try:
        index = write_report(run_dir)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(index)
    return 0


if __name__ == "__main__":
    sys.exit(main())
