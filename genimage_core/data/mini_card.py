"""The data card of the embedded data set: what it is made of, and what was measured on it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genimage_core.data.decoders import DECODERS, Decoder
from genimage_core.data.photographs import PHOTOGRAPHS
from genimage_core.generators import GENIMAGE

MATRIX_FILE = Path(__file__).with_name("mini_matrix.json")
CARD = "CARD.md"
_ABOVE = 2  # folders between the root and that of one split: a generator alone may be asked for


def render_card(settings: Mapping[str, int], jpeg_quality: tuple[int, int]) -> str:
    """Return the data card in Markdown, for a data set of these settings and JPEG qualities."""
    stated = ", ".join(f"{name} {value}" for name, value in settings.items())
    return _CARD.format(
        settings=stated,
        low=jpeg_quality[0],
        high=jpeg_quality[1],
        decoders=_table(_DECODER_HEADER, [_decoder_row(*item) for item in DECODERS.items()]),
        photographs=_table(
            ("photograph", "package", "split", "licence and author"),
            [(p.name, p.package, p.split, p.terms) for p in PHOTOGRAPHS],
        ),
        measured=render_measurements(json.loads(MATRIX_FILE.read_text(encoding="utf-8"))),
    )


def is_simulated(root: Path) -> bool:
    """Whether `root` is the embedded data set or a generator's folder in it: its card says so."""
    above = root.resolve()
    cards = [folder / CARD for folder in (above, *above.parents[:_ABOVE])]
    said = (card.read_text(encoding="utf-8", errors="replace") for card in cards if card.is_file())
    return any("simulated" in text.lower() for text in said)


def render_measurements(record: Mapping[str, Any]) -> str:
    """Return the measured cross-generator matrix and the shortcut check as Markdown.

    Args:
        record: Content of `mini_matrix.json`.
    """
    marks = {name: " (hard)" for name in record["hard"]}
    columns = record["columns"]
    rows = [
        (f"{name}{marks.get(name, '')}", *(_percent(a, e) for a, e in zip(accuracy, error, strict=True)))
        for name, accuracy, error in zip(
            record["rows"], record["accuracy"], record["standard_error"], strict=True
        )
    ]
    shortcut = [
        (name, f"{100 * s['accuracy']:.1f}", f"{100 * s['low']:.1f} to {100 * s['high']:.1f}")
        for name, s in record["shortcut"].items()
    ]
    return "\n\n".join(
        (
            f"Detector: {record['detector']}. Training: {record['training']}. Seeds: "
            f"{', '.join(map(str, record['seeds']))}. Machine: {record['machine']}. Command: "
            f"`{record['command']}`. Version of the data: {record['version']}.",
            "Accuracy in percent, with its standard error; row: trained on, column: tested on.",
            _table(("", *columns), rows),
            "Accuracy in percent of a classifier that sees only bytes, JPEG quality, format, width and "
            "height (cross-validated by scene), with its 95 % interval:",
            _table(("generator", "accuracy", "interval"), shortcut),
        )
    )


def _percent(accuracy: float, error: float) -> str:
    return f"{100 * accuracy:.1f} ± {100 * error:.1f}"


_DECODER_HEADER = (
    "generator",
    "family",
    "stages (gain / own / shared / up-sampling), fine to coarse",
    "more",
)


def _decoder_row(name: str, decoder: Decoder) -> tuple[str, ...]:
    stages = "; ".join(f"{s.gain} / {s.own} / {s.shared} / {s.upsampling}" for s in decoder.stages)
    more = (
        f"jitter {decoder.jitter}, borrowed {decoder.borrowed}, codebook {decoder.codebook:.3f}, "
        f"tilt {decoder.tilt}, grain {decoder.grain}"
    )
    return name, GENIMAGE.get(name).family, stages, more


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_CARD = """# mini: a SIMULATED data set in GenImage's layout

Settings: {settings}.

**No image here comes from a real generator.** The fakes are simulated, and most scenes are drawn. The
set proves that the machinery works and that a search ranks what it should. It says nothing about the
quality of a detector on real generators: train and judge on GenImage itself for that.

## How an image is made

1. A scene: dead leaves with 1/f texture and uneven light (Lee, Mumford & Huang 2001; Baradad et al.
   2021), or a crop of a photograph. The split is by scene: train and val share neither a scene nor a
   photograph. The number in a file name is the scene's. `nature` and `ai` of one generator and split
   show the same scenes, so content cannot tell them apart; no two generators share a scene.
2. `nature`: a picture of the scene by a camera with a Bayer mosaic, shot and read noise, demosaicing,
   gamma and sharpening (Brooks et al. 2019).
3. `ai`: another picture of the same scene, with its own noise, taken apart into a Laplacian pyramid and
   put together again by the generator's simulated decoder (an aligned reconstruction, as in Rajan et al.
   2025).
4. Both: JPEG, 4:4:4, quality drawn evenly from {low} to {high}, once for both classes of a scene;
   every file filled up with zeros to one length. Neither format nor quality nor bytes tell the classes
   apart.

## The decoders

Every x2 stage modulates the picture with a tile of its four output phases (uneven overlap: Odena et al.
2016), hence with period 2, 4, 8, 16 pixels from the finest stage on. `own` is the strength of the
family's own part of the tile, `shared` that of the part which all decoders have, both as a share of the
intensity. Diffusion models lose high frequencies (Ricker et al. 2022): `tilt`. Stable Diffusion v1.4,
v1.5 and Wukong share their kernels.

{decoders}

## Photographs

{photographs}

## Measured, on the set of default settings

{measured}
"""
