import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import build_detector, load_detector
from genimage_core.detectors.info import CheckpointInfo, read_info

INFO = CheckpointInfo("swin_nano", 32, ("sd14", "adm"), "jpeg96", True, temperature=1.25)


@pytest.fixture(scope="module")
def detector():
    return build_detector("swin_nano", image_size=32, seed=5).eval()


@pytest.fixture
def saved(tmp_path, detector):
    path = tmp_path / "new folder" / "a.safetensors"
    save_checkpoint(path, detector, INFO)
    return path


def write(path, state, **changes):
    info = {"detector": "swin_nano", "image_size": 32, "generators": [], **changes}
    save_file(state, path, metadata={"info": json.dumps(info)})
    return path


@pytest.mark.parametrize("depth", [0, 3])
def test_what_is_loaded_is_what_was_saved(saved, detector, depth):
    loaded = load_detector(saved, freeze_depth=depth).eval()
    for name, tensor in detector.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    images = torch.rand((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(images), detector(images))
    assert loaded.freeze_depth == depth
    assert read_info(saved) == INFO


def test_a_checkpoint_from_before_there_were_temperatures_has_none(tmp_path):
    assert read_info(write(tmp_path / "old.safetensors", {"weight": torch.zeros(3)})).temperature is None


def test_saving_again_replaces_and_leaves_nothing_else(saved, detector):
    save_checkpoint(saved, detector, replace(INFO, generators=("vqdm",)))
    assert read_info(saved).generators == ("vqdm",)
    assert [path.name for path in saved.parent.iterdir()] == ["a.safetensors"]


def test_a_save_that_fails_leaves_the_old_file(saved, detector, monkeypatch):
    def broken(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr("genimage_core.detectors.checkpoint.save_file", broken)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(saved, detector, replace(INFO, generators=()))
    assert read_info(saved) == INFO
    assert [path.name for path in saved.parent.iterdir()] == ["a.safetensors"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def garble(path):
    path.write_bytes(b"not safetensors at all")


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, garble, empty, remove])
@pytest.mark.parametrize("read", [read_info, load_detector])
def test_a_damaged_file_is_named(saved, damage, read):
    damage(saved)
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        read(saved)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(ValueError, match="not a detector checkpoint"):
        read_info(tmp_path)


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {"format": "pt"},
        {"info": "not json"},
        {"info": "[1, 2]"},
        {"info": '"text"'},
        {"info": "{}"},
        {"info": '{"detector": "swin_nano", "image_size": 32, "generators": null}'},
        {"info": '{"detector": "swin_nano", "image_size": 32, "generators": [], "colour": "red"}'},
        {"info": '{"detector": "swin_nano", "image_size": 32, "generators": [], "temperature": 0.0}'},
        {"info": '{"detector": "swin_nano", "image_size": 32, "generators": [], "temperature": NaN}'},
        {"info": '{"detector": "swin_nano", "image_size": 32, "generators": [], "temperature": "warm"}'},
        {"info": '{"detector": "swin_nano", "image_size": 32, "generators": [], "crop": "none"}'},
        {"info": '{"detector": "swin_nano", "image_size": 32, "generators": [], "format_alignment": "png"}'},
    ],
)
def test_foreign_weights_are_refused(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, path, metadata=metadata)
    with pytest.raises(ValueError, match="not a detector checkpoint"):
        read_info(path)


@pytest.mark.parametrize("changes", [{}, {"image_size": 64}, {"detector": "swin_t"}])
def test_weights_that_do_not_fit_the_description_are_refused(tmp_path, changes):
    state = build_detector("swin_nano", image_size=32).state_dict()
    if not changes:
        state.popitem()
    path = write(tmp_path / "wrong.safetensors", state, **changes)
    if changes == {"image_size": 64}:
        # Its weights know their window only, and 32 and 64 px may share it: the tensors decide.
        state.pop("head.fc.weight")
        path = write(tmp_path / "wrong.safetensors", state, **changes)
    with pytest.raises(ValueError, match=r"wrong\.safetensors"):
        load_detector(path)


@pytest.mark.parametrize("changes", [{"detector": "vgg"}, {"image_size": 100}, {"image_size": "32"}])
def test_a_description_of_what_does_not_exist_is_refused(tmp_path, changes):
    path = write(tmp_path / "odd.safetensors", {"weight": torch.zeros(3)}, **changes)
    with pytest.raises(ValueError):
        load_detector(path)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_start_on_weights_takes_them_whatever_the_seed(saved, detector, seed):
    started = build_detector(
        "swin_nano", image_size=32, base=f"checkpoint:{saved}", freeze_depth=2, seed=seed
    )
    assert started.freeze_depth == 2
    assert all(torch.equal(t, started.state_dict()[n]) for n, t in detector.state_dict().items())


@pytest.mark.parametrize("wanted", [("swin_t", 32), ("swin_nano", 64)])
def test_weights_of_another_detector_or_size_are_refused(saved, wanted):
    name, size = wanted
    with pytest.raises(ValueError, match=r"a\.safetensors holds swin_nano at 32 px"):
        build_detector(name, image_size=size, base=f"checkpoint:{saved}")
