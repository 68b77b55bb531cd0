"""What is known of every detector without building it: source, sizes, weights, how its authors train it.

Where a public implementation leaves a choice, GenImage's copy is followed; what differs from it is said in
the file of the detector. The loss is the binary cross-entropy of one logit for all; authors with two logits
(Spec, F3Net's copy, GramNet) have the same loss, of the difference of theirs. Torch-free, so that a space
file can be checked at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from genimage_core.detectors.sizes import window_for
from genimage_core.settings import MAX_FREEZE_DEPTH, require

SMALLEST = 32  # pixels: the side that five halvings bring down to one
LARGEST = 4096  # pixels: beyond, one image alone fills a GPU


@dataclass(frozen=True)
class DetectorSpec:
    """A detector.

    Attributes:
        title: As tables name it.
        source: Paper.
        parts: What freeze_depth 1 to 5 freezes, one more each.
        weights: Where timm takes its ImageNet weights from: a repository on the Hugging Face hub, or an
            address; None if there are none.
        training: Fields of `TrainingSettings` as its authors set them; a space file overrides them. Epochs,
            schedule, clipping and flips are ours, and so is the rate of the transformers: theirs belongs to
            hundreds of epochs from random weights with augmentation that hides the traces.
        policy: Fields of `FrequencyPolicy` that belong to its training, the baseline's included.
        differs: What of its authors' training is not done here, or otherwise.
    """

    title: str
    source: str
    parts: tuple[str, ...]
    weights: str | None = None
    training: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    policy: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    differs: str = ""


_SWIN_PARTS = ("patch embedding", "stage 1", "stage 2", "stage 3", "stage 4")
_RESNET_PARTS = ("stem", "stage 1", "stage 2", "stage 3", "stage 4")
_XCEPTION_PARTS = ("filters and stem", "entry flow", "blocks 4-7", "blocks 8-11", "exit flow")
_XCEPTION = (  # not on the hub; where timm takes it from
    "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-cadene/xception-43020ad28.pth"
)
_F3NET_TRAINING = {"optimizer": "adam", "learning_rate": 2e-4, "weight_decay": 0.0, "dropout": 0.2}
_F3NET_TRAINING |= {"batch_size": 12}
_TRANSFORMER = "no RandAugment, random erasing, mixup or cutmix, no label smoothing: they hide the traces"
_F3NET_DIFFERS = "any size, not 299 px alone; the lowest band has the mean; learnt filters begin at nothing"
_SWIN = "Liu et al., Swin Transformer, ICCV 2021"
_F3NET = "Qian et al., Thinking in Frequency, ECCV 2020"
_GRAMNET_TRAINING = {"optimizer": "adam", "learning_rate": 1e-5, "weight_decay": 1e-4, "dropout": 0.5}
_GRAMNET_TRAINING |= {"batch_size": 14}

DETECTORS: Mapping[str, DetectorSpec] = MappingProxyType(
    {
        "swin_t": DetectorSpec(
            "Swin-T",
            _SWIN,
            _SWIN_PARTS,
            "timm/swin_tiny_patch4_window7_224.ms_in1k",
            {"optimizer": "adamw", "weight_decay": 0.05, "drop_path": 0.2},
            differs=_TRANSFORMER,
        ),
        "swin_nano": DetectorSpec("Swin, a third as wide", _SWIN, _SWIN_PARTS, differs=_TRANSFORMER),
        "deit_s": DetectorSpec(
            "DeiT-S",
            "Touvron et al., Training data-efficient image transformers, ICML 2021",
            ("patch embedding", "blocks 1-3", "blocks 4-6", "blocks 7-9", "blocks 10-12"),
            "timm/deit_small_patch16_224.fb_in1k",
            {"optimizer": "adamw", "weight_decay": 0.05, "drop_path": 0.1},
            differs=_TRANSFORMER,
        ),
        "resnet50": DetectorSpec(
            "ResNet-50",
            "He et al., Deep Residual Learning, CVPR 2016; GenImage's command",
            _RESNET_PARTS,
            "timm/resnet50.tv_in1k",
            {"optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 2e-5},
            differs="no RandAugment, random erasing or split batches with a Jensen-Shannon loss, no label "
            "smoothing; rate 0.01 instead of 0.05, which is for 200 epochs from random weights",
        ),
        "cnnspot": DetectorSpec(
            "CNNSpot",
            "Wang et al., CNN-generated images are surprisingly easy to spot, CVPR 2020",
            _RESNET_PARTS,
            "timm/resnet50.tv_in1k",
            {"optimizer": "adam", "learning_rate": 1e-4, "weight_decay": 0.0},
            {"blur_sigma": 3.0, "blur_prob": 0.5, "jpeg_prob": 0.5, "jpeg_quality": 30},
            differs="images at native scale, not resized to 256; blur and JPEG after the crop, not before",
        ),
        "spec": DetectorSpec(
            "Spec",
            "Zhang et al., Detecting and Simulating Artifacts in GAN Fake Images, WIFS 2019",
            _RESNET_PARTS,
            "timm/resnet34.tv_in1k",
            # The authors' 0.01 with dampening 0.9, which makes every step a tenth as long.
            {"optimizer": "sgd", "learning_rate": 1e-3, "weight_decay": 1e-4, "batch_size": 16},
            differs="images at native scale, not resized to 256; RGB for BGR",
        ),
        "f3net": DetectorSpec(
            "F3Net", _F3NET, _XCEPTION_PARTS, _XCEPTION, _F3NET_TRAINING, differs=_F3NET_DIFFERS
        ),
        "f3net_mix": DetectorSpec(
            "F3Net, MixBlock", _F3NET, _XCEPTION_PARTS, _XCEPTION, _F3NET_TRAINING, differs=_F3NET_DIFFERS
        ),
        "gramnet": DetectorSpec(
            "GramNet",
            "Liu et al., Global Texture Enhancement for Fake Face Detection, CVPR 2020",
            _RESNET_PARTS,
            "timm/resnet18.tv_in1k",
            _GRAMNET_TRAINING,
            differs="images at native scale, normalised, instead of 512 px of BGR from 0 to 255; half of "
            "them, not all, lose resolution",
        ),
    }
)


def find_detector(name: str) -> DetectorSpec:
    """Return the detector called `name`.

    Raises:
        ValueError: If there is none; the message lists those that exist.
    """
    require(name in DETECTORS, "detector.name", name, f"one of {', '.join(DETECTORS)}")
    return DETECTORS[name]


def check_detector(name: str, image_size: int, freeze_depth: int = 0) -> None:
    """Refuse a detector that does not exist, or a size or depth that it does not allow.

    Raises:
        ValueError: With what is allowed.
    """
    find_detector(name)
    require(0 <= freeze_depth <= MAX_FREEZE_DEPTH, "freeze_depth", freeze_depth, "within 0 to 5")
    require(image_size <= LARGEST, "image_size", image_size, f"at most {LARGEST}")
    if name.startswith("swin"):
        window_for(image_size)
        return
    require(image_size >= SMALLEST, "image_size", image_size, f"at least {SMALLEST} for {name}")
    if name == "deit_s":
        require(image_size % 16 == 0, "image_size", image_size, "a multiple of 16, DeiT's patch")
    if name == "f3net_mix":
        sizes = [s for s in range(image_size - 8, image_size + 9) if _streams_agree(s)]
        allowed = f"one at which both streams end up alike; near it: {', '.join(map(str, sizes))}"
        require(_streams_agree(image_size), "image_size", image_size, allowed)


def check_drop_path(name: str, drop_path: float) -> None:
    """Refuse stochastic depth for a detector that has none.

    Raises:
        ValueError: Naming the detector.
    """
    allowed = f"0 for {name}: its Xceptions have no stochastic depth"
    require(drop_path == 0 or not name.startswith("f3net"), "drop_path", drop_path, allowed)


def check_base(name: str, base: str) -> None:
    """Refuse weights that the detector cannot start from.

    Raises:
        ValueError: With what is allowed.
    """
    kind, _, path = base.partition(":")
    known = base in ("scratch", "imagenet") or (kind == "checkpoint" and path != "")
    require(known, "base", base, "scratch, imagenet or checkpoint:PATH")
    if base == "imagenet" and find_detector(name).weights is None:
        have = ", ".join(key for key, spec in DETECTORS.items() if spec.weights)
        raise ValueError(f"base imagenet exists for {have} only, got detector {name}; choose another base")


def _streams_agree(image_size: int) -> bool:
    """Whether the maps of F3Net's two streams have one size where they are mixed."""
    pixels, windows = (image_size - 3) // 2 + 1 - 2, image_size // 2 - 4
    for halving in range(4):
        pixels, windows = (pixels + 1) // 2, (windows + 1) // 2
        if halving >= 2 and pixels != windows:
            return False
    return windows > 1
