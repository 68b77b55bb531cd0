import time
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch
import yaml

from genimage_core.augment import apply, sample
from genimage_core.data.batches import ImageSet
from genimage_core.detectors.catalogue import DETECTORS
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.limits import SPATIAL, SPECTRAL
from genimage_core.policy import FrequencyPolicy
from genimage_core.settings import DataSettings, DetectorSettings, TrainingSettings
from genimage_core.showcase import single_operations
from search.base import Base, base_recipe
from search.searcher import suggest_parameters
from search.sections import Choices, Range
from search.space import SEARCHABLE, Space, build_protocol, dump_space, load_space, settle

pytestmark = pytest.mark.usefixtures("one_thread")
SPACES = sorted((Path(__file__).parents[2] / "spaces").rglob("*.yaml"))
ROOTS = {"embedded": None, "given root": "/somewhere/GenImage"}
MINIMAL = {
    "name": "tiny",
    "data": {"root": "/somewhere"},
    "protocol": {"search": ["sd14", "adm"]},
    "detector": {"base": "generator:sd14"},
}


SWIN_T = TrainingSettings(**DETECTORS["swin_t"].training)


def write(path, **sections):
    file = path / "tiny.yaml"
    file.write_text(yaml.safe_dump({**MINIMAL, **sections}))
    return file


def load(path, **sections):
    return load_space(write(path, **sections))


def draws(space, count, seed=0):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [suggest_parameters(space, study.ask()) for _ in range(count)]


def test_there_are_space_files():
    assert "fft.yaml" in [path.name for path in SPACES]


@pytest.mark.parametrize("root", ROOTS.values(), ids=ROOTS.keys())
@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
class TestEverySpaceFile:
    def load(self, path, root):
        return load_space(path, {"data": {"root": root}})

    def test_is_sampled_and_applied(self, path, root):
        space = self.load(path, root)
        images = torch.rand((2, 3, 33, 32), generator=torch.Generator().manual_seed(0))
        plans = [settle(space, values) for values in draws(space, 20)]
        for plan in plans:
            params = sample(
                plan.policy,
                2,
                torch.Generator().manual_seed(1),
                labels=torch.tensor([0, 1], dtype=torch.uint8),
            )
            changed = apply(images, params)
            assert changed.shape == images.shape and changed.dtype == torch.float32
            assert changed.isfinite().all() and changed.min() >= 0 and changed.max() <= 1
        assert len(set(plans)) > 1 if space.parameters else len(set(plans)) == 1

    def test_has_a_baseline_without_augmentation(self, path, root):
        space = self.load(path, root)
        plan = settle(space, {}, baseline=True)
        assert plan.policy.is_identity and plan.policy == FrequencyPolicy()
        assert plan.training == space.training and plan.freeze_depth == space.detector.freeze_depth

    def test_survives_the_round_trip(self, path, root, tmp_path):
        space = self.load(path, root)
        (tmp_path / "again.yaml").write_text(dump_space(space))
        again = load_space(tmp_path / "again.yaml")
        assert again == space and dump_space(again) == dump_space(space)

    def test_has_folds_to_judge_on(self, path, root):
        space = self.load(path, root)
        kind, _, generator = space.detector.base.partition(":")
        protocol = build_protocol(space, (generator,) if kind == "generator" else ())
        assert any(fold.off_family for fold in protocol.folds)
        assert not set(protocol.search) & set(protocol.sealed)


def test_the_example_searches_the_five_parameters_of_the_study():
    space = load_space(next(path for path in SPACES if path.name == "fft.yaml"))
    studied = {"mask_radius", "noise_scale", "phase_perturb_prob", "blend_alpha", "freeze_depth"}
    assert set(space.parameters) == studied


def test_the_wide_example_searches_every_operation_and_names_the_fields_that_it_leaves_out():
    path = next(path for path in SPACES if path.name == "everything.yaml")
    searched = set(load_space(path).parameters)
    header = "".join(line for line in path.read_text().splitlines(True) if line.startswith("#"))
    left_out = set(header.partition("defaults: ")[2].partition(".\n")[0].replace("#", " ").split())
    assert {name.strip(",") for name in left_out} == {f.name for f in fields(FrequencyPolicy)} - searched
    choices = {name: {"choices": entry.ends} for name, entry in load_space(path).parameters.items()}
    assert {name.split()[0] for name in single_operations(choices)} == set(SPATIAL + SPECTRAL)


def test_every_field_of_policy_training_and_detector_can_be_searched():
    outside = {"epochs", "name"}  # these decide what trials share
    of_settings = {
        f.name for cls in (FrequencyPolicy, TrainingSettings, DetectorSettings) for f in fields(cls)
    }
    assert set(SEARCHABLE) == of_settings - outside


BAD = {
    "unknown key at the top": ({"sapce": {}}, "sapce", "embedded"),
    "unknown key in data": ({"data": {"root": "/x", "size": 64}}, "data.size", "image_size"),
    "unknown key in protocol": ({"protocol": {"search": ["adm"], "folds": 3}}, "protocol.folds", "sealed"),
    "unknown key in detector": ({"detector": {"nam": "swin_t"}}, "detector.nam", "freeze_depth"),
    "unknown key in training": ({"training": {"lr": 0.1}}, "training.lr", "learning_rate"),
    "unknown key in base_training": ({"base_training": {"lr": 0.1}}, "base_training.lr", "learning_rate"),
    "unknown key in search": ({"search": {"trails": 3}}, "search.trails", "trials"),
    "unknown key in resources": ({"resources": {"gpus": 3}}, "resources.gpus", "gpus_per_worker"),
    "unknown parameter": ({"space": {"radius": {"low": 0, "high": 0.5}}}, "space.radius", "mask_radius"),
    "unknown key of a parameter": (
        {"space": {"noise_scale": {"low": 0, "high": 0.5, "max": 1}}},
        "space.noise_scale",
        "choices",
    ),
    "parameter without an end": ({"space": {"noise_scale": {"low": 0}}}, "space.noise_scale", "high"),
    "low above high": ({"space": {"noise_scale": {"low": 0.5, "high": 0.1}}}, "space.noise_scale", "exceed"),
    "radius beyond Nyquist": (
        {"space": {"mask_radius": {"low": 0, "high": 0.6}}},
        "space.mask_radius",
        "0.5",
    ),
    "fixed radius beyond Nyquist": ({"space": {"mask_radius": 0.6}}, "space.mask_radius", "0.5"),
    "log from 0": (
        {"space": {"learning_rate": {"low": 0, "high": 0.1, "log": True}}},
        "space.learning_rate",
        "above 0",
    ),
    "log with a step": (
        {"space": {"learning_rate": {"low": 0.1, "high": 0.2, "log": True, "step": 0.1}}},
        "space.learning_rate",
        "no step",
    ),
    "whole numbers with a fraction": (
        {"space": {"freeze_depth": {"low": 0, "high": 2.5, "type": "int"}}},
        "space.freeze_depth",
        "whole",
    ),
    "a depth that is not whole": (
        {"space": {"freeze_depth": {"low": 0, "high": 2}}},
        "space.freeze_depth",
        "int",
    ),
    "a depth beyond the last part": (
        {"space": {"freeze_depth": {"low": 0, "high": 6, "type": "int"}}},
        "space.freeze_depth",
        "0 to 5",
    ),
    "a range that mixes kinds": (
        {"space": {"batch_size": {"low": 8, "high": 64}}},
        "space.batch_size",
        "int",
    ),
    "a fixed depth that is not whole": ({"space": {"freeze_depth": 1.5}}, "space.freeze_depth", "whole"),
    "a batch of half an image": ({"space": {"batch_size": 32.5}}, "space.batch_size", "whole"),
    "a flip that is a word": ({"space": {"flip": "maybe"}}, "space.flip", "true or false"),
    "no choices": ({"space": {"mask_kind": {"choices": []}}}, "space.mask_kind", "at least 1"),
    "an impossible choice": (
        {"space": {"mask_kind": {"choices": ["ring", "square"]}}},
        "space.mask_kind",
        "high_pass",
    ),
    "condition on nothing": (
        {"space": {"mask_radius": {"low": 0, "high": 0.5, "when": {"mask_kind": ["ring"]}}}},
        "space.mask_radius.when",
        "mask_kind",
    ),
    "condition on a range": (
        {
            "space": {
                "noise_scale": {"low": 0, "high": 0.5},
                "mask_radius": {"low": 0, "high": 0.5, "when": {"noise_scale": [0.1]}},
            }
        },
        "space.mask_radius.when",
        "choices",
    ),
    "condition on what cannot be chosen": (
        {
            "space": {
                "mask_kind": {"choices": ["none", "ring"]},
                "mask_radius": {"low": 0, "high": 0.5, "when": {"mask_kind": ["random"]}},
            }
        },
        "space.mask_radius.when",
        "'none', 'ring'",
    ),
    "bands that can be drawn upside down": (
        {"space": {"noise_low": {"low": 0, "high": 0.5}, "noise_high": {"low": 0.1, "high": 0.7}}},
        "space.noise_low and space.noise_high",
        "noise_low must be at most noise_high, 0.1, got 0.5",
    ),
    "a band with a fixed end that can be drawn upside down": (
        {"space": {"peak_low": {"low": 0, "high": 0.4}, "peak_high": 0.3}},
        "space.peak_low and space.peak_high",
        "peak_low must be at most peak_high, 0.3, got 0.4",
    ),
    "a fixed band upside down": (
        {"space": {"mask_kind": "ring", "phase_high": 0.2, "phase_low": 0.4}},
        "space.phase_low and space.phase_high",
        "phase_low must be at most phase_high, 0.2, got 0.4",
    ),
    "choices that do not go together": (
        {
            "space": {
                "blend_operation": {"choices": ["average", "add"]},
                "blend_domain": {"choices": ["spatial", "magnitude_phase"]},
            }
        },
        "space.blend_domain and space.blend_operation",
        "spatial if blend_operation is add",
    ),
    "conditions under which a pair is met": (
        {
            "space": {
                "mask_kind": {"choices": ["none", "ring"]},
                "channels": {"choices": ["rgb", "luma"]},
                "noise_low": {"low": 0, "high": 0.5, "when": {"mask_kind": ["ring"]}},
                "noise_high": {"low": 0.1, "high": 0.7, "when": {"channels": ["rgb"]}},
            }
        },
        "space.noise_low and space.noise_high",
        "at most noise_high",
    ),
    "a condition that lets one bad choice through": (
        {
            "space": {
                "blend_operation": {"choices": ["average", "add", "overlay"]},
                "blend_domain": {
                    "choices": ["spatial", "magnitude_phase"],
                    "when": {"blend_operation": ["average", "overlay"]},
                },
            }
        },
        "space.blend_domain and space.blend_operation",
        "spatial if blend_operation is overlay",
    ),
    "depth of random weights": (
        {"detector": {"base": "scratch", "freeze_depth": 1}},
        "freeze_depth",
        "scratch",
    ),
    "fixed depth of random weights": (
        {"detector": {"base": "scratch"}, "space": {"freeze_depth": 2}},
        "space.freeze_depth",
        "scratch",
    ),
    "searched depth of random weights": (
        {"detector": {"base": "scratch"}, "space": {"freeze_depth": {"low": 0, "high": 4, "type": "int"}}},
        "space.freeze_depth",
        "scratch",
    ),
    "unknown base": ({"detector": {"base": "clip"}}, "base", "imagenet"),
    "base without its generator": ({"detector": {"base": "generator:"}}, "base", "generator:NAME"),
    "unknown objective": ({"search": {"objective": "loss"}}, "search.objective", "off_family_accuracy"),
    "unknown sampler": ({"search": {"sampler": "grid"}}, "search.sampler", "tpe"),
    "no trials": ({"search": {"trials": 0}}, "search.trials", "1"),
    "trials as text": ({"search": {"trials": "many"}}, "search.trials", "integer"),
    "no images": ({"data": {"root": "/x", "train_per_class": 0}}, "train_per_class", "at least 1"),
    "unknown alignment": ({"data": {"root": "/x", "format_alignment": "png"}}, "format_alignment", "jpeg96"),
    "unknown protocol": ({"protocol": {"search": ["adm"], "train_on": "all"}}, "protocol.train_on", "one"),
    "protocol without search": ({"protocol": {"sealed": ["adm"]}}, "protocol.search", "required"),
    "unknown generator": ({"protocol": {"search": ["adm", "sdxl"]}}, "protocol.search", "glide"),
    "unknown sealed generator": (
        {"protocol": {"search": ["adm", "sd14"], "sealed": ["sdxl"]}},
        "protocol.sealed",
        "glide",
    ),
    "negative rate": ({"training": {"learning_rate": -1.0}}, "learning_rate", "above 0"),
    "name with a slash": ({"name": "a/b"}, "name", "pattern"),
    "no CPUs": ({"resources": {"cpus_per_worker": -1}}, "resources.cpus_per_worker", "than"),
    "resources as a word": (
        {"resources": {"workers_per_trial": "all"}},
        "resources.workers_per_trial",
        "auto",
    ),
}


@pytest.mark.parametrize(("sections", "key", "allowed"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_one_line_with_file_key_and_what_is_allowed(tmp_path, sections, key, allowed):
    with pytest.raises(ValueError) as refused:
        load(tmp_path, **sections)
    text = str(refused.value)
    assert text.count("\n") == 0, text
    assert text.startswith(f"{tmp_path / 'tiny.yaml'}: ")
    assert key in text and allowed in text.replace(key, "", 1)


def test_the_value_that_was_given_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"got .*0\.6"):
        load(tmp_path, space={"mask_radius": {"low": 0.1, "high": 0.6}})
    with pytest.raises(ValueError, match="got 'loss'"):
        load(tmp_path, search={"objective": "loss"})


def test_two_mistakes_are_two_lines(tmp_path):
    with pytest.raises(ValueError) as refused:
        load(tmp_path, search={"trials": 0, "trails": 3}, training={"batch_size": 1})
    lines = str(refused.value).splitlines()
    assert len(lines) == 3 and all(line.startswith(f"{tmp_path / 'tiny.yaml'}: ") for line in lines)


@pytest.mark.parametrize(
    ("content", "said"),
    [("- a\n- b\n", "list"), ("", "NoneType"), ("just text", "str"), ("a: [1, 2\n", ""), ("a: b: c", "")],
)
def test_what_is_not_keys_and_values_is_refused(tmp_path, content, said):
    file = tmp_path / "odd.yaml"
    file.write_text(content)
    with pytest.raises(ValueError) as refused:
        load_space(file)
    assert str(file) in str(refused.value) and said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("section", ["data", "protocol", "search", "space", "embedded", "training"])
@pytest.mark.parametrize("content", [["low"], "low", 3])
def test_a_section_that_is_no_section_is_refused(tmp_path, section, content):
    with pytest.raises(ValueError) as refused:
        load(tmp_path, **{"data": {"root": None}, section: content})
    assert section in str(refused.value) and "tiny.yaml" in str(refused.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    file = tmp_path / "picture.yaml"
    file.write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match=r"picture\.yaml"):
        load_space(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.yaml"):
        load_space(tmp_path / "nowhere.yaml")


def test_an_empty_section_means_its_defaults(tmp_path):
    space = load(tmp_path, space={}, embedded=None)
    assert space.parameters == {} and space.training == SWIN_T


@pytest.mark.parametrize("name", DETECTORS)
def test_what_a_file_does_not_say_of_training_is_as_the_authors_have_it(tmp_path, name):
    own = DETECTORS[name].training
    sections = {"detector": {"name": name, "base": "scratch"}, "base_training": {"epochs": 7}}
    space = load(tmp_path, **sections)
    assert space.training == TrainingSettings(**own)
    assert space.base_training == TrainingSettings(**{**own, "epochs": 7})
    said = load(tmp_path, **sections, training={"optimizer": "adamw", "learning_rate": 0.03})
    assert said.training == TrainingSettings(**{**own, "optimizer": "adamw", "learning_rate": 0.03})


def test_cnnspot_blurs_and_compresses_whatever_is_searched_beside_it(tmp_path):
    own = FrequencyPolicy(blur_sigma=3.0, blur_prob=0.5, jpeg_prob=0.5, jpeg_quality=30)
    space = load(
        tmp_path,
        detector={"name": "cnnspot", "base": "scratch"},
        space={"noise_scale": {"low": 0.1, "high": 0.5}, "jpeg_prob": 0.1},
    )
    assert settle(space, {"noise_scale": 0.3}, baseline=True).policy == own
    assert settle(space, {"noise_scale": 0.3}).policy == replace(own, noise_scale=0.3, jpeg_prob=0.1)


FINGERPRINTED = ImageSet((np.zeros((2, 32, 32, 3), np.uint8),), np.array([0, 1], np.uint8), "abc")
INFO = CheckpointInfo("swin_t", 224, ("sd14",), "none", False)
SEVERAL = {"train_on": "all_but_one", "search": ["sd14", "adm", "glide"]}


@pytest.mark.parametrize(
    "training", [{"patience": 2}, {"curriculum": "glide, adm, sd14"}, {"curriculum": "measured"}]
)
def test_what_needs_several_training_generators_is_refused_without(tmp_path, training):
    assert load(tmp_path, protocol=SEVERAL, training=training).training == replace(SWIN_T, **training)
    [key] = training
    two = {"train_on": "all_but_one", "search": ["sd14", "adm"]}
    for protocol in (MINIMAL["protocol"], two):
        with pytest.raises(ValueError, match=rf"training\.{key}: .*folds train on one generator"):
            load(tmp_path, protocol=protocol, training=training)
    searched = {key: {"choices": [next(iter(training.values())), {"patience": 0}.get(key, "none")]}}
    if key == "curriculum":
        assert load(tmp_path, protocol=SEVERAL, space=searched).parameters
        with pytest.raises(ValueError, match=rf"space\.{key}: "):
            load(tmp_path, space=searched)


@pytest.mark.parametrize(
    ("training", "base", "named"),
    [
        ({"curriculum": "glide, adm"}, "generator:sd14", "it lacks sd14"),
        ({"curriculum": "measured"}, "imagenet", "generator:NAME"),
        ({"patience": -1}, "generator:sd14", "patience"),
        ({"patience": 1.5}, "generator:sd14", "patience"),
        ({"curriculum": "glide, adm, sd14, bigan"}, "generator:sd14", "names 'bigan'"),
    ],
)
def test_impossible_orders_and_patience_are_refused(tmp_path, training, base, named):
    with pytest.raises(ValueError, match=named):
        load(tmp_path, protocol=SEVERAL, training=training, detector={"base": base})


@pytest.mark.parametrize(("key", "value"), [("ema_decay", 0.9), ("patience", 2), ("curriculum", "measured")])
def test_a_base_is_trained_plainly(tmp_path, key, value):
    with pytest.raises(ValueError, match=rf"base_training\.{key}"):
        load(tmp_path, protocol=SEVERAL, base_training={"epochs": 1, key: value})
    space = load(tmp_path, protocol=SEVERAL, detector={"base": "generator:sd14"}, training={key: value})
    base = Base("generator:sd14", "generator", "sd14", ("sd14",))
    recipe = base_recipe(space, base, FINGERPRINTED, INFO)
    plain = load(tmp_path, protocol=SEVERAL, detector={"base": "generator:sd14"})
    assert recipe == base_recipe(
        plain, Base("generator:sd14", "generator", "sd14", ("sd14",)), FINGERPRINTED, INFO
    )


@pytest.mark.parametrize("where", ["training", "space"])
def test_stochastic_depth_is_refused_where_a_detector_has_none(tmp_path, where):
    entry = {"drop_path": 0.1 if where == "training" else {"low": 0.0, "high": 0.2}}
    with pytest.raises(ValueError, match=rf"{where}\.drop_path: .*f3net"):
        load(tmp_path, detector={"name": "f3net"}, **{where: entry})


def test_bases_can_be_searched(tmp_path):
    names = ["imagenet", "generator:sd14", "checkpoint:x.safetensors"]
    space = load(tmp_path, space={"base": {"choices": names}}, detector={"base": "generator:adm"})
    assert space.bases == ("generator:adm", *names)
    assert [settle(space, {"base": name}).base for name in names] == names
    assert settle(space, {"base": "imagenet"}, baseline=True).base == "generator:adm"
    assert load(tmp_path, space={"base": "generator:sd14"}).bases == (MINIMAL["detector"]["base"],)
    with pytest.raises(ValueError, match=r"space\.base: base"):
        load(tmp_path, space={"base": {"choices": ["imagenet", "elsewhere"]}})
    frozen = {"low": 0, "high": 3, "type": "int"}
    with pytest.raises(ValueError, match="frozen random weights"):
        load(tmp_path, space={"base": {"choices": ["imagenet", "scratch"]}, "freeze_depth": frozen})
    apart = {
        "base": {"choices": ["imagenet", "scratch"]},
        "freeze_depth": {**frozen, "when": {"base": ["imagenet"]}},
    }
    assert settle(load(tmp_path, space=apart), {"base": "scratch"}).freeze_depth == 0


CONDITIONAL = {
    "mask_radius": {"low": 0.1, "high": 0.5, "when": {"mask_kind": ["ring", "low_pass"]}},
    "mask_kind": {"choices": ["none", "ring", "low_pass"]},
    "phase_perturb_scale": {"low": 0.1, "high": 1.0, "when": {"mask_kind": ["none"], "channels": ["luma"]}},
    "channels": {"choices": ["rgb", "luma"]},
}


NEVER_TOGETHER = {
    "a child and the choice that excludes it": {
        "blend_operation": {"choices": ["average", "add"]},
        "blend_domain": {"choices": ["spatial", "magnitude_phase"], "when": {"blend_operation": ["average"]}},
    },
    "two children of different choices": {
        "mask_kind": {"choices": ["none", "ring"]},
        "noise_low": {"low": 0, "high": 0.5, "when": {"mask_kind": ["ring"]}},
        "noise_high": {"low": 0.1, "high": 0.7, "when": {"mask_kind": ["none"]}},
    },
    "ends that meet": {
        "noise_low": {"low": 0, "high": 0.3},
        "noise_high": {"low": 0.3, "high": 0.7},
    },
}


@pytest.mark.parametrize("space", NEVER_TOGETHER.values(), ids=NEVER_TOGETHER)
def test_values_that_never_meet_need_not_go_together(tmp_path, space):
    loaded = load(tmp_path, space=space)
    for values in draws(loaded, 40):
        settle(loaded, values)


def test_a_large_space_is_checked_at_once():
    path = next(path for path in SPACES if path.name == "everything.yaml")
    load_space(path)
    start = time.process_time()
    load_space(path)
    assert time.process_time() - start < 0.2


def test_conditional_parameters_are_drawn_when_the_condition_holds(tmp_path):
    met = {"radius": set(), "scale": set()}
    for values in draws(load(tmp_path, space=CONDITIONAL), 60):
        masks = values["mask_kind"] != "none"
        both = not masks and values["channels"] == "luma"
        assert ("mask_radius" in values) == masks
        assert ("phase_perturb_scale" in values) == both
        met["radius"].add(masks)
        met["scale"].add(both)
    assert met == {"radius": {True, False}, "scale": {True, False}}


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        ({"low": 1, "high": 4, "type": "int"}, int),
        ({"low": 0, "high": 4, "type": "int", "step": 2}, int),
        ({"choices": [1, 3]}, int),
    ],
)
def test_draws_lie_within_what_is_written(tmp_path, parameter, kind):
    values = [drawn["freeze_depth"] for drawn in draws(load(tmp_path, space={"freeze_depth": parameter}), 60)]
    allowed = parameter.get("choices") or range(
        parameter["low"], parameter["high"] + 1, parameter.get("step", 1)
    )
    assert set(values) == set(allowed) and {type(value) for value in values} == {kind}


def test_log_ranges_give_every_decade_its_share(tmp_path):
    space = load(tmp_path, space={"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}})
    rates = [drawn["learning_rate"] for drawn in draws(space, 400)]
    assert min(rates) >= 1e-5 and max(rates) <= 1e-1
    assert 0.4 < sum(rate < 1e-3 for rate in rates) / 400 < 0.6


def test_sampled_values_stand_over_fixed_ones_and_those_over_sections(tmp_path):
    space = load(
        tmp_path,
        training={"learning_rate": 0.01, "batch_size": 8, "weight_decay": 0.5},
        space={"noise_scale": {"low": 0.0, "high": 1.0}, "learning_rate": 0.02, "mask_kind": "ring"},
    )
    plan = settle(space, {"noise_scale": 0.7})
    assert plan.policy == FrequencyPolicy(noise_scale=0.7, mask_kind="ring")
    assert plan.training == replace(SWIN_T, learning_rate=0.02, batch_size=8, weight_decay=0.5)
    baseline = settle(space, {"noise_scale": 0.7}, baseline=True)
    assert baseline.policy == FrequencyPolicy() and baseline.training.learning_rate == 0.01


def test_the_embedded_section_holds_for_the_embedded_data_alone(tmp_path):
    sections = {
        "data": {"image_size": 224, "train_per_class": 2000},
        "search": {"trials": 64, "seed": 5},
        "embedded": {"data": {"image_size": 64}, "search": {"trials": 10}, "training": {"epochs": 2}},
    }
    file = write(tmp_path, **sections)
    for root in (None, "mini"):
        space = load_space(file, {"data": {"root": root}})
        assert (space.data.image_size, space.data.train_per_class) == (64, 2000)
        assert (space.search.trials, space.search.seed, space.training.epochs) == (10, 5, 2)
    space = load_space(file, {"data": {"root": "/somewhere"}})
    assert space.data == DataSettings(image_size=224, train_per_class=2000, root="/somewhere")
    assert (space.search.trials, space.training.epochs) == (64, 3)


def test_the_command_line_wins_over_everything(tmp_path):
    file = write(tmp_path, data={}, search={"trials": 64}, embedded={"search": {"trials": 10, "seed": 3}})
    space = load_space(file, {"search": {"trials": 2, "seed": None}})
    assert (space.search.trials, space.search.seed) == (2, 3)
    assert load_space(file, {"data": {"root": "mini"}, "search": {"trials": 4}}).search.trials == 4


def test_a_mistake_in_the_embedded_section_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"search\.trails"):
        load(tmp_path, data={}, embedded={"search": {"trails": 3}})


def test_spaces_cannot_be_changed(tmp_path):
    space = load(
        tmp_path, space={"noise_scale": {"low": 0.0, "high": 1.0}, "mask_kind": {"choices": ["ring"]}}
    )
    with pytest.raises(ValueError):
        space.name = "other"
    assert isinstance(space.space["noise_scale"], Range) and isinstance(space.space["mask_kind"], Choices)
    assert isinstance(space, Space)
