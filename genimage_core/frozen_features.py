"""What frozen parts make of images that do not change: computed once for detectors that share these parts."""

import torch
from torch import Tensor

from genimage_core.data.batches import ImageSet
from genimage_core.detectors.detector import Detector, Features
from genimage_core.training import read_batch

ROOM_BYTES = 512 * 2**20


class FrozenFeatures:
    """Features of validation images, kept as long as the same frozen parts are asked for.

    The detectors of a trial start from one base, so their frozen parts are the same, in every epoch; those of
    the next trial are where it freezes as much. That is looked up in the weights themselves, bit by bit. Only
    for a CPU: another device computes features about as fast as it would fetch them.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        """Begin with nothing.

        Args:
            room_bytes: Features beyond this are computed each time.
        """
        self._room = room_bytes
        self._weights: dict[str, Tensor] = {}
        self._kept: dict[tuple[str, int, int], Features] = {}

    def suit(self, detector: Detector) -> bool:
        """Make ready for a detector, and say whether anything can be kept of it.

        To be called before `of`, as often as weights may have changed; what was kept of other parts is let
        go.
        """
        depth, device = detector.freeze_depth, next(detector.parameters()).device
        if not depth or device.type != "cpu":
            return False
        weights = detector.parts[:depth].state_dict()
        if not _equal(weights, self._weights):
            self._weights = {name: tensor.clone() for name, tensor in weights.items()}
            self._kept = {}
        return True

    def of(self, detector: Detector, data: ImageSet, chosen: Tensor) -> Features:
        """Return what the frozen parts make of consecutive images, given by their indices."""
        key = (data.fingerprint, int(chosen[0]), len(chosen))
        if key in self._kept:
            return self._kept[key]
        features = detector.frozen_features(read_batch(data, chosen, torch.device("cpu")))
        if self.nbytes + _nbytes(features) <= self._room:
            self._kept[key] = features
        return features

    @property
    def nbytes(self) -> int:
        """Memory that is taken by what is kept."""
        return sum(map(_nbytes, self._kept.values()))


def _equal(some: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


def _nbytes(features: Features) -> int:
    return sum(maps.nbytes for maps in ((features,) if isinstance(features, Tensor) else features))
