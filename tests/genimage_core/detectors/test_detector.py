from dataclasses import replace
from itertools import pairwise

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from genimage_core.base_training import own_policy
from genimage_core.data.images import load_images
from genimage_core.data.layout import find_layout
from genimage_core.data.mini import MiniSettings, ensure_mini
from genimage_core.detectors.backbones import DEIT, SWIN, XCEPTION
from genimage_core.detectors.catalogue import DETECTORS, check_detector
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import Detector, build_detector
from genimage_core.detectors.f3net import MixBlock
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.detectors.sizes import SWINS, window_for
from genimage_core.evaluation import evaluate
from genimage_core.settings import MAX_FREEZE_DEPTH, DataSettings, TrainingSettings
from genimage_core.steps import Learner
from genimage_core.training import build_optimizer, train_epoch

DEPTHS = range(MAX_FREEZE_DEPTH + 1)
LARGE = ("swin_t", "f3net", "f3net_mix")  # seconds where others take a tenth of one
SMALLEST = {"f3net_mix": 64}


def sized(names, depth=None):
    """Every detector at its smallest size, the large ones marked as slow."""
    for name in names:
        slow = name in LARGE or (depth is not None and depth not in (0, 3) and name != "swin_nano")
        yield pytest.param(name, SMALLEST.get(name, 32), marks=[pytest.mark.slow] if slow else [])


EVERY = list(sized(DETECTORS))
AT_DEPTH = [
    pytest.param(*case.values, depth, marks=case.marks)
    for depth in DEPTHS
    for case in sized(DETECTORS, depth)
]


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


def last(made):
    """What a part gives on; some keep maps of earlier ones before it."""
    return made[-1] if isinstance(made, tuple) else made


def step(detector, images):
    """One optimiser step that moves everything it may move."""
    optimizer = torch.optim.AdamW(trainable(detector), lr=1e-2, weight_decay=0.5)
    labels = torch.arange(len(images)) % 2
    functional.binary_cross_entropy_with_logits(detector(images), labels.float()).backward()
    optimizer.step()


def test_every_detector_of_the_paper_is_there():
    assert {"swin_t", "deit_s", "resnet50", "cnnspot", "spec", "f3net", "gramnet"} <= set(DETECTORS)
    assert all(len(spec.parts) == MAX_FREEZE_DEPTH for spec in DETECTORS.values())
    assert set(SWINS) == {name for name in DETECTORS if name.startswith("swin")}


@pytest.mark.parametrize(("name", "size"), EVERY)
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
        for part in detector.modules():
            if isinstance(part, MixBlock):  # its queries and keys count once its gates have left 0
                torch.nn.init.constant_(part.gates, 0.5)
        detector(pictures(4, size)).square().sum().backward()
        without = [n for n, p in detector.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert not without
        still = {n for n, p in detector.named_parameters() if not p.grad.any()}
        # At small sizes the windows of Swin's last stage hold one patch: where it stands decides nothing.
        allowed = {n for n in still if name in SWINS and n.startswith("parts.4.") and "position_bias" in n}
        assert still == allowed

    def test_the_seed_decides_the_weights_and_nothing_else_moves(self, name, size):
        before = torch.get_rng_state()
        first = build_detector(name, image_size=size, seed=3)
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(7)
        assert_equal_states(first.state_dict(), build_detector(name, image_size=size, seed=3).state_dict())
        other = build_detector(name, image_size=size, seed=4).state_dict()
        assert any(not torch.equal(tensor, other[key]) for key, tensor in first.state_dict().items())

    def test_what_is_saved_gives_the_same_logits_when_loaded(self, name, size, tmp_path):
        detector, images = build_detector(name, image_size=size, seed=2).train(), pictures(4, size)
        step(detector, images)  # batch norms have seen something
        save_checkpoint(tmp_path / "a.safetensors", detector, CheckpointInfo(name, size, ("adm",)))
        loaded = build_detector(name, image_size=size, base=f"checkpoint:{tmp_path / 'a.safetensors'}")
        assert_equal_states(loaded.state_dict(), detector.state_dict())
        with torch.no_grad():
            assert torch.equal(loaded.eval()(images), detector.eval()(images))

    def test_the_front_learns_nothing(self, name, size):
        assert not list(build_detector(name, image_size=size).front.parameters())

    def test_it_is_built_at_the_sizes_that_are_allowed(self, name, size):
        for other in (size, 64, 96):
            check_detector(name, other)
            with torch.no_grad():
                assert build_detector(name, image_size=other).eval()(pictures(2, other)).isfinite().all()
        with pytest.raises(ValueError, match="image_size"):
            check_detector(name, 20)

    def test_its_own_training_and_images_are_possible(self, name, size):
        assert TrainingSettings(**DETECTORS[name].training).epochs >= 1
        assert own_policy(name).blend_alpha == own_policy("swin_t").blend_alpha


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("swin_nano", None),
        ("deit_s", "deit_small_patch16_224"),
        ("resnet50", "resnet50"),
        ("spec", "resnet34"),
    ],
)
def test_the_parts_in_order_are_timm_s_own_network(name, source):
    """The weights of a detector in timm's model, whose layers timm puts together: the same logits."""
    detector, images = build_detector(name, image_size=64, seed=1).eval(), pictures(3, 64)
    size = SWINS.get(name)
    options = {"img_size": 64} if name == "deit_s" else {}
    if size is not None:
        source = "swin_tiny_patch4_window7_224"
        options = {"img_size": 64, "window_size": window_for(64), "embed_dim": size.embed_dim}
        options |= {"depths": size.depths, "num_heads": size.num_heads}
    model = timm.create_model(source, num_classes=1, **options).eval()
    ours, theirs = detector.state_dict(), model.state_dict()
    # Both hold the same tensors in the same order, timm's head last.
    assert [tensor.shape for tensor in ours.values()] == [tensor.shape for tensor in theirs.values()]
    model.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))
    with torch.no_grad():
        expected = model(detector.front(images)).squeeze(1)
        torch.testing.assert_close(detector(images), expected, atol=1e-5, rtol=1e-5)


# What is blurred and compressed, or loses resolution, shows its traces to the patient.
PATIENCE = {"cnnspot": 22, "gramnet": 8}
LEARNING = TrainingSettings(epochs=6, batch_size=32, learning_rate=5e-4, clip_norm=1.0, flip=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_it_learns_the_easiest_simulated_generator(name, tmp_path_factory):
    cache, usual = tmp_path_factory.getbasetemp() / "learning", MiniSettings()
    data = DataSettings(usual.image_size, usual.train_per_class, usual.val_per_class, "none")
    layout = find_layout(ensure_mini(cache, usual))
    train, val = (load_images(layout, "biggan", split, data, 0, cache) for split in ("train", "val"))
    rate = 3e-4 if name.startswith("f3net") else LEARNING.learning_rate
    settings = replace(LEARNING, epochs=PATIENCE.get(name, LEARNING.epochs), learning_rate=rate)
    detector = build_detector(name, image_size=usual.image_size)
    learner = Learner(detector, build_optimizer(detector, settings))
    for epoch in range(settings.epochs):
        train_epoch(learner, train, own_policy(name), settings, epoch=epoch, seed=0)
    assert evaluate(detector, {"biggan": val})["biggan"].accuracy > 0.9


@pytest.mark.parametrize("name", ["swin_nano", "deit_s", "resnet50", "cnnspot"])
def test_images_are_normalised_as_imagenet_is(name):
    detector = build_detector(name, image_size=32)
    images = pictures(2, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = (images - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(detector.front(images), expected)


@pytest.mark.parametrize(
    ("name", "rates", "kind", "where"),
    [
        ("swin_nano", {"dropout": 0.3}, nn.Dropout, "head"),
        ("deit_s", {"dropout": 0.3}, nn.Dropout, "head"),
        ("resnet50", {"dropout": 0.3}, nn.Dropout, "head"),
        ("spec", {"dropout": 0.3}, nn.Dropout, "head"),
        ("gramnet", {"dropout": 0.3}, nn.Dropout, "head"),
        ("f3net", {"dropout": 0.3}, nn.Dropout, "head"),
        ("swin_nano", {"drop_path": 0.3}, timm.layers.DropPath, "parts"),
        ("deit_s", {"drop_path": 0.3}, timm.layers.DropPath, "parts"),
        ("resnet50", {"drop_path": 0.3}, timm.layers.DropPath, "parts"),
        ("spec", {"drop_path": 0.3}, timm.layers.DropPath, "parts"),
        ("gramnet", {"drop_path": 0.3}, timm.layers.DropPath, "parts"),
    ],
)
def test_rates_arrive_where_they_act(name, rates, kind, where):
    def found(detector):
        modules = getattr(detector, where).modules()
        return [getattr(m, "p", getattr(m, "drop_prob", None)) for m in modules if isinstance(m, kind)]

    assert max(found(build_detector(name, image_size=32, **rates))) == pytest.approx(0.3)
    assert not any(found(build_detector(name, image_size=32)))


@pytest.mark.parametrize("name", ["f3net", "f3net_mix"])
def test_stochastic_depth_is_refused_where_there_is_none(name):
    with pytest.raises(ValueError, match="drop_path must be 0 for f3net"):
        build_detector(name, image_size=64, drop_path=0.1)


TIMM = {
    "swin_t": SWIN,
    "deit_s": DEIT,
    "f3net": XCEPTION,
    "f3net_mix": XCEPTION,
    "resnet50": "resnet50.tv_in1k",
    "cnnspot": "resnet50.tv_in1k",
    "spec": "resnet34.tv_in1k",
    "gramnet": "resnet18.tv_in1k",
}


@pytest.mark.parametrize("name", [name for name, spec in DETECTORS.items() if spec.weights])
def test_imagenet_weights_are_looked_for_where_timm_takes_them_from(name):
    config = timm.get_pretrained_cfg(TIMM[name])
    assert DETECTORS[name].weights == (config.hf_hub_id or config.url)


@pytest.mark.parametrize(("name", "size", "depth"), AT_DEPTH)
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
            part.register_forward_hook(lambda module, given, made: needed.append(last(made).requires_grad))
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
        ({"base": "pretrained"}, "checkpoint:PATH"),
        ({"base": "checkpoint:"}, "checkpoint:PATH"),
        ({"name": "deit_s", "image_size": 40}, "multiple of 16"),
        ({"name": "resnet50", "image_size": 31}, "at least 32"),
        ({"name": "f3net_mix", "image_size": 32}, "both streams"),
        ({"freeze_depth": 6}, "0 to 5"),
        ({"freeze_depth": -1}, "0 to 5"),
        ({"image_size": 100}, "96"),
        ({"base": "imagenet"}, "imagenet"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, named):
    arguments = {"name": "swin_nano", "image_size": 32, **changes}
    with pytest.raises(ValueError, match=named):
        build_detector(arguments.pop("name"), **arguments)


def test_a_detector_cannot_freeze_more_parts_than_it_has():
    with pytest.raises(ValueError, match="0 to 1"):
        Detector(nn.Identity(), [nn.Identity()], nn.Identity(), freeze_depth=2)


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
    detector = build_detector("swin_t", image_size=224, seed=3, base="imagenet")
    fresh = [
        name
        for name, own in detector.state_dict().items()
        if not any(own.shape == other.shape and torch.equal(own, other) for other in downloaded.values())
    ]
    assert fresh == ["head.fc.weight", "head.fc.bias"]
