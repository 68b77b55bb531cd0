from dataclasses import FrozenInstanceError

import pytest

from genimage_core.settings import DataSettings, DetectorSettings, TrainingSettings, derive_seed

NAN = float("nan")
REFUSED = [
    (DataSettings, "image_size", 0),
    (DataSettings, "train_per_class", 0),
    (DataSettings, "val_per_class", -1),
    (DataSettings, "format_alignment", "jpeg95"),
    (DataSettings, "crop", "center"),
    (DataSettings, "margin", 0),
    (DataSettings, "margin", 31),
    (DataSettings, "margin", 32.0),
    (DataSettings, "max_bad_share", -0.1),
    (DataSettings, "max_bad_share", 1.1),
    (DataSettings, "max_bad_share", NAN),
    (DataSettings, "real_size", (550, 450)),
    (DataSettings, "real_size", (0, 450)),
    (DataSettings, "real_size", (450,)),
    (DataSettings, "real_size", (450.0, 550)),
    (TrainingSettings, "epochs", 0),
    (TrainingSettings, "batch_size", 1),
    (TrainingSettings, "learning_rate", 0.0),
    (TrainingSettings, "learning_rate", 1.1),
    (TrainingSettings, "learning_rate", NAN),
    (TrainingSettings, "weight_decay", -0.1),
    (TrainingSettings, "weight_decay", NAN),
    (TrainingSettings, "warmup", 1.1),
    (TrainingSettings, "warmup", -0.1),
    (DetectorSettings, "base", "generator"),
    (DetectorSettings, "base", "checkpoint:"),
    (DetectorSettings, "base", "imagenet:x"),
    (DetectorSettings, "freeze_depth", 6),
    (DetectorSettings, "freeze_depth", -1),
]


@pytest.mark.parametrize(("settings", "field", "value"), REFUSED)
def test_a_refusal_names_the_field_and_the_value(settings, field, value):
    with pytest.raises(ValueError) as refused:
        settings(**{field: value})
    assert field in str(refused.value) and repr(value) in str(refused.value)


@pytest.mark.parametrize(("crop", "stored"), [("centre", 224), ("resize", 224), ("random", 256)])
def test_only_random_crops_need_a_margin(crop, stored):
    assert DataSettings(crop=crop).stored_size == stored
    assert DataSettings(crop=crop, real_size=(450, 550)).real_size == (450, 550)


@pytest.mark.parametrize(
    "base", ["scratch", "imagenet", "generator:sd14", "checkpoint:C:/weights.safetensors"]
)
def test_bases_that_exist(base):
    assert DetectorSettings(base=base).base == base


def test_random_weights_cannot_be_frozen():
    with pytest.raises(ValueError, match="freeze_depth must be 0 when base is scratch, got 1"):
        DetectorSettings(base="scratch", freeze_depth=1)
    assert DetectorSettings(base="scratch", freeze_depth=0).freeze_depth == 0


def test_settings_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        TrainingSettings().epochs = 5


def test_derived_seeds_are_stable_and_apart():
    # Of another session: changing them would change every recorded result.
    assert derive_seed(0, 0) == derive_seed(0, 0)
    seeds = {derive_seed(a, b) for a in range(50) for b in range(50)}
    assert len(seeds) == 2500
    assert derive_seed(1, 2) != derive_seed(2, 1)
    assert all(0 <= seed < 2**63 and isinstance(seed, int) for seed in seeds)
    # Neighbours share no bits to speak of: about half of 63 differ.
    apart = [(derive_seed(0, n) ^ derive_seed(0, n + 1)).bit_count() for n in range(200)]
    assert 28 < sum(apart) / len(apart) < 35
