"""`python -m genimage_core analyse …`: what data, matrices and detectors tell; one file per analysis."""

import argparse

from genimage_core.commands.analyse import classes, content, generators, images, spectra

ACTIONS = {
    "spectra": (spectra, "mean spectra of reals and fakes, and how far apart they are"),
    "generators": (generators, "which generators are related, by a matrix"),
    "images": (images, "accuracy by the number of training images"),
    "classes": (classes, "accuracy on image classes that were not trained on"),
    "content": (content, "accuracy of a kept detector on another domain"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their arguments."""
    actions = parser.add_subparsers(dest="action", required=True)
    for name, (module, text) in ACTIONS.items():
        module.add_arguments(actions.add_parser(name, help=text))
