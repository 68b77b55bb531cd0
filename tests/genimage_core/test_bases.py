from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from genimage_core import base_training
from genimage_core.base_training import ensure_base
from genimage_core.bases import BaseRecipe
from genimage_core.data.batches import ImageSet
from genimage_core.detectors.detector import build_detector, load_detector
from genimage_core.detectors.info import CheckpointInfo, read_info
from genimage_core.settings import TrainingSettings

CPU = torch.device("cpu")
INFO = CheckpointInfo("swin_nano", 32, ("sd14",), "none", True)
RECIPE = BaseRecipe(
    detector="swin_nano",
    image_size=32,
    generator="sd14",
    training=TrainingSettings(epochs=2, batch_size=4, learning_rate=1e-3),
    data="0123",
    seed=0,
    info=INFO,
)
OTHER = {
    "detector": "swin_t",
    "image_size": 64,
    "generator": "adm",
    "data": "4567",
    "seed": 1,
    "training": replace(RECIPE.training, epochs=3),
    "info": replace(INFO, simulated=False),
}
OTHER_TRAINING = {
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 1e-4,
    "weight_decay": 0.1,
    "warmup": 0.2,
    "flip": False,
    "clip_norm": 1.0,
    "optimizer": "sgd",
    "dropout": 0.1,
    "drop_path": 0.1,
    "layer_decay": 0.5,
    "ema_decay": 0.9,
    "curriculum": "measured",
    "patience": 2,
}


@pytest.fixture
def data():
    images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    return ImageSet((images,), np.repeat([0, 1], 4).astype(np.uint8), "0123")


@pytest.fixture
def epochs(monkeypatch):
    """The epochs that were trained."""
    trained, real = [], base_training.train_epoch

    def counted(*arguments, **options):
        trained.append(options["epoch"])
        return real(*arguments, **options)

    monkeypatch.setattr(base_training, "train_epoch", counted)
    return trained


def test_every_field_decides():
    assert set(OTHER) == {field.name for field in fields(BaseRecipe)}
    recipes = [RECIPE, *(replace(RECIPE, **{name: value}) for name, value in OTHER.items())]
    assert len({recipe.fingerprint for recipe in recipes}) == len(recipes)
    assert replace(RECIPE).fingerprint == RECIPE.fingerprint


def test_every_training_setting_decides():
    assert set(OTHER_TRAINING) == {field.name for field in fields(TrainingSettings)}
    for name, value in OTHER_TRAINING.items():
        changed = replace(RECIPE, training=replace(RECIPE.training, **{name: value}))
        assert changed.fingerprint != RECIPE.fingerprint, name


def test_the_file_says_what_it_is(tmp_path):
    path = RECIPE.path_in(tmp_path)
    assert path.parent == tmp_path / "bases" and path.suffix == ".safetensors"
    assert all(part in path.name for part in ("swin_nano", "sd14", RECIPE.fingerprint))


def test_a_base_is_trained_once(tmp_path, data, epochs, monkeypatch):
    said = []
    path = ensure_base(RECIPE, data, tmp_path, CPU, lambda done, loss: said.append((done, loss)))
    assert epochs == [0, 1] and [done for done, _ in said] == [1, 2]
    assert all(np.isfinite(loss) for _, loss in said)
    assert read_info(path) == INFO
    monkeypatch.setattr(base_training, "train_epoch", lambda *a, **o: pytest.fail("trained again"))
    assert ensure_base(RECIPE, data, tmp_path, CPU) == path
    assert ensure_base(replace(RECIPE), data, tmp_path, CPU) == path


def test_training_moves_the_weights_the_same_way_each_time(tmp_path, data):
    first = load_detector(ensure_base(RECIPE, data, tmp_path / "one", CPU)).state_dict()
    second = load_detector(ensure_base(RECIPE, data, tmp_path / "two", CPU)).state_dict()
    start = build_detector("swin_nano", image_size=32, seed=0).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.fc.weight"], start["head.fc.weight"])


def test_two_at_once_train_once(tmp_path, data, epochs):
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ensure_base, RECIPE, data, tmp_path, CPU) for _ in range(2)]
        paths = [future.result(timeout=60) for future in asked]
    assert paths[0] == paths[1] and epochs == [0, 1]


def test_a_training_that_fails_leaves_nothing_to_be_taken_for_a_base(tmp_path, data, monkeypatch):
    def broken(*arguments, **options):
        raise FloatingPointError("the loss is not finite")

    monkeypatch.setattr(base_training, "train_epoch", broken)
    with pytest.raises(FloatingPointError):
        ensure_base(RECIPE, data, tmp_path, CPU)
    assert not list(tmp_path.rglob("*.safetensors"))
    monkeypatch.undo()
    assert ensure_base(RECIPE, data, tmp_path, CPU).exists()
