"""`python -m genimage_core {data,augment,train,baseline,evaluate,predict,export,analyse} …`, without Ray."""

import argparse
import sys

from rich.console import Console

from genimage_core.commands import analyse, augment, baseline, data, evaluate, export, predict, train


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit code: 0 done, 1 the work failed, or part of it, 2 the call is wrong, 130 interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m genimage_core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    data.add_arguments(commands.add_parser("data", help="data sets on a disk, and the embedded one"))
    augment.add_arguments(commands.add_parser("augment", help="show what a space file does to an image"))
    train.add_arguments(commands.add_parser("train", help="train one detector"))
    baseline.add_arguments(commands.add_parser("baseline", help="the paper's tables, trained here"))
    evaluate.add_arguments(commands.add_parser("evaluate", help="score detectors on the images of a root"))
    predict.add_arguments(commands.add_parser("predict", help="real or generated, image by image"))
    export.add_arguments(commands.add_parser("export", help="a detector as ONNX, compared with PyTorch"))
    analyse.add_arguments(
        commands.add_parser("analyse", help="spectra of reals and fakes; related generators")
    )
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments, Console(highlight=False, soft_wrap=True, markup=False)) or 0
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # A full disk, a folder that may not be written, a dead worker, a loss that is not finite.
    except (OSError, RuntimeError, ArithmeticError) as error:
        print(f"failed: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
