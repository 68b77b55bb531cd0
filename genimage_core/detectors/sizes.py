"""Widths, depths and windows of the Swins; checked without torch.

Source: Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021.
"""

from dataclasses import dataclass

WINDOWS = range(4, 13)
STAGES = 4
PATCH = 4


@dataclass(frozen=True)
class SwinSize:
    """Widths and depths of one Swin, stage by stage."""

    embed_dim: int
    depths: tuple[int, int, int, int]
    num_heads: tuple[int, int, int, int]


SWINS: dict[str, SwinSize] = {
    # The paper's detector: 27.5 million parameters.
    "swin_t": SwinSize(96, (2, 2, 6, 2), (3, 6, 12, 24)),
    # The same code, a third as wide and less deep (2.3 million): for laptops and the embedded data set.
    "swin_nano": SwinSize(32, (2, 2, 2, 2), (1, 2, 4, 8)),
}


def window_for(image_size: int) -> int:
    """Return the window side, in patches, that tiles every stage's grid without padding, nearest to 7.

    Raises:
        ValueError: If no window of 4 to 12 patches does; the message names sizes that work.
    """
    windows = _windows(image_size)
    if not windows:
        sizes = [s for s in range(max(32, image_size - 96), image_size + 97) if _windows(s)]
        raise ValueError(
            f"image_size must be one that Swin's windows tile, got {image_size}; "
            f"near it: {', '.join(map(str, sizes))}"
        )
    return min(windows, key=lambda window: abs(window - 7))


def _windows(image_size: int) -> list[int]:
    if image_size < PATCH * 2 ** (STAGES - 1) or image_size % (PATCH * 2 ** (STAGES - 1)):
        return []
    grids = [image_size // PATCH // 2**stage for stage in range(STAGES)]
    return [w for w in WINDOWS if all(grid <= w or grid % w == 0 for grid in grids)]
