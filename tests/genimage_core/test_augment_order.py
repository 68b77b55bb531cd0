"""Operations come in the order of the policy."""

from dataclasses import replace

import pytest
import torch
from augmentations import LABELS, cosine, draw, noise_images, one

from genimage_core import degrade, geometry
from genimage_core.augment import FrequencyPolicy, apply, sample

LOW_PASS = {"mask_kind": "low_pass", "mask_radius": 0.1}
PEAKS = {"peak_scale": 0.2, "peak_low": 0.4, "peak_high": 0.45}
PEAKS_FIRST = "flip rotate translate peaks mask mix tilt noise phase blur jpeg"
GREY = torch.full((1, 3, 32, 32), 0.5)


def ordered(*names):
    """An order with these first; the others leave images alone."""
    spatial = ("flip", "rotate", "translate", "blur", "jpeg")
    spectral = ("mix", "tilt", "noise", "phase", "mask", "peaks")
    rest = [name for name in spectral + spatial if name not in names]
    return " ".join((*names, *rest))


@pytest.mark.parametrize("order, left", [(PEAKS_FIRST, False), (FrequencyPolicy.order, True)])
def test_a_mask_removes_the_peaks_before_it(order, left):
    params = one(FrequencyPolicy(**LOW_PASS, **PEAKS, order=order), mask=0.5, peaks=0.1)
    assert float((apply(GREY, params) - GREY).abs().max() > 0.05) == left


def test_noise_changes_the_peaks_before_it():
    policy = FrequencyPolicy(noise_scale=1.0, **PEAKS)
    after = one(policy, noise=0.5, peaks=0.1)
    before = replace(after, policy=replace(policy, order=PEAKS_FIRST))
    peaks_only = replace(after, noise=torch.zeros(1, 1))
    assert torch.equal(apply(GREY, after), apply(GREY, peaks_only))
    assert not torch.allclose(apply(GREY, before), apply(GREY, after), atol=1e-3)


def test_the_partner_is_as_far_as_the_image():
    """Equal tilts before mixing are a tilt after it; amplitudes that are masked before have no phase."""
    images = noise_images(2, contrast=0.2)
    policy = FrequencyPolicy(tilt=1.0, amplitude_mix=1.0, mix_across_classes=True)
    params = replace(draw(policy, labels=torch.zeros(2)), tilt=torch.full((2, 1), -0.5))
    late = replace(params, policy=replace(policy, order=ordered("tilt", "mix", "noise")))
    torch.testing.assert_close(apply(images, params), apply(images, late), atol=1e-5, rtol=0)
    unequal = replace(late, tilt=torch.tensor([[0.0], [-0.5]]))
    assert not torch.allclose(apply(images, unequal)[0], apply(images, params)[0], atol=1e-3)


def test_multiplications_commute():
    policy = FrequencyPolicy(
        noise_scale=0.3, tilt=0.5, phase_perturb_prob=1.0, mask_kind="random", mask_radius=0.3
    )
    params, images = draw(policy), noise_images()
    order = "mask phase tilt mix noise peaks flip rotate translate blur jpeg"
    other = replace(params, policy=replace(policy, order=order))
    torch.testing.assert_close(apply(images, params), apply(images, other), atol=1e-5, rtol=0)


@pytest.mark.parametrize("first", [True, False])
def test_spatial_companions_come_before_or_after_the_blend(first):
    names = ("translate",) if first else ("noise", "mix", "tilt", "phase", "mask", "peaks", "translate")
    policy = FrequencyPolicy(noise_scale=0.5, blend_alpha=0.5, translation=0.3, order=ordered(*names))
    images, params = noise_images(), draw(policy)
    pixels = (params.translate * 32).round().long()
    assert pixels.any()
    spectral = replace(params, policy=replace(policy, translation=0.0))
    if first:
        expected = apply(geometry.translate(images, *pixels.unbind(1)), spectral)
    else:
        expected = geometry.translate(apply(images, spectral), *pixels.unbind(1))
    assert torch.equal(apply(images, params), expected)


def test_the_companions_are_those_of_geometry_and_degrade():
    policy = FrequencyPolicy(
        flip_prob=0.5, vertical_flip_prob=0.5, rotation=30.0, blur_sigma=2.0, jpeg_prob=0.6, jpeg_quality=50
    )
    images, params = noise_images(), draw(policy)
    expected = geometry.rotate(geometry.flip(images, *params.flip.unbind(1)), params.rotate)
    expected = degrade.jpeg(degrade.blur(expected, params.blur), params.jpeg)
    assert torch.equal(apply(images, params), expected)


def test_apr_s_takes_the_amplitude_of_a_moved_copy_and_leaves_the_place():
    policy = FrequencyPolicy(amplitude_mix=1.0, mix_kind="apr_s", flip_prob=1.0)
    images, params = noise_images(contrast=0.2), draw(policy)
    assert (params.mix == 1).all()
    before, after = (torch.fft.fft2(x.double()) for x in (images, apply(images, params)))
    flipped = torch.fft.fft2(images.double().flip(3)).abs()
    torch.testing.assert_close(after.abs(), flipped, atol=1e-4, rtol=1e-4)
    turned = (after * before.conj()).angle().abs()
    assert turned[(before.abs() > 0.1) & (flipped > 0.1)].max() < 1e-2


def test_apr_s_leaves_an_image_alone_whose_copy_did_not_move():
    policy = FrequencyPolicy(amplitude_mix=1.0, mix_kind="apr_s", flip_prob=0.5)
    params = sample(policy, 6, torch.Generator().manual_seed(0), labels=LABELS)
    assert torch.equal(params.mix[:, 0] > 0, params.flip[:, 0])
    images = noise_images()
    same = (apply(images, params) == images).flatten(1).all(1)
    assert torch.equal(same, ~params.flip[:, 0])


@pytest.mark.parametrize("switched_off", [{"amplitude_mix": 0.0}, {"mix_prob": 0.0}], ids=str)
def test_apr_s_that_mixes_nothing_is_like_any_other_kind(switched_off, monkeypatch):
    values = {"noise_scale": 0.3, "amplitude_mix": 1.0, "flip_prob": 0.5, "jpeg_prob": 0.5} | switched_off
    alone, other = (draw(FrequencyPolicy(mix_kind=kind, **values)) for kind in ("apr_s", "fact"))
    images = noise_images()
    assert not alone.mix.any()
    assert torch.equal(alone.changes, other.changes)
    assert torch.equal(apply(images, alone), apply(images, other))
    moves, jpeg = [], degrade.jpeg
    monkeypatch.setattr(degrade, "jpeg", lambda *args: moves.append(1) or jpeg(*args))
    apply(images, alone)
    assert len(moves) == 1


@pytest.mark.parametrize("weight, amplitudes", [(1.0, (0.2, 0.1)), (0.75, (0.175, 0.125))])
def test_apr_p_takes_the_amplitude_of_the_partner_and_keeps_its_own_phase(weight, amplitudes):
    def pair(first, second):
        return torch.cat(
            [cosine(6, 8, phase=0.7, amplitude=first), cosine(6, 8, phase=-0.4, amplitude=second)]
        )

    policy = FrequencyPolicy(amplitude_mix=weight, mix_kind="apr_p", mix_across_classes=True)
    changed = apply(pair(0.1, 0.2), draw(policy, labels=torch.zeros(2)))
    torch.testing.assert_close(changed, pair(*amplitudes), atol=1e-5, rtol=0)


def test_fda_swaps_amplitudes_up_to_its_radius_and_the_mean_with_them():
    second = cosine(2, 2, amplitude=0.05) + cosine(6, 8, amplitude=0.05) - 0.5
    images = torch.cat([cosine(2, 2, amplitude=0.1) - 0.1, second])
    policy = FrequencyPolicy(amplitude_mix=1.0, mix_kind="fda", mix_radius=0.2, mix_across_classes=True)
    params = replace(draw(policy, labels=torch.zeros(2)), mix_radius=torch.full((2, 1), 0.2))
    changed = torch.fft.rfft2(apply(images, params).double()).abs() / 32**2
    before = torch.fft.rfft2(images.double()).abs() / 32**2
    for bin_ in ((0, 0), (2, 2)):
        torch.testing.assert_close(changed[..., *bin_], before.flip(0)[..., *bin_], atol=1e-5, rtol=0)
    torch.testing.assert_close(changed[..., 6, 8], before[..., 6, 8], atol=1e-5, rtol=0)
