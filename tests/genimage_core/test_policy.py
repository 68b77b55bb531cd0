import json
import math
from dataclasses import replace
from itertools import combinations, product

import pytest
from augmentations import FLIPS, POLICIES

from genimage_core.limits import BOUNDS, CHOICES, CONSTRAINED, SWITCHES, WHOLE
from genimage_core.policy import FrequencyPolicy

ORDER = FrequencyPolicy.order


def test_the_default_is_the_identity():
    assert FrequencyPolicy().is_identity


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_operations_are_not_the_identity(policy):
    assert not policy.is_identity


@pytest.mark.parametrize(
    "policy, switched_off",
    [
        ("low_pass", {"mask_prob": 0.0}),
        ("ring", {"mask_radius": 0.0}),
        ("noise", {"noise_prob": 0.0}),
        ("tilt", {"tilt_prob": 0.0}),
        ("peaks", {"peak_prob": 0.0}),
        ("phase", {"phase_perturb_prob": 0.0}),
        ("phase", {"phase_perturb_scale": 0.0}),
        ("fact", {"mix_prob": 0.0}),
        ("apr_s", {"flip_prob": 0.0, "vertical_flip_prob": 0.0}),
        ("everything", {"blend_alpha": 0.0}),
        ("rotation", {"rotation_prob": 0.0}),
        ("translation", {"translation_prob": 0.0}),
        ("blur", {"blur_prob": 0.0}),
        ("jpeg", {"jpeg_prob": 0.0}),
    ],
)
def test_what_has_no_strength_or_no_probability_is_the_identity(policy, switched_off):
    assert replace(POLICIES[policy], **switched_off).is_identity


def test_companions_are_told_apart_by_the_order():
    policy = FrequencyPolicy(noise_scale=0.1, blur_sigma=1.0, **FLIPS)
    assert policy.spatial == (("flip",), ("blur",))
    assert policy.spectral == ("noise",)
    late = replace(policy, order="rotate noise mix tilt phase mask peaks blur flip translate jpeg")
    assert late.spatial == ((), ("blur", "flip"))


def test_apr_s_leaves_the_companions_to_the_copy():
    policy = FrequencyPolicy(amplitude_mix=1.0, mix_kind="apr_s", blur_sigma=1.0, **FLIPS)
    assert policy.spatial == ((), ())
    assert policy.copying == ("flip", "blur")
    assert policy.spectral == ("mix",)


NO_MIXING = [{"amplitude_mix": 0.0}, {"mix_prob": 0.0}, {"blend_alpha": 0.0}]


@pytest.mark.parametrize("switched_off", NO_MIXING, ids=str)
def test_apr_s_that_mixes_nothing_leaves_the_companions_to_the_image(switched_off):
    values = {"amplitude_mix": 1.0, "noise_scale": 0.3, "blur_sigma": 1.0, **FLIPS} | switched_off
    policy = FrequencyPolicy(mix_kind="apr_s", **values)
    fact = FrequencyPolicy(mix_kind="fact", **values)
    assert policy.copying == ()
    assert policy.spatial == fact.spatial == (("flip",), ("blur",))
    assert policy.spectral == fact.spectral


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("mask_radius", 0.7, r"mask_radius must be within \[0, 0.5\] cycles/pixel, got 0.7"),
        ("mask_radius", -0.1, r"mask_radius must be within \[0, 0.5\] cycles/pixel, got -0.1"),
        ("mask_prob", 1.1, r"mask_prob must be within \[0, 1\], got 1.1"),
        ("noise_scale", 2.5, r"noise_scale must be within \[0, 2\], got 2.5"),
        ("noise_scale", math.nan, r"noise_scale must be within \[0, 2\], got nan"),
        ("noise_scale", "0.3", r"noise_scale must be within \[0, 2\], got '0.3'"),
        ("noise_scale", True, r"noise_scale must be within \[0, 2\], got True"),
        ("noise_high", 0.8, r"noise_high must be within \[0, 0.707107\] cycles/pixel, got 0.8"),
        ("tilt", -1, r"tilt must be within \[0, 2\], got -1"),
        ("tilt_knee", 0, r"tilt_knee must be within \[0.001, 0.5\] cycles/pixel, got 0"),
        ("peak_count", 0, r"peak_count must be within \[1, 16\], got 0"),
        ("peak_count", 2.5, "peak_count must be a whole number, got 2.5"),
        ("phase_perturb_prob", 1.5, r"phase_perturb_prob must be within \[0, 1\], got 1.5"),
        ("phase_perturb_scale", 4, r"phase_perturb_scale must be within \[0, 3.14159\] rad, got 4"),
        ("blend_alpha", -1, r"blend_alpha must be within \[0, 1\], got -1"),
        ("amplitude_mix", 2, r"amplitude_mix must be within \[0, 1\], got 2"),
        ("rotation", 181, r"rotation must be within \[0, 180\] degrees, got 181"),
        ("translation", 0.6, r"translation must be within \[0, 0.5\] of the side, got 0.6"),
        ("blur_sigma", 11, r"blur_sigma must be within \[0, 10\] pixels, got 11"),
        ("jpeg_quality", 0, r"jpeg_quality must be within \[1, 100\], got 0"),
        ("mask_kind", "box", "mask_kind must be one of none, low_pass, high_pass, ring, random, got 'box'"),
        ("phase_kind", "normal", "phase_kind must be one of gaussian, uniform, got 'normal'"),
        ("mix_kind", "apr", "mix_kind must be one of fact, fda, apr_p, apr_s, got 'apr'"),
        ("blend_domain", "dct", "blend_domain must be one of spatial, magnitude_phase, got 'dct'"),
        ("blend_operation", "sum", "must be one of average, add, subtract, overlay, got 'sum'"),
        ("channels", "bgr", "channels must be one of rgb, independent, luma, got 'bgr'"),
        ("mix_across_classes", 1, "mix_across_classes must be true or false, got 1"),
        ("mask_keeps_mean", None, "mask_keeps_mean must be true or false, got None"),
        ("order", "mix mask", "order must be blur, flip, .*, each once, separated by spaces, got 'mix mask'"),
        ("order", ORDER + " flip", "each once, separated by spaces"),
        ("order", ORDER.replace("flip", "turn"), "each once, separated by spaces"),
        ("order", ["flip"], r"each once, separated by spaces, got \['flip'\]"),
        (
            "order",
            "mix flip rotate translate tilt noise phase mask peaks blur jpeg",
            "order must be such that mix, tilt, noise, phase, mask, peaks stand together",
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_named(field, value, message):
    with pytest.raises(ValueError, match=message):
        FrequencyPolicy(**{field: value})


@pytest.mark.parametrize("band", ["noise", "phase", "peak"])
def test_a_band_upside_down_is_refused(band):
    with pytest.raises(ValueError, match=f"{band}_low must be at most {band}_high, 0.2, got 0.4"):
        FrequencyPolicy(**{f"{band}_low": 0.4, f"{band}_high": 0.2})


def allowed(**values):
    try:
        FrequencyPolicy(**values)
    except ValueError:
        return False
    return True


def test_the_fields_that_constrain_each_other_are_listed():
    """Every pair of the outermost values of all fields, each of which is allowed alone."""
    ends = {name: CHOICES.get(name, BOUNDS.get(name, (0.0, 1.0))[:2]) for name in FrequencyPolicy().to_dict()}
    ends |= {name: (False, True) for name in SWITCHES} | {name: tuple(map(int, ends[name])) for name in WHOLE}
    ends["order"] = (ORDER,)
    found = {
        frozenset((one, other))
        for one, other in combinations(ends, 2)
        for a, b in product(ends[one], ends[other])
        if allowed(**{one: a}) and allowed(**{other: b}) and not allowed(**{one: a, other: b})
    }
    assert found == {frozenset(pair) for pair in CONSTRAINED}


@pytest.mark.parametrize("operation", ["add", "subtract", "overlay"])
def test_pictures_are_added_in_space_only(operation):
    message = f"blend_domain must be spatial if blend_operation is {operation}, got 'magnitude_phase'"
    with pytest.raises(ValueError, match=message):
        FrequencyPolicy(blend_operation=operation, blend_domain="magnitude_phase")


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_json_round_trip(policy):
    assert FrequencyPolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


def test_an_unknown_key_is_named_beside_the_known_ones():
    with pytest.raises(ValueError, match="unknown policy field 'mask_size'; known: mask_radius, mask_kind, "):
        FrequencyPolicy.from_dict({"mask_size": 3})
