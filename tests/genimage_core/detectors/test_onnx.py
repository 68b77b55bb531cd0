"""The ONNX graph of every detector: what onnxruntime says of images is what PyTorch says of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional

from genimage_core.detectors.catalogue import DETECTORS
from genimage_core.detectors.detector import build_detector
from genimage_core.detectors.ensemble import Ensemble
from genimage_core.detectors.info import CheckpointInfo
from genimage_core.detectors.onnx_check import Agreement, compare, open_session, run_session
from genimage_core.detectors.onnx_graph import write_onnx

SIZES = {"f3net_mix": 64}
QUICK = ("swin_nano",)
EVERY = [
    pytest.param(name, SIZES.get(name, 32), marks=[] if name in QUICK else [pytest.mark.slow])
    for name in DETECTORS
]
INFO = CheckpointInfo("swin_nano", 32, ("glide", "adm"), "jpeg96", True, "random", (8, 64), 2.0)


def pictures(count, size, seed=0):
    """Blurs, noise and both, so that bright, dark and smooth images are among them."""
    generator = torch.Generator().manual_seed(seed)
    coarse = functional.interpolate(
        torch.rand((count, 3, 4, 4), generator=generator), (size, size), mode="bilinear"
    )
    fine = torch.rand((count, 3, size, size), generator=generator)
    return coarse.lerp(fine, torch.linspace(0, 1, count)[:, None, None, None])


def trained(name, size, seed=0):
    """A detector whose statistics and gates have moved, and whose logits tell images apart."""
    detector = build_detector(name, image_size=size, seed=seed).train()
    for part in detector.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None  # statistics of all steps alike: three are too few for a moving average
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    for step in range(3):
        detector(pictures(8, size, step)).sub(torch.arange(8.0)).square().mean().backward()
        optimizer.step()
    return detector.eval()


def write(path, detector, info=INFO, temperatures=(2.0,)):
    write_onnx(path, Ensemble([detector], temperatures or (1.0,)), info, temperatures)
    return open_session(path)


@pytest.fixture(scope="module")
def swin():
    return trained("swin_nano", 32)


@pytest.fixture(scope="module")
def exported(swin, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "swin.onnx"
    write(path, swin)
    return path


@pytest.mark.parametrize(("name", "size"), EVERY)
def test_the_file_says_what_pytorch_says(name, size, tmp_path):
    detector, images = Ensemble([trained(name, size)], [0.5]), pictures(7, size, 9)
    write_onnx(tmp_path / "a.onnx", detector, CheckpointInfo(name, size), [0.5])
    with torch.no_grad():
        logits = detector.eval()(images)
    spread, largest = float(logits.std()), float(logits.abs().max())
    found = compare(tmp_path / "a.onnx", detector, images)
    assert spread > 1e-2  # else all logits are one number, and agree whatever the graph does
    assert found.images == 7 and found.within(1e-4 + 1e-5 * largest) and found.logit < 1e-3 * spread


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_batch_goes_in_and_logit_and_probability_come_out(exported, swin, count):
    session, images = open_session(exported), pictures(count, 32, 3)
    [given] = session.get_inputs()
    assert (given.name, given.type) == ("images", "tensor(float)")
    assert isinstance(given.shape[0], str) and given.shape[1:] == [3, 32, 32]
    assert [(made.name, made.type) for made in session.get_outputs()] == [
        ("logit", "tensor(float)"),
        ("probability", "tensor(float)"),
    ]
    logits, probabilities = run_session(session, images.numpy())
    with torch.no_grad():
        expected = swin(images).numpy() / 2
    assert logits == pytest.approx(expected, abs=1e-5) and logits.shape == (count,)
    assert probabilities == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-6)


@pytest.mark.slow
def test_an_ensemble_is_the_mean_of_calibrated_logits(tmp_path, swin):
    other, images = trained("swin_nano", 32, seed=1), pictures(4, 32)
    write_onnx(tmp_path / "a.onnx", Ensemble([swin, other], [2.0, 4.0]), INFO, [2.0, 4.0])
    with torch.no_grad():
        expected = (swin(images) / 2 + other(images) / 4) / 2
    assert run_session(open_session(tmp_path / "a.onnx"), images.numpy())[0] == pytest.approx(
        expected.numpy(), abs=1e-5
    )


def test_the_metadata_say_what_it_is(exported):
    session = open_session(exported)
    assert session.get_modelmeta().custom_metadata_map == {
        "detector": "swin_nano",
        "image_size": "32",
        "generators": '["glide", "adm"]',
        "format_alignment": "jpeg96",
        "simulated": "true",
        "crop": "random",
        "real_size": "[8, 64]",
        "temperature": "[2.0]",
        "calibrated_on": "[]",
    }
    assert "RGB in [0, 1]" in session.get_modelmeta().description


@pytest.mark.slow
def test_without_a_temperature_none_is_named(tmp_path, swin):
    session = write(tmp_path / "a.onnx", swin, replace(INFO, temperature=None), None)
    assert session.get_modelmeta().custom_metadata_map["temperature"] == "null"


def test_the_file_is_whole_and_tells_no_path_of_the_machine(exported):
    onnx.checker.check_model(str(exported), full_check=True)
    assert [path.name for path in exported.parent.iterdir()] == ["swin.onnx"]
    content = exported.read_bytes()
    for place in (Path(torch.__file__).parent, Path(__file__).parents[3], Path.home()):
        assert str(place).encode() not in content
    assert b".py" not in content


@pytest.mark.slow
def test_the_same_detector_gives_the_same_file(exported, swin, tmp_path):
    write(tmp_path / "again.onnx", swin)
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()


@pytest.mark.parametrize(("size", "changed"), [(1e-2, True), (1e-7, False)])
def test_a_weight_that_is_not_the_detector_s_is_noticed(exported, swin, tmp_path, size, changed):
    model = onnx.load(str(exported))
    [bias] = [weight for weight in model.graph.initializer if weight.name.endswith("head.fc.bias")]
    bias.CopyFrom(
        onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(2 * size), bias.name)
    )
    onnx.save(model, str(tmp_path / "a.onnx"))
    found = compare(tmp_path / "a.onnx", Ensemble([swin], [2.0]), pictures(3, 32))
    assert found.within(1e-3) is not changed
    if changed:
        assert found.logit == pytest.approx(size, rel=0.01)


@pytest.mark.parametrize(
    ("logit", "probability", "kept"),
    [
        (1e-3, 1e-3, True),
        (2e-3, 0, False),
        (0, 2e-3, False),
        (float("nan"), 0, False),
        (0, float("nan"), False),
    ],
)
def test_neither_difference_may_be_larger_than_the_tolerance(logit, probability, kept):
    assert Agreement(1, logit, probability).within(1e-3) is kept


def test_a_detector_that_gives_no_number_is_told(exported):
    class Nothing(nn.Module):
        def forward(self, images):
            return images.mean((1, 2, 3)) * torch.nan

    with pytest.raises(ValueError, match="itself is not finite"):
        compare(exported, Nothing(), pictures(2, 32))


def test_an_operation_that_onnx_lacks_is_refused_in_one_line(tmp_path):
    class Eigenvalues(nn.Module):
        def forward(self, images):
            maps = images[:, 0]
            return torch.linalg.eigvalsh(maps + maps.transpose(1, 2))[:, 0]

    with pytest.raises(ValueError, match=r"swin_nano cannot be exported to ONNX: .*eig") as refused:
        write_onnx(tmp_path / "a.onnx", Eigenvalues(), INFO, None)
    assert "\n" not in str(refused.value) and not (tmp_path / "a.onnx").exists()


def test_weights_that_no_file_holds_are_refused_before_the_work(tmp_path):
    class Huge(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("weights", torch.empty(2**29, device="meta"))

    with pytest.raises(ValueError, match="export fewer detectors"):
        write_onnx(tmp_path / "a.onnx", Huge(), INFO, None)
