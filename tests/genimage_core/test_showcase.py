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
