import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from genimage_core.augment import apply, sample
from genimage_core.data.batches import ImageSet
from genimage_core.data.images import choose_images, load_images
from genimage_core.data.layout import find_layout
from genimage_core.data.pixels import decode
from genimage_core.detectors.detector import build_detector
from genimage_core.evaluation import predict
from genimage_core.metrics import score
from genimage_core.policy import FrequencyPolicy
from genimage_core.settings import DataSettings, TrainingSettings
from genimage_core.steps import Learner
from genimage_core.training import (
    build_average,
    build_optimizer,
    draw_batch,
    learning_rate_at,
    read_batch,
    split_batches,
    to_batch,
    train_epoch,
)

SETTINGS = TrainingSettings(epochs=2, batch_size=8, learning_rate=1e-3, weight_decay=0.05)
CPU = torch.device("cpu")


def easy_set(per_class=12, seed=0):
    """Fakes that are brighter."""
    rng = np.random.default_rng(seed)
    real = rng.integers(0, 160, (per_class, 32, 32, 3))
    fake = rng.integers(96, 256, (per_class, 32, 32, 3))
    labels = np.repeat([0, 1], per_class).astype(np.uint8)
    return ImageSet((np.concatenate([real, fake]).astype(np.uint8),), labels, f"easy {seed}")


def train(policy=None, settings=SETTINGS, *, epochs=(0,), seed=0, data=None, detector=None, freeze_depth=0):
    detector = detector or build_detector("swin_nano", image_size=32, freeze_depth=freeze_depth, seed=1)
    learner = Learner(detector, build_optimizer(detector, settings))
    data = data or easy_set()
    stats = [
        train_epoch(learner, data, policy or FrequencyPolicy(), settings, epoch=epoch, seed=seed)
        for epoch in epochs
    ]
    return detector, stats


def weights(detector):
    return torch.cat([parameter.detach().flatten() for parameter in detector.parameters()])


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("total", [10, 200])
def test_the_rate_rises_linearly_and_falls_as_half_a_cosine(warmup, total):
    settings = replace(SETTINGS, warmup=warmup, learning_rate=0.01)
    rates = [learning_rate_at(step, total, settings) for step in range(total)]
    rising = round(warmup * total)
    for step in range(rising):
        assert rates[step] == pytest.approx(0.01 * (step + 1) / (rising + 1))
    for step in range(rising, total):
        angle = math.pi * (step - rising) / (total - rising)
        assert rates[step] == pytest.approx(0.01 * math.cos(angle / 2) ** 2)
    assert rates[rising] == pytest.approx(0.01) == max(rates)
    assert all(rate > 0 for rate in rates)


def test_the_last_rate_is_nearly_zero():
    assert learning_rate_at(999, 1000, SETTINGS) < 1e-5 * SETTINGS.learning_rate


@pytest.mark.parametrize("warmup", [0.05, 0.33, 1.0])
@pytest.mark.parametrize("total", [1, 2, 7, 31])
def test_odd_lengths_stay_within_bounds(warmup, total):
    settings = replace(SETTINGS, warmup=warmup)
    rates = [learning_rate_at(step, total, settings) for step in range(total)]
    assert all(0 < rate <= settings.learning_rate for rate in rates)


def test_the_schedule_spans_all_epochs():
    settings, used = replace(SETTINGS, epochs=3, warmup=0.0), []
    detector = build_detector("swin_nano", image_size=32)
    optimizer = build_optimizer(detector, settings)
    optimizer.register_step_pre_hook(
        lambda optimizer, args, kwargs: used.append({group["lr"] for group in optimizer.param_groups})
    )
    data = easy_set(8)
    for epoch in range(3):
        train_epoch(Learner(detector, optimizer), data, FrequencyPolicy(), settings, epoch=epoch, seed=0)
    assert used == [{learning_rate_at(step, 6, settings)} for step in range(6)]


def test_an_epoch_follows_from_seed_and_epoch_alone():
    policy = FrequencyPolicy(noise_scale=0.3, mask_kind="ring", mask_radius=0.2)
    first, [stats] = train(policy, seed=3)
    torch.manual_seed(99)
    np.random.seed(99)
    again, [stats_again] = train(policy, seed=3)
    assert torch.equal(weights(first), weights(again)) and stats.loss == stats_again.loss
    other_epoch, _ = train(policy, seed=3, epochs=(1,))
    other_seed, _ = train(policy, seed=4)
    assert not torch.equal(weights(first), weights(other_epoch))
    assert not torch.equal(weights(first), weights(other_seed))


def test_epochs_and_seeds_see_other_orders():
    seen = {}
    data = ImageSet(
        (np.arange(24, dtype=np.uint8)[:, None, None, None].repeat(32, 1).repeat(32, 2).repeat(3, 3),),
        np.repeat([0, 1], 12).astype(np.uint8),
        "numbered",
    )
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        detector, order = build_detector("swin_nano", image_size=32), []
        detector.register_forward_pre_hook(
            lambda module, given, order=order: order.extend(
                (given[0][:, 0, 0, 0] * 255).round().int().tolist()
            )
        )
        train(detector=detector, data=data, epochs=(epoch,), seed=seed)
        assert sorted(order) == list(range(24))  # every image once
        seen[seed, epoch] = tuple(order)
    assert len(set(seen.values())) == 3


def test_global_random_states_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    train(FrequencyPolicy(noise_scale=0.5))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1]) and random.getstate() == before[2]


def test_an_easy_set_is_learnt():
    settings = replace(SETTINGS, epochs=6)
    data = easy_set(24)
    detector, stats = train(settings=settings, epochs=range(6), data=data)
    assert stats[-1].loss < 0.05 < stats[0].loss
    unseen = easy_set(40, seed=1)
    assert score(predict(detector, unseen), unseen.labels).accuracy > 0.95
    assert all(s.images == 48 and s.seconds > 0 for s in stats)


@pytest.mark.parametrize(
    "policy",
    [
        FrequencyPolicy(noise_scale=0.5, blend_alpha=0.0),
        FrequencyPolicy(mask_kind="ring", mask_radius=0.0),
        FrequencyPolicy(phase_perturb_prob=0.0, phase_perturb_scale=1.0, channels="luma"),
    ],
)
def test_no_strength_trains_as_no_augmentation_does(policy):
    plain, [stats] = train()
    changed, [stats_changed] = train(policy)
    assert torch.equal(weights(plain), weights(changed)) and stats.loss == stats_changed.loss


def test_strength_changes_the_training():
    assert not torch.equal(weights(train()[0]), weights(train(FrequencyPolicy(noise_scale=0.5))[0]))


def test_a_frozen_part_is_not_trained():
    before = build_detector("swin_nano", image_size=32, freeze_depth=3, seed=1)
    after, _ = train(freeze_depth=3, epochs=(0, 1))
    for name, tensor in before.state_dict().items():
        frozen = name.startswith(("parts.0.", "parts.1.", "parts.2."))
        assert not frozen or torch.equal(after.state_dict()[name], tensor)
    assert not torch.equal(before.head.fc.weight, after.head.fc.weight)


def test_the_loss_is_the_mean_over_images_also_with_a_short_last_batch():
    settings = replace(SETTINGS, batch_size=16, learning_rate=1e-12, weight_decay=0.0, flip=False)
    data = easy_set(10)  # batches of 16 and 4
    detector, [stats] = train(settings=settings, data=data)
    logits = torch.from_numpy(predict(detector, data))
    labels = torch.from_numpy(data.labels).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    assert stats.loss == pytest.approx(float(expected), abs=1e-5)


def test_weights_that_are_not_finite_end_the_epoch():
    detector = build_detector("swin_nano", image_size=32)
    with torch.no_grad():
        detector.head.fc.weight[0, 0] = math.nan
    with pytest.raises(FloatingPointError, match=r"step 1 of epoch 2; lower the learning rate"):
        train(detector=detector, epochs=(1,))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_the_first_step_whose_loss_is_not_finite_is_named(wrong):
    detector, calls = build_detector("swin_nano", image_size=32), []

    def spoil(module, given, logits):
        calls.append(1)
        return logits * wrong if len(calls) == 3 else logits

    detector.register_forward_hook(spoil)
    # Steps are counted from 1, as the epochs beside them are.
    with pytest.raises(FloatingPointError, match="step 3 of epoch 1"):
        train(detector=detector, settings=replace(SETTINGS, batch_size=4))


def test_weight_decay_is_for_matrices_only():
    settings = replace(SETTINGS, learning_rate=0.1, weight_decay=0.5)
    detector = build_detector("swin_nano", image_size=32, freeze_depth=1)
    before = {name: p.detach().clone() for name, p in detector.named_parameters()}
    optimizer = build_optimizer(detector, settings)
    for parameter in detector.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    shrunk = set()
    for name, parameter in detector.named_parameters():
        factor = 0.95 if parameter.requires_grad and parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)
        shrunk |= {name} if factor < 1 else set()
    assert "head.fc.weight" in shrunk and "head.fc.bias" not in shrunk
    assert not any(name.startswith("parts.0.") for name in shrunk)


def test_the_optimiser_knows_everything_that_is_trained_once():
    detector = build_detector("swin_nano", image_size=32, freeze_depth=2)
    known = [id(p) for group in build_optimizer(detector, SETTINGS).param_groups for p in group["params"]]
    assert sorted(known) == sorted(id(p) for p in detector.parameters() if p.requires_grad)


def test_batches_are_within_0_and_1():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    batch = to_batch(pixels, CPU)
    assert batch.shape == (2, 3, 5, 4) and batch.dtype == torch.float32
    np.testing.assert_allclose(batch.numpy(), pixels.transpose(0, 3, 1, 2) / 255, atol=1e-7)


def test_about_half_of_the_images_are_mirrored_and_none_if_told_so():
    data = easy_set(100)
    chosen = torch.arange(200)
    plain = to_batch(data.shards[0], CPU)

    def drawn(settings):
        generator = torch.Generator().manual_seed(0)
        return draw_batch(data, chosen, FrequencyPolicy(), settings, generator, CPU)

    images, labels = drawn(SETTINGS)
    mirrored = (images == plain.flip(3)).flatten(1).all(1)
    same = (images == plain).flatten(1).all(1)
    assert (mirrored ^ same).all() and 70 < int(mirrored.sum()) < 130
    assert labels.tolist() == data.labels.tolist() and labels.dtype == torch.float32
    assert torch.equal(drawn(replace(SETTINGS, flip=False))[0], plain)


@pytest.mark.parametrize("flip", [True, False])
def test_central_crops_are_drawn_as_a_plain_decoding_would_be(tmp_path, write_tree, flip):
    layout = find_layout(write_tree(tmp_path / "data", ["adm"], train=6, size=41))
    settings, wanted = replace(SETTINGS, flip=flip), DataSettings(32, 6, 2, "jpeg96")
    data = load_images(layout, "adm", "train", wanted, 0, tmp_path / "cache")
    plain = np.stack(
        [
            decode(path, 32, quality=96 if label else None)
            for path, label in choose_images(layout, "adm", "train", 6, seed=0)
        ]
    )
    ours, theirs = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    policy, chosen = FrequencyPolicy(noise_scale=0.4), torch.tensor([7, 0, 11, 4, 4])
    images, labels = draw_batch(data, chosen, policy, settings, ours, CPU)
    expected = torch.from_numpy(plain[chosen.numpy()]).permute(0, 3, 1, 2).float().div_(255)
    if flip:
        mirrored = torch.rand(5, generator=theirs) < 0.5
        expected = torch.where(mirrored.view(-1, 1, 1, 1), expected.flip(3), expected)
    params = sample(policy, 5, theirs, labels=torch.tensor([1, 0, 1, 0, 0]))
    assert torch.equal(images, apply(expected, params)) and labels.tolist() == [1, 0, 1, 0, 0]
    assert torch.equal(ours.get_state(), theirs.get_state())  # no number more, none less


def margin_set(count=200, size=16, margin=4):
    """Images that tell where they were cut: red counts columns, green counts rows."""
    rows, columns = np.indices((size + margin, size + margin)).astype(np.uint8)
    image = np.stack([columns, rows, 0 * rows], axis=-1)
    labels = np.repeat([0, 1], count // 2).astype(np.uint8)
    return ImageSet((np.stack([image] * count),), labels, "margin", margin)


def corners(images):
    return [tuple(pair) for pair in (images[:, :2, 0, 0] * 255).round().int().tolist()]


def test_random_crops_go_everywhere_within_the_margin_by_the_epoch_s_generator():
    data, settings = margin_set(), replace(SETTINGS, flip=False)

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        return draw_batch(data, torch.arange(200), FrequencyPolicy(), settings, generator, CPU)[0]

    found = corners(drawn(0))
    assert {pair for pair in found} == {(x, y) for x in range(5) for y in range(5)}
    assert corners(drawn(0)) == found != corners(drawn(1))


def test_evaluation_takes_the_centre():
    images = read_batch(margin_set(4), torch.arange(4), CPU)
    assert images.shape == (4, 3, 16, 16) and set(corners(images)) == {(2, 2)}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_pinned_memory_is_not_given_out_again_before_its_copy_is_done():
    device, data = torch.device("cuda"), easy_set(200)
    choices = [torch.randint(400, (64,), generator=torch.Generator().manual_seed(n)) for n in range(50)]
    batches = [read_batch(data, chosen, device) for chosen in choices]
    for chosen, batch in zip(choices, batches, strict=True):
        assert torch.equal(batch.cpu(), read_batch(data, chosen, CPU))


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        ("adam", lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1, momentum=0.9)),
    ],
)
def test_every_optimizer_is_torch_s(name, reference):
    settings = replace(SETTINGS, optimizer=name, learning_rate=0.01, weight_decay=0.1)
    layers = [torch.nn.Linear(3, 2, bias=False) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    ours, theirs = build_optimizer(layers[0], settings), reference(layers[1].parameters())
    for step in range(3):
        for layer, optimizer in zip(layers, (ours, theirs), strict=True):
            optimizer.zero_grad()
            (layer(torch.full((4, 3), 1.0 + step)) ** 2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(layers[0].weight, layers[1].weight)


def test_an_optimizer_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="adamw, adam, sgd"):
        replace(SETTINGS, optimizer="lion")


@pytest.mark.parametrize(
    ("count", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (1, [1]), (3, [3]), (5, [5])]
)
def test_no_batch_of_one_image_follows_others(count, sizes):
    batches = split_batches(torch.arange(count), 4)
    assert [len(batch) for batch in batches] == sizes
    assert torch.cat(batches).tolist() == list(range(count))


def test_a_network_with_batch_norm_learns_from_any_number_of_images():
    for per_class in (4, 9):
        data = easy_set(per_class)
        last = ImageSet((data.shards[0][:-1],), data.labels[:-1], "odd")
        _, stats = train(data=last, detector=build_detector("spec", image_size=32))
        assert math.isfinite(stats[0].loss)


def test_each_part_learns_more_slowly_than_the_next():
    settings = replace(SETTINGS, layer_decay=0.5, learning_rate=0.01)
    detector = build_detector("swin_nano", image_size=32, freeze_depth=1, seed=1)
    optimizer = build_optimizer(detector, settings)
    scale = {id(p): group["scale"] for group in optimizer.param_groups for p in group["params"]}
    for depth, part in enumerate(detector.parts):
        expected = {0.5 ** (5 - depth)} if depth >= 1 else set()
        assert {scale[id(p)] for p in part.parameters() if id(p) in scale} == expected
    assert {scale[id(p)] for p in detector.head.parameters()} == {1.0}
    decays = {(p.ndim > 1, g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert decays == {(True, 0.05), (False, 0.0)}
    assert len(build_optimizer(detector, SETTINGS).param_groups) == 2


def test_a_rate_is_scaled_at_every_step(monkeypatch):
    settings, rates = replace(SETTINGS, layer_decay=0.5, epochs=1), []
    real = torch.optim.AdamW.step

    def counted(optimizer, *arguments):
        rates.append({group["scale"]: group["lr"] for group in optimizer.param_groups})
        return real(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)
    train(settings=settings)
    for step, found in enumerate(rates):
        expected = learning_rate_at(step, len(rates), settings)
        assert found == {scale: pytest.approx(expected * scale) for scale in found} and len(found) == 6


def test_the_average_follows_the_weights_with_its_decay():
    settings = replace(SETTINGS, ema_decay=0.8)
    detector = build_detector("swin_nano", image_size=32, seed=1)
    average, optimizer = build_average(detector, settings), build_optimizer(detector, settings)
    expected, seen = None, 0
    real = average.update_parameters

    def followed(model):
        nonlocal expected, seen
        now, decay = weights(model), min(0.8, (1 + seen) / (10 + seen))
        expected = now if expected is None else decay * expected + (1 - decay) * now
        seen += 1
        real(model)

    average.update_parameters = followed
    learner = Learner(detector, optimizer, average)
    train_epoch(learner, easy_set(), FrequencyPolicy(), settings, epoch=0, seed=0)
    assert seen == 3
    torch.testing.assert_close(weights(average.module), expected)
    assert not torch.equal(weights(average.module), weights(detector))


def test_a_long_average_does_not_keep_the_weights_it_began_with():
    detector = build_detector("swin_nano", image_size=32, seed=1)
    average, start = build_average(detector, replace(SETTINGS, ema_decay=0.999)), weights(detector)
    average.update_parameters(detector)
    with torch.no_grad():
        for parameter in detector.parameters():
            parameter.zero_()
    for _ in range(100):
        average.update_parameters(detector)
    # The product of (1 + t) / (10 + t) over the first hundred steps; 0.999 ** 100 would leave 0.9 of them.
    share = weights(average.module).norm() / start.norm()
    expected = math.prod((1 + step) / (10 + step) for step in range(1, 101))
    assert share == pytest.approx(expected, rel=1e-3) and share < 1e-6


def test_without_a_decay_there_is_no_average():
    assert build_average(build_detector("swin_nano", image_size=32), SETTINGS) is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"layer_decay": 0.0}, "layer_decay"),
        ({"layer_decay": 1.1}, "layer_decay"),
        ({"ema_decay": 1.0}, "ema_decay"),
    ],
)
def test_impossible_rates_are_refused(changes, named):
    with pytest.raises(ValueError, match=named):
        replace(SETTINGS, **changes)
