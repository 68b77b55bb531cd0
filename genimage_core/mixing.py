"""PURE: who lends an amplitude to whom, and what that makes of it.

The amplitude of a spectrum carries much of the style of an image, and the traces of a generator; the phase
carries the layout (Yang & Soatto, FDA, CVPR 2020; Xu et al., FACT, CVPR 2021; Chen et al., APR, ICCV 2021).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

EMPTY = 1e-5  # standard deviation of white noise; rounding pixels to 8 bits makes one of 1e-3


def partners(order: Tensor, labels: Tensor) -> Tensor:
    """Row of every image's partner: the next one of its class, in a cycle.

    Args:
        order: (n,), random numbers; sorted, they are the sequence.
        labels: integers (n,), the class of every image.

    Returns:
        int64 (n,). Only an image alone in its class is its own partner.
    """
    labels, shuffled = labels.cpu(), order.argsort(stable=True)
    partner = torch.empty_like(shuffled)
    for label in set(labels.tolist()):
        cycle = shuffled[labels[shuffled] == label]
        partner[cycle] = cycle.roll(-1)
    return partner


def amplitude_ratio(own: Tensor, other: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """Mixed amplitude over own amplitude: (1 - w) + w other / own.

    A bin that holds no more than the rounding of float32 has no phase to go with an amplitude; it is left
    alone.

    Args:
        own: float32 (B, C, H, W // 2 + 1); written over.
        other: Of the partners, likewise.
        weight: w, broadcast to them.
        size: (H, W) in pixels.
    """
    empty = EMPTY * (size[0] * size[1]) ** 0.5
    difference = other.sub_(own)
    return difference.div_(functional.threshold(own, empty, math.inf, inplace=True)).mul_(weight).add_(1)
