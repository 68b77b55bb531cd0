import numpy as np
import pytest
import torch

from genimage_core import evaluation
from genimage_core.data.batches import ImageSet
from genimage_core.detectors.detector import build_detector
from genimage_core.evaluation import evaluate, predict
from genimage_core.metrics import score


@pytest.fixture(scope="module")
def detector():
    return build_detector("swin_nano", image_size=32, seed=2)


@pytest.fixture(scope="module")
def data():
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    return ImageSet((images,), np.repeat([0, 1], 5).astype(np.uint8), "random")


@pytest.mark.parametrize("batch_size", [1, 3, 10, 128])
def test_logits_do_not_depend_on_the_batch_size(detector, data, batch_size):
    logits = predict(detector, data, batch_size)
    assert logits.shape == (10,) and logits.dtype == np.float32 and len(set(logits.tolist())) == 10
    np.testing.assert_allclose(logits, predict(detector, data, 4), atol=1e-5, rtol=0)


def test_logits_are_the_detector_s_own(detector, data):
    pixels = torch.from_numpy(data.shards[0]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = detector.eval()(pixels).numpy()
    np.testing.assert_allclose(predict(detector, data), expected, atol=1e-5, rtol=0)


def test_evaluating_does_not_train(detector, data):
    before = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    detector.train()
    first, second = predict(detector, data), predict(detector, data)
    np.testing.assert_array_equal(first, second)
    assert all(torch.equal(tensor, before[name]) for name, tensor in detector.state_dict().items())
    assert all(parameter.grad is None for parameter in detector.parameters())


def test_every_generator_gets_its_scores(detector, data, monkeypatch):
    other = ImageSet((data.shards[0][::-1].copy(),), data.labels, "reversed")
    monkeypatch.setitem(evaluation.AT_ONCE, "cpu", 4)
    got = evaluate(detector, {"adm": data, "glide": other})
    assert list(got) == ["adm", "glide"]
    assert got["adm"] == score(predict(detector, data, 4), data.labels)
    assert got["glide"] == score(predict(detector, other, 4), data.labels)
    assert got["adm"] != got["glide"]


def test_logits_that_are_not_finite_name_the_generator(data):
    broken = build_detector("swin_nano", image_size=32)
    with torch.no_grad():
        broken.head.fc.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="evaluation on glide: 10 of 10"):
        evaluate(broken, {"glide": data})


def test_a_missing_class_names_the_generator(detector, data):
    with pytest.raises(ValueError, match="evaluation on adm: labels"):
        evaluate(detector, {"adm": ImageSet((data.shards[0][:5],), data.labels[:5], "real")})
