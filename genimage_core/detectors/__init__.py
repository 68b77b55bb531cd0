"""Networks that give one logit per image, and their weights on disk."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genimage_core.detectors.detector import Detector, build_detector, load_detector

__all__ = ["Detector", "build_detector", "load_detector"]


def __getattr__(name: str) -> Any:
    """Import torch only for those who build a detector, not for those who read what there is."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from genimage_core.detectors import detector

    return getattr(detector, name)
