"""What depends on the device: the precision, and what is done when its memory does not suffice."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

T = TypeVar("T")
SAID = 3  # sentences of torch's own that name the sizes; advice to programmers follows them


def autocast(device: torch.device) -> torch.autocast:
    """Bfloat16 where the device is fast at it, float32 on a CPU."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def halve_until_it_fits(work: Callable[[int], T], size: int, *, divisible: bool = True) -> tuple[T, int]:
    """Do `work(size)`, anew with half the size whenever the device runs out of memory.

    Args:
        work: Takes images at a time; must not build on what a try that failed has left.
        size: At first.
        divisible: Whether a smaller size may be tried.

    Returns:
        What `work` returned, and the size with which it did.

    Raises:
        torch.OutOfMemoryError: If `size`, or one image where it is divisible, does not fit.
    """
    while True:
        try:
            return work(size), size
        except torch.OutOfMemoryError:
            if size == 1 or not divisible:
                raise
        # Only here, where the error and its traceback are gone, is what the failed try held free.
        torch.cuda.empty_cache()
        size = (size + 1) // 2


@contextmanager
def out_of_memory_means(advice: str) -> Iterator[None]:
    """Put `advice` before torch's words when the device runs out of memory.

    Raises:
        torch.OutOfMemoryError: With a text for people, on one line.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        said = ". ".join(" ".join(str(error).split()).split(". ")[:SAID])
        raise torch.OutOfMemoryError(f"{advice} ({said})") from error
