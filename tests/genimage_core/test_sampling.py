import json
import math
from dataclasses import replace

import pytest
import torch
from augmentations import LABELS, POLICIES, draw, seeded, tensors
from scipy import stats

from genimage_core import sampling
from genimage_core.augment import AugmentParams, FrequencyPolicy, sample

N = 4000
CORNER = math.sqrt(0.5)


def drawn(name, column=0, **values):
    params = sample(FrequencyPolicy(**values), N, seeded(7))
    return getattr(params, name).view(N, -1)[:, column].double().numpy()


@pytest.mark.parametrize(
    "name, low, high, values",
    [
        ("mask", 0.0, CORNER - 0.2, {"mask_kind": "low_pass", "mask_radius": 0.2}),
        ("mask", 0.0, 0.2, {"mask_kind": "high_pass", "mask_radius": 0.2}),
        ("mask", 0.0, 0.2, {"mask_kind": "random", "mask_radius": 0.2}),
        ("mask", 0.0, 0.1, {"mask_kind": "ring", "mask_radius": 0.2}),
        ("mask_centre", 0.0, 0.5, {"mask_kind": "ring", "mask_radius": 0.2}),
        ("noise", 0.0, 0.4, {"noise_scale": 0.4}),
        ("tilt", -1.5, 1.5, {"tilt": 1.5}),
        ("peaks", 0.0, 0.3, {"peak_scale": 0.3}),
        ("mix", 0.0, 0.8, {"amplitude_mix": 0.8, "mix_across_classes": True}),
        ("mix_radius", 0.0, 0.3, {"mix_radius": 0.3}),
        ("rotate", -40.0, 40.0, {"rotation": 40.0}),
        ("translate", -0.2, 0.2, {"translation": 0.2}),
        ("blur", 0.0, 3.0, {"blur_sigma": 3.0}),
        ("seed", 0.0, 2.0**31, {}),
    ],
)
def test_strengths_are_uniform(name, low, high, values):
    numbers = drawn(name, **values)
    assert low - 1e-6 <= numbers.min() <= numbers.max() <= high + 1e-6
    assert stats.kstest(numbers, "uniform", (low, high - low)).pvalue > 0.01


@pytest.mark.parametrize(
    "name, values",
    [
        ("mask", {"mask_kind": "low_pass", "mask_radius": 0.2, "mask_prob": 0.3}),
        ("noise", {"noise_scale": 0.4, "noise_prob": 0.3}),
        ("tilt", {"tilt": 1.0, "tilt_prob": 0.3}),
        ("peaks", {"peak_scale": 0.1, "peak_prob": 0.3}),
        ("phase", {"phase_perturb_prob": 0.3}),
        ("mix", {"amplitude_mix": 0.8, "mix_across_classes": True, "mix_prob": 0.3}),
        ("flip", {"flip_prob": 0.3}),
        ("rotate", {"rotation": 40.0, "rotation_prob": 0.3}),
        ("translate", {"translation": 0.2, "translation_prob": 0.3}),
        ("blur", {"blur_sigma": 3.0, "blur_prob": 0.3}),
        ("jpeg", {"jpeg_prob": 0.3}),
    ],
)
def test_an_operation_acts_with_its_probability(name, values):
    assert float((drawn(name, **values) != 0).mean()) == pytest.approx(0.3, abs=0.03)


def test_strengths_that_are_not_drawn():
    assert set(drawn("phase", phase_perturb_prob=1.0, phase_perturb_scale=0.75)) == {0.75}
    for kind in ("fda", "apr_p"):
        mix = drawn("mix", amplitude_mix=0.5, mix_kind=kind, mix_across_classes=True)
        assert set(mix) == {0.5}


def test_jpeg_quality_is_uniform_over_the_integers():
    quality = drawn("jpeg", jpeg_prob=1.0, jpeg_quality=91).astype(int)
    counts = [int((quality == q).sum()) for q in range(91, 101)]
    assert sum(counts) == N
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("lowest", range(1, 101))
def test_jpeg_quality_is_within_its_ends_for_the_outermost_numbers(lowest):
    numbers = torch.tensor([0, 1 - 2**-24])  # of all that can be drawn
    assert sampling.quality(lowest, numbers).tolist() == [lowest, 100]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_an_empty_batch_has_no_strengths(policy):
    params = sample(policy, 0, seeded(), labels=torch.zeros(0))
    assert len(params) == len(params.changes) == len(params.spectral_changes) == 0


def test_the_draws_of_a_seed_stay_what_they_are():
    """Committed results of `spaces/fft.yaml`, whose fields these are, rest on them."""
    policy = FrequencyPolicy(
        mask_kind="low_pass", mask_radius=0.2, noise_scale=0.4, phase_perturb_prob=0.6, blend_alpha=0.6
    )
    params = sample(policy, 3, seeded(11))
    assert params.seed.flatten().tolist() == [293375679, 707468379, 833720247]
    assert params.mask.flatten().tolist() == [0.2942628562450409, 0.23460514843463898, 0.290185809135437]
    assert params.noise.flatten().tolist() == [0.24319659173488617, 0.1438150703907013, 0.287602037191391]
    assert params.phase.flatten().tolist() == [0.5, 0.5, 0.0]


def test_numbers_of_an_image_are_unrelated():
    params = sample(POLICIES["all_there_is"], N, seeded(3), labels=torch.zeros(N))
    everything = replace(params, policy=FrequencyPolicy(channels="independent"))
    names = ("mask", "noise", "tilt", "peaks", "mix", "phase", "rotate", "translate", "blur", "flip")
    columns = torch.cat([getattr(everything, name).view(N, -1).double() for name in names], 1)
    correlation = torch.corrcoef(columns.T) - torch.eye(columns.shape[1])
    assert correlation.abs().max() < 5 / math.sqrt(N)


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_every_policy_advances_the_generator_alike(policy):
    generators = seeded(), seeded()
    sample(policy, 6, generators[0], labels=LABELS)
    sample(FrequencyPolicy(), 6, generators[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_an_operation_does_not_change_what_the_others_draw():
    few = tensors(draw(FrequencyPolicy(noise_scale=0.5, blur_sigma=2.0)))
    many = tensors(draw(replace(POLICIES["all_there_is"], noise_scale=0.5, blur_sigma=2.0)))
    for name in ("noise", "blur", "seed"):
        assert torch.equal(few[name], many[name])


@pytest.mark.parametrize("name", ["everything", "everything_independent", "all_on_a_copy"])
def test_strengths_of_an_image_do_not_depend_on_the_length_of_the_batch(name):
    short, long = (tensors(sample(POLICIES[name], n, seeded(), labels=torch.zeros(n))) for n in (3, 64))
    for field in short.keys() - {"partner"}:
        assert torch.equal(short[field], long[field][:3])


def test_independent_channels_have_strengths_and_seeds_of_their_own():
    params = sample(FrequencyPolicy(noise_scale=0.5, channels="independent"), N, seeded(1))
    assert params.noise.shape == params.seed.shape == (N, 3)
    assert len(params.seed.unique()) > 3 * N - 10
    together = sample(FrequencyPolicy(noise_scale=0.5), N, seeded(1))
    assert torch.equal(params.noise[:, :1], together.noise)


def test_what_has_a_strength_is_said_to_change():
    params = sample(FrequencyPolicy(noise_scale=0.5, noise_prob=0.5, flip_prob=0.5), 64, seeded())
    assert torch.equal(params.changes, (params.noise[:, 0] > 0) | params.flip[:, 0])
    assert torch.equal(params.spectral_changes, params.noise > 0)


class TestPartners:
    @pytest.mark.parametrize("kind", ["fact", "fda", "apr_p"])
    def test_they_are_a_cycle_through_each_class(self, kind):
        labels = torch.randint(0, 2, (41,), generator=seeded(3))
        partner = draw(FrequencyPolicy(amplitude_mix=1.0, mix_kind=kind), labels=labels).partner
        assert torch.equal(labels[partner], labels)
        assert torch.equal(partner.sort().values, torch.arange(41))
        assert not (partner == torch.arange(41)).any()

    def test_across_classes_no_labels_are_needed(self):
        params = sample(POLICIES["mix_across_classes"], 64, seeded())
        labels = torch.arange(64) % 2
        assert 16 < (labels[params.partner] != labels).sum() < 48

    def test_an_image_alone_in_its_class_is_left_alone(self):
        params = draw(POLICIES["fact"], labels=torch.tensor([0, 1, 1, 1]))
        assert params.partner[0] == 0
        assert torch.equal(params.mix[:, 0] > 0, torch.tensor([False, True, True, True]))

    @pytest.mark.parametrize(
        "labels, message", [(None, "needs labels"), (torch.zeros(3), r"\(6,\), got \(3,\)")]
    )
    def test_labels_that_do_not_fit_are_refused(self, labels, message):
        with pytest.raises(ValueError, match=message):
            sample(POLICIES["fact"], 6, seeded(), labels=labels)


def test_params_that_were_written_for_a_policy_that_is_not_allowed_are_refused():
    values = json.loads(json.dumps(draw(POLICIES["noise"]).to_dict()))
    values["policy"]["noise_scale"] = 3
    with pytest.raises(ValueError, match=r"noise_scale must be within \[0, 2\], got 3"):
        AugmentParams.from_dict(values)
