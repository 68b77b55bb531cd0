from dataclasses import replace

import pytest
import torch

from genimage_core.augment import FrequencyPolicy, sample
from genimage_core.limits import CORNER
from genimage_core.showcase import at_share, show, single_operations

SPACE = {
    "mask_kind": {"choices": ["none", "low_pass", "ring"]},
    "mask_radius": {"low": 0.1, "high": 0.4},
    "noise_scale": {"low": 0.0, "high": 0.5},
    "noise_low": {"low": 0.1, "high": 0.3},
    "tilt": 0.0,
    "rotation": {"low": 0.0, "high": 90.0},
    "jpeg_prob": {"low": 0.0, "high": 0.5},
    "jpeg_quality": {"low": 40, "high": 90},
    "blend_alpha": 0.5,
}


@pytest.fixture
def pair():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_a_space_is_taken_apart_at_its_strongest():
    assert single_operations(SPACE) == {
        "rotate": FrequencyPolicy(rotation=90.0),
        "noise": FrequencyPolicy(noise_scale=0.5, noise_low=0.1),
        "mask low_pass": FrequencyPolicy(mask_kind="low_pass", mask_radius=0.1),
        "mask ring": FrequencyPolicy(mask_kind="ring", mask_radius=0.4),
        "jpeg": FrequencyPolicy(jpeg_prob=0.5, jpeg_quality=40),
    }


def test_a_space_without_an_operation_gives_none():
    assert single_operations({"freeze_depth": {"low": 0, "high": 4}, "noise_scale": 0.0}) == {}


def test_the_copy_of_apr_is_made_by_the_companions_of_the_space():
    found = single_operations({"amplitude_mix": 1.0, "mix_kind": "apr_s", "blur_sigma": 3.0})
    assert found["mix apr_s"].copying == ("blur",)
    assert "mix apr_s" not in single_operations({"amplitude_mix": 1.0, "mix_kind": "apr_s"})


STRONGEST = {  # the end of each range that changes an image most, and what has to be on to see it
    "mask_radius": (0.4, {"mask_kind": "ring"}),
    "mask_softness": (0.05, {"mask_kind": "ring", "mask_radius": 0.4}),
    "noise_scale": (0.4, {}),
    "noise_low": (0.05, {"noise_scale": 0.5}),
    "noise_high": (0.4, {"noise_scale": 0.5}),
    "tilt": (0.4, {}),
    "tilt_knee": (0.05, {"tilt": 1.0}),
    "peak_scale": (0.4, {}),
    "phase_perturb_scale": (0.4, {"phase_perturb_prob": 1.0}),
    "phase_low": (0.05, {"phase_perturb_prob": 1.0}),
    "phase_high": (0.4, {"phase_perturb_prob": 1.0}),
    "amplitude_mix": (0.4, {}),
    "mix_radius": (0.4, {"mix_kind": "fda", "amplitude_mix": 1.0}),
    "rotation": (0.4, {}),
    "translation": (0.4, {}),
    "blur_sigma": (0.4, {}),
}


def only(policies):
    (policy,) = policies.values()
    return policy


@pytest.mark.parametrize("name", STRONGEST)
def test_the_strongest_end_of_every_range_is_the_one_that_changes_most(pair, name):
    end, others = STRONGEST[name]
    found = only(single_operations({**others, name: {"low": 0.05, "high": 0.4}}))
    assert getattr(found, name) == end
    weaker = replace(found, **{name: 0.45 - end})
    size = [(show(pair, policy, 1.0, 3) - pair).square().mean() for policy in (weaker, found)]
    assert size[0] < size[1]


def test_whole_numbers_and_switches_have_a_strongest_end_too(pair):
    space = {"mask_kind": "high_pass", "mask_radius": 0.3, "mask_keeps_mean": {"choices": [True, False]}}
    assert only(single_operations(space)).mask_keeps_mean is False
    space = {"peak_scale": 0.2, "peak_count": {"low": 1, "high": 4, "type": "int"}}
    assert only(single_operations(space)).peak_count == 4


def test_an_operation_that_never_acts_is_left_out():
    assert single_operations({"noise_scale": 0.5, "noise_prob": 0.0}) == {}


def test_a_ring_is_seen_at_a_third_of_its_strength(pair):
    space = {"mask_kind": "ring", "mask_radius": {"low": 0.05, "high": 0.5}}
    space |= {"mask_softness": {"low": 0.0, "high": 0.2}}
    faint = 0.4 + 0.2 * pair  # nothing is clamped
    changed = show(faint, only(single_operations(space)), 1 / 3, 3)
    assert float((changed - faint).abs().max()) > 0.03  # 30 of 255 where it is shown enlarged
    before, after = (torch.fft.rfft2(images).abs()[..., 8, 0] for images in (faint, changed))
    assert float((after / before).max()) < 1e-3  # black in the log-spectrum


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"mask_radius": {"low": 0.1}}, r"mask_radius must be a value, \{low, high\} or \{choices\}, got"),
        ({"mask_radius": {}}, "mask_radius must be a value"),
        ({"mask_kind": {"low": 0, "high": 1}}, r"mask_kind must be a value or \{choices\}, got"),
        ({"mask_kind": {"choices": 5}}, "choices of mask_kind must be a list of at least one value, got 5"),
        (
            {"mask_kind": {"choices": []}},
            r"choices of mask_kind must be a list of at least one value, got \[\]",
        ),
        ({"tilt": {"choices": "high"}}, "choices of tilt must be a list"),
        ({"mask_radius": {"low": "a", "high": 0.2}}, r"low of mask_radius must be a number, got 'a'"),
        ({"mask_kind": {"choices": ["box"]}}, "mask_kind must be one of none, low_pass"),
        ({"noise_scale": None}, r"noise_scale must be within \[0, 2\], got None"),
    ],
)
def test_an_entry_that_is_not_allowed_is_named(entry, message):
    with pytest.raises(ValueError, match=message):
        single_operations(entry)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_strengths_are_shares_of_the_greatest(share):
    def shown(**values):
        policy = FrequencyPolicy(**values)
        return at_share(sample(policy, 2, torch.Generator(), labels=torch.zeros(2)), share)

    assert shown(noise_scale=0.6).noise.flatten().tolist() == pytest.approx([share * 0.6] * 2)
    assert shown(rotation=90).rotate.tolist() == [share * 90] * 2
    low_pass = shown(mask_kind="low_pass", mask_radius=0.2)
    radius = low_pass.mask_centre - low_pass.mask
    assert radius.flatten().tolist() == pytest.approx([CORNER - share * (CORNER - 0.2)] * 2)
    assert shown(jpeg_prob=1.0, jpeg_quality=40).jpeg.tolist() == [{0.0: 0, 0.5: 70, 1.0: 40}[share]] * 2


@pytest.mark.parametrize("name", single_operations(SPACE))
def test_nothing_at_zero_and_more_with_strength(pair, name):
    policy = single_operations(SPACE)[name]
    assert torch.equal(show(pair, policy, 0.0, 3), pair)
    changes = [(show(pair, policy, share, 3) - pair).square().mean() for share in (1 / 3, 1.0)]
    assert 0 < changes[0] < changes[1]
    assert torch.equal(show(pair, policy, 0.7, 3), show(pair, policy, 0.7, 3))
