from itertools import pairwise

import pytest
import timm
import torch
from torch.nn import functional

from genimage_core.detectors.detector import DETECTORS, Detector, build_detector
from genimage_core.detectors.sizes import SWINS, check_detector, window_for
from genimage_core.settings import MAX_FREEZE_DEPTH

DEPTHS = range(MAX_FREEZE_DEPTH + 1)
# Swin-T takes seconds where its small sister takes a tenth of one.
SLOW = [pytest.param("swin_t", size, marks=pytest.mark.slow) for size in (32, 64)]
EVERY = [("swin_nano", 32), *SLOW]
SIZES = [("swin_nano", 32), ("swin_nano", 64), *SLOW]


def pictures(count, size, seed=0):
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(seed))


def snapshot(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_equal_states(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def trainable(detector):
    return [parameter for parameter in detector.parameters() if parameter.requires_grad]


def step(detector, images):
    """One optimiser step that moves everything it may move."""
    optimizer = torch.optim.AdamW(trainable(detector), lr=1e-2, weight_decay=0.5)
    labels = torch.arange(len(images)) % 2
    functional.binary_cross_entropy_with_logits(detector(images), labels.float()).backward()
    optimizer.step()


def test_both_detectors_are_checked():
    assert set(DETECTORS) == set(SWINS) == {"swin_t", "swin_nano"}


@pytest.mark.parametrize(("name", "size"), SIZES)
class TestContract:
    def test_one_logit_per_image(self, name, size):
        detector = build_detector(name, image_size=size).eval()
        with torch.no_grad():
            logits = detector(pictures(3, size))
        assert logits.shape == (3,) and logits.dtype == torch.float32
        assert logits.isfinite().all() and len(set(logits.tolist())) == 3

    def test_an_image_does_not_depend_on_its_batch(self, name, size):
        detector, images = build_detector(name, image_size=size).eval(), pictures(5, size)
        with torch.no_grad():
            together, alone = detector(images), torch.cat([detector(image[None]) for image in images])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)

    def test_gradients_reach_every_trainable_parameter(self, name, size):
        detector = build_detector(name, image_size=size).train()
        detector(pictures(4, size)).square().sum().backward()
        without = [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert not without
        # At small sizes the windows of the last stage hold one patch: its attention has one weight, 1.
        still = [n for n, p in detector.named_parameters() if not p.grad.any() and "attn" not in n]
        assert not still

    def test_the_seed_decides_the_weights_and_nothing_else_moves(self, name, size):
        before = torch.get_rng_state()
        first = build_detector(name, image_size=size, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(7)
        assert_equal_states(first.state_dict(), build_detector(name, image_size=size, seed=3).state_dict())
        other = build_detector(name, image_size=size, seed=4).state_dict()
        assert any(not torch.equal(tensor, other[key]) for key, tensor in first.state_dict().items())

    def test_images_are_normalised_as_imagenet_is(self, name, size):
        detector = build_detector(name, image_size=size).eval()
        seen = []
        detector.parts[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        images = pictures(2, size)
        with torch.no_grad():
            detector(images)
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        expected = (images - mean[:, None, None]) / std[:, None, None]
        torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize(("name", "size"), EVERY)
@pytest.mark.parametrize("depth", DEPTHS)
class TestFreezing:
    def test_frozen_parts_stay_bit_for_bit(self, name, size, depth):
        detector = build_detector(name, image_size=size, freeze_depth=depth).train()
        frozen = [snapshot(part) for part in detector.parts[:depth]]
        moving = [snapshot(part) for part in [*detector.parts[depth:], detector.head]]
        for seed in range(2):
            step(detector, pictures(4, size, seed))
        for part, before in zip(detector.parts[:depth], frozen, strict=True):
            assert_equal_states(snapshot(part), before)
        for part, before in zip([*detector.parts[depth:], detector.head], moving, strict=True):
            after = snapshot(part)
            assert any(not torch.equal(after[key], before[key]) for key in before)

    def test_frozen_parts_have_no_gradient_and_stay_in_evaluation_mode(self, name, size, depth):
        detector = build_detector(name, image_size=size, freeze_depth=depth).train()
        step(detector, pictures(2, size))
        for part in detector.parts[:depth]:
            assert all(p.grad is None and not p.requires_grad for p in part.parameters())
            assert not any(module.training for module in part.modules())
        for part in [*detector.parts[depth:], detector.head]:
            assert all(p.grad is not None for p in part.parameters())
            assert all(module.training for module in part.modules())
        assert not any(module.training for module in detector.eval().modules())
        detector.train()
        assert not any(module.training for part in detector.parts[:depth] for module in part.modules())

    def test_nothing_is_kept_for_a_backward_pass_through_frozen_parts(self, name, size, depth):
        detector = build_detector(name, image_size=size, freeze_depth=depth).train()
        needed = []
        for part in detector.parts:
            part.register_forward_hook(lambda module, given, made: needed.append(made.requires_grad))
        detector(pictures(2, size))
        assert needed == [False] * depth + [True] * (MAX_FREEZE_DEPTH - depth)


@pytest.mark.parametrize(("name", "size"), EVERY)
def test_every_depth_trains_less_and_the_last_only_the_head(name, size):
    detectors = [build_detector(name, image_size=size, freeze_depth=depth) for depth in DEPTHS]
    counts = [sum(p.numel() for p in trainable(detector)) for detector in detectors]
    assert counts[0] == sum(p.numel() for p in detectors[0].parameters())
    assert all(less < more for more, less in pairwise(counts))
    last = detectors[MAX_FREEZE_DEPTH]
    assert {id(p) for p in trainable(last)} == {id(p) for p in last.head.parameters()}
    for detector in detectors[1:]:
        assert_equal_states(detector.state_dict(), detectors[0].state_dict())


def test_swin_t_has_the_paper_s_size_and_gives_one_logit_per_image():
    detector = build_detector("swin_t", image_size=32).eval()
    assert 27e6 < sum(p.numel() for p in detector.parameters()) < 28.5e6
    with torch.no_grad():
        logits = detector(pictures(2, 32))
    assert logits.shape == (2,) and logits.isfinite().all()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": "vgg"}, "swin_nano"),
        ({"freeze_depth": 6}, "0 to 5"),
        ({"freeze_depth": -1}, "0 to 5"),
        ({"image_size": 100}, "96"),
        ({"pretrained": True}, "imagenet"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, named):
    arguments = {"name": "swin_nano", "image_size": 32, **changes}
    with pytest.raises(ValueError, match=named):
        build_detector(arguments.pop("name"), **arguments)


def test_a_detector_cannot_freeze_more_parts_than_it_has():
    with pytest.raises(ValueError, match="0 to 1"):
        Detector([torch.nn.Identity()], torch.nn.Identity(), freeze_depth=2)


@pytest.mark.parametrize("size", [32, 64, 96, 160])
def test_sizes_that_are_allowed_run(size):
    detector = build_detector("swin_nano", image_size=size).eval()
    with torch.no_grad():
        assert detector(pictures(2, size)).isfinite().all()


def tiles(window, size):
    grids = [size // 4, size // 8, size // 16, size // 32]
    return size % 32 == 0 and all(grid <= window or grid % window == 0 for grid in grids)


@pytest.mark.parametrize("size", range(32, 513))
def test_windows_tile_every_stage_or_the_size_is_refused(size):
    possible = [window for window in range(4, 13) if tiles(window, size)]
    if possible:
        window = window_for(size)
        assert window in possible
        assert abs(window - 7) == min(abs(w - 7) for w in possible)
        check_detector("swin_t", size)
        return
    with pytest.raises(ValueError, match="image_size") as refused:
        window_for(size)
    assert str(size) in str(refused.value)
    assert_names_sizes_that_work(str(refused.value))


@pytest.mark.parametrize("size", [-32, 0, 1, 31, 1000, 1500, 4001])
def test_far_sizes_are_refused_with_sizes_that_work(size):
    with pytest.raises(ValueError) as refused:
        window_for(size)
    assert_names_sizes_that_work(str(refused.value))


def assert_names_sizes_that_work(message):
    suggested = [int(number) for number in message.partition("near it: ")[2].split(", ")]
    assert suggested
    for size in suggested:
        assert tiles(window_for(size), size)


def test_the_sizes_of_the_papers_have_their_windows():
    assert window_for(224) == 7
    assert {window_for(size) for size in (32, 64, 128, 256)} <= {4, 8}
    with pytest.raises(ValueError, match="swin_nano"):
        check_detector("resnet", 224)


@pytest.mark.slow
def test_imagenet_weights_fill_everything_but_the_head(monkeypatch):
    downloaded = timm.create_model("swin_tiny_patch4_window7_224").state_dict()
    monkeypatch.setattr(timm.models._builder, "load_state_dict_from_hf", lambda *_, **__: downloaded)
    detector = build_detector("swin_t", image_size=224, seed=3, pretrained=True)
    fresh = [
        name
        for name, own in detector.state_dict().items()
        if not any(own.shape == other.shape and torch.equal(own, other) for other in downloaded.values())
    ]
    assert fresh == ["head.fc.weight", "head.fc.bias"]
