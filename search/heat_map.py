"""A cross-generator matrix as a small picture for TensorBoard, drawn quickly: one comes with every epoch."""

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

CELL, TEXT = 46, 12  # pixels
CHANCE = 0.5
PAPER, INK = (252, 252, 251), (28, 33, 40)
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Matrix = Mapping[str, Mapping[str, Mapping[str, float]]]


def draw_heat_map(matrix: Matrix) -> NDArray[np.uint8]:
    """Draw accuracies: a row by what a detector was trained on, a column by generator; dark is chance.

    Args:
        matrix: Fold, then generator, to scores with an `accuracy`; rows may lack generators.

    Returns:
        uint8 (H, W, 3).
    """
    columns = list(dict.fromkeys(name for row in matrix.values() for name in row))
    font = ImageFont.load_default(TEXT)
    left, top = (8 + int(max(map(font.getlength, names), default=0)) for names in (matrix, columns))
    size = (left + CELL * len(columns), top + CELL * len(matrix))
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    for line, (fold, row) in enumerate(matrix.items()):
        draw.text((left - 4, top + (line + 0.5) * CELL), fold, INK, font, anchor="rm")
        for place, name in enumerate(columns):
            if name in row:
                _draw_cell(draw, left + place * CELL, top + line * CELL, row[name]["accuracy"], font)
    for place, name in enumerate(columns):
        _write_upwards(picture, (left + place * CELL, top), name, font)
    return np.asarray(picture)


def _draw_cell(draw: ImageDraw.ImageDraw, x: int, y: int, accuracy: float, font: Font) -> None:
    red, green, blue, _ = colormaps["cividis"]((accuracy - CHANCE) / (1 - CHANCE), bytes=True)
    draw.rectangle((x + 1, y + 1, x + CELL - 2, y + CELL - 2), fill=(int(red), int(green), int(blue)))
    ink = (0, 0, 0) if accuracy > 0.75 else (255, 255, 255)
    draw.text((x + CELL / 2, y + CELL / 2), f"{accuracy:.2f}", ink, font, anchor="mm")


def _write_upwards(picture: Image.Image, corner: tuple[int, int], name: str, font: Font) -> None:
    line = Image.new("RGB", (corner[1] - 4, CELL), PAPER)
    ImageDraw.Draw(line).text((0, CELL / 2), name, INK, font, anchor="lm")
    picture.paste(line.rotate(90, expand=True), (corner[0], 0))
