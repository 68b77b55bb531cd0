"""What holds for every operation."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from augmentations import (
    FLIPS,
    LABELS,
    POLICIES,
    SPECTRAL_POLICIES,
    draw,
    keeps_the_mean,
    mixes,
    noise_images,
    seeded,
    stop,
    tensors,
)
from torch.overrides import TorchFunctionMode

from genimage_core import augment, operations
from genimage_core.augment import AugmentParams, FrequencyPolicy, apply, sample

SIZES = [(32, 32), (33, 31), (16, 40), (31, 32)]
ALONE = [name for name, policy in POLICIES.items() if not mixes(policy)]
MEAN_KEPT = [name for name, policy in POLICIES.items() if keeps_the_mean(policy)]


@pytest.fixture(params=POLICIES)
def policy(request):
    return POLICIES[request.param]


def test_a_stopped_image_comes_back_bit_for_bit(policy):
    images, params = noise_images(), draw(policy)
    stopped = torch.tensor([True, False, True, False, False, True])
    changed = apply(images, stop(params, stopped))
    assert torch.equal(changed[stopped], images[stopped])
    if not mixes(policy):
        assert torch.equal(changed[~stopped], apply(images, params)[~stopped])
    assert torch.equal(apply(images, stop(params, slice(None))), images)


def test_it_changes_the_images_that_it_says_it_changes(policy):
    images, params = noise_images(), draw(policy)
    largest = (apply(images, params) - images).abs().flatten(1).amax(1)
    assert (largest > 1e-3).any()
    assert (largest[~params.changes] == 0).all()


@pytest.mark.parametrize("size", SIZES)
def test_shape_type_device_and_range(policy, size):
    images = noise_images(size=size)
    before = images.clone()
    changed = apply(images, draw(policy))
    assert (changed.shape, changed.dtype, changed.device) == (images.shape, images.dtype, images.device)
    assert changed.isfinite().all()
    assert 0 <= changed.min() <= changed.max() <= 1
    assert torch.equal(images, before)


def test_the_generator_decides(policy):
    images = noise_images()
    once, again, other = (apply(images, draw(policy, seed)) for seed in (5, 5, 6))
    assert torch.equal(once, again)
    assert not torch.allclose(once, other, atol=1e-3)


def test_params_can_be_written_down_and_replayed(policy):
    images, params = noise_images(), draw(policy)
    first = apply(images, params)
    torch.rand(1000)
    read = AugmentParams.from_dict(json.loads(json.dumps(params.to_dict())))
    assert read.policy == policy
    for name, value in tensors(params).items():
        assert getattr(read, name).dtype == value.dtype
        assert torch.equal(getattr(read, name), value)
    assert torch.equal(apply(images, read), first)


def test_global_random_state_is_left_alone(policy):
    state = torch.get_rng_state()
    apply(noise_images(), draw(policy))
    assert torch.equal(torch.get_rng_state(), state)


def test_an_image_depends_on_itself_and_its_partner_only(policy):
    images, params = noise_images(), draw(policy)
    others = noise_images(seed=99)
    for row in range(len(images)):
        mixed = others.clone()
        mixed[row] = images[row]
        mixed[params.partner[row]] = images[params.partner[row]]
        torch.testing.assert_close(apply(mixed, params)[row], apply(images, params)[row], atol=1e-6, rtol=0)


@pytest.mark.parametrize("policy", [POLICIES[name] for name in ALONE], ids=ALONE)
def test_an_image_does_not_depend_on_the_size_of_the_batch(policy, monkeypatch):
    images, params = noise_images(20), draw(policy, labels=torch.zeros(20))
    together = apply(images, params)
    for row in (2, 9, 19):
        alone = params.rows(torch.tensor([row]))
        torch.testing.assert_close(apply(images[[row]], alone)[0], together[row], atol=1e-6, rtol=0)
    monkeypatch.setattr(augment, "CPU_BLOCK", 7 * 32 * 32)
    torch.testing.assert_close(apply(images, params), together, atol=1e-6, rtol=0)


NOISE_FIRST = "flip rotate translate noise mix tilt phase mask peaks blur jpeg"


@pytest.mark.parametrize("order", [FrequencyPolicy.order, NOISE_FIRST], ids=["mix_first", "noise_first"])
@pytest.mark.parametrize("channels", ["rgb", "independent", "luma"])
@pytest.mark.parametrize("kind", ["fact", "fda", "apr_p", "apr_s"])
def test_partners_are_found_beyond_the_block(kind, channels, order, monkeypatch):
    policy = FrequencyPolicy(
        amplitude_mix=0.8,
        mix_kind=kind,
        mix_radius=0.4,
        noise_scale=0.3,
        channels=channels,
        order=order,
        **FLIPS,
    )
    images, params = noise_images(20), draw(policy, labels=torch.zeros(20))
    together = apply(images, params)
    elsewhere = params.partner // 7 != torch.arange(20) // 7
    assert elsewhere.any() == (kind != "apr_s")
    monkeypatch.setattr(augment, "CPU_BLOCK", 7 * 32 * 32)
    assert augment.block_size(images) == 7
    assert torch.equal(apply(images, params), together)


@pytest.mark.parametrize("size", [*SIZES, (2, 2), (1, 1), (1, 8), (8, 1)])
@pytest.mark.parametrize("policy", SPECTRAL_POLICIES.values(), ids=SPECTRAL_POLICIES)
def test_the_spectrum_is_that_of_a_real_image(policy, size):
    planes = noise_images(size=size)[:, : 1 if policy.channels == "luma" else 3]
    copies = torch.fft.rfft2(planes.flip(3)).abs() if policy.copying else None
    spectra = operations.Spectra(torch.fft.rfft2(planes), draw(policy), size, copies)
    bins = operations.change(spectra).clone()
    back = torch.fft.rfft2(torch.fft.irfft2(bins, s=size))
    torch.testing.assert_close(back, bins, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("policy", [POLICIES[name] for name in MEAN_KEPT], ids=MEAN_KEPT)
def test_the_mean_is_kept(policy):
    images = noise_images(contrast=0.05)
    params = draw(replace(policy, peak_scale=min(policy.peak_scale, 0.02)))
    changed = apply(images, params)
    assert 0 < changed.min() <= changed.max() < 1
    torch.testing.assert_close(changed.mean((2, 3)), images.mean((2, 3)), atol=1e-5, rtol=0)


class AutocastOps(TorchFunctionMode):
    """Records the functions that make real numbers while autocast is on.

    On a CPU autocast leaves the transforms alone and rounds convolutions only, so values tell too little.
    """

    def __init__(self):
        super().__init__()
        self.found, self.seen = [], 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        makes = isinstance(result, torch.Tensor) and (result.is_floating_point() or result.is_complex())
        self.seen += makes
        if makes and torch.is_autocast_enabled("cpu"):
            self.found.append(function)
        return result


def test_autocast_changes_nothing(policy):
    images, params = noise_images(), draw(policy)
    with torch.autocast("cpu", dtype=torch.bfloat16), AutocastOps() as operations:
        under = apply(images, params)
    assert operations.seen and not operations.found
    assert torch.equal(under, apply(images, params))


def test_memory_format_changes_nothing(policy):
    images, params = noise_images(), draw(policy)
    transposed = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(apply(transposed, params), apply(images, params), atol=1e-6, rtol=0)


def transforms(policy, monkeypatch):
    """Name and number of planes of every transform of six images."""
    calls = []

    def record(name, transform, x, **more):
        calls.append((name, x.shape[:-2].numel()))
        return transform(x, **more)

    for name in ("rfft2", "irfft2"):
        monkeypatch.setattr(torch.fft, name, partial(record, name, getattr(torch.fft, name)))
    apply(noise_images(), draw(policy))
    return calls


def test_one_call_there_and_one_back(policy, monkeypatch):
    planes = 6 * (1 if policy.channels == "luma" else 3)
    partners = planes * (bool(policy.copying) or policy.spectral[:1] == ("mix",))
    calls = [("rfft2", planes + partners), ("irfft2", planes)]
    assert transforms(policy, monkeypatch) == (calls if policy.spectral else [])


@pytest.mark.parametrize(
    "name, planes",
    [("noise", 18), ("luma", 6), ("fact", 36), ("apr_s", 36), ("everything_reversed", 18)],
)
def test_partners_are_transformed_beside_the_images_if_they_are_copies_or_come_first(
    name, planes, monkeypatch
):
    assert transforms(POLICIES[name], monkeypatch)[0] == ("rfft2", planes)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_another_device_gives_the_same(policy):
    images, params = noise_images(), draw(policy)
    on_gpu = apply(images.cuda(), params)
    assert on_gpu.device.type == "cuda"
    # JPEG rounds to 256 levels, so rounding before it may move a pixel and with it a block.
    atol = 0.05 if policy.jpeg_prob > 0 else 1e-5
    torch.testing.assert_close(on_gpu.cpu(), apply(images, params), atol=atol, rtol=0)


def test_no_gradient_flows(policy):
    images = noise_images().requires_grad_()
    assert not apply(images, draw(policy)).requires_grad


def test_an_empty_batch_stays_empty(policy):
    images = torch.zeros(0, 3, 8, 8)
    assert apply(images, draw(policy, labels=torch.zeros(0))).shape == images.shape


def test_the_default_is_the_identity():
    images, params = noise_images(), draw(FrequencyPolicy())
    assert not params.changes.any()
    assert apply(images, params) is images


@pytest.mark.parametrize(
    "values",
    [
        {"blend_alpha": 0.0, "noise_scale": 1.0},
        {"mask_kind": "ring", "mask_radius": 0.0},
        {"phase_perturb_prob": 1.0, "phase_perturb_scale": 0.0},
        {"phase_perturb_prob": 0.0, "phase_perturb_scale": 1.0},
        {"mix_kind": "apr_s", "amplitude_mix": 1.0},
    ],
)
def test_what_cannot_change_an_image_is_the_identity(values):
    policy = FrequencyPolicy(**values)
    assert policy.is_identity
    assert not draw(policy).changes.any()
    assert torch.equal(apply(noise_images(), draw(policy)), noise_images())


@pytest.mark.parametrize(
    "images, message",
    [
        (torch.zeros(6, 3, 8, 8, dtype=torch.float16), r"got float16 of shape \(6, 3, 8, 8\)"),
        (torch.zeros(6, 3, 8, 8, dtype=torch.uint8), r"got uint8 of shape"),
        (torch.zeros(6, 1, 8, 8), r"got float32 of shape \(6, 1, 8, 8\)"),
        (torch.zeros(3, 8, 8), r"got float32 of shape \(3, 8, 8\)"),
        (torch.zeros(5, 3, 8, 8), "params were drawn for 6 images, got 5"),
    ],
)
def test_images_of_another_kind_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        apply(images, sample(POLICIES["noise"], 6, seeded(), labels=LABELS))
