import argparse

import pytest

from genimage_core.__main__ import main
from genimage_core.commands import train
from genimage_core.commands.learning import EMBEDDED_TRAINING
from genimage_core.commands.train import _read
from genimage_core.detectors.detector import build_detector, load_detector
from genimage_core.detectors.info import read_info
from genimage_core.policy import FrequencyPolicy

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = [
    "--detector",
    "swin_nano",
    "--base",
    "scratch",
    "--image-size",
    "32",
    "--train-per-class",
    "6",
    "--val-per-class",
    "4",
]
TRAINING = ["--training", "epochs=2", "batch_size=4", "learning_rate=1e-3"]


@pytest.fixture
def call(tmp_path, write_tree, monkeypatch, capsys):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    root = write_tree(tmp_path / "GenImage", ["sd14", "adm", "glide"], train=6, val=4)

    def call(train_on, *options, code=0):
        out = tmp_path / "detector.safetensors"
        words = ["train", "--data", str(root), "--train-on", train_on, "--out", str(out), *options]
        assert main(words) == code
        return out, capsys.readouterr()

    return call


def state(path):
    return load_detector(path).state_dict()


def same(one, other):
    return all(one[name].equal(other[name]) for name in one)


def test_a_detector_is_trained_told_of_and_kept(call):
    out, text = call("sd14, adm", *SMALL, *TRAINING)
    assert [line[:9] for line in text.out.splitlines()[:2]] == ["epoch 1/2", "epoch 2/2"]
    assert all(name in text.out for name in ("sd14 ", "adm ", "glide "))
    info = read_info(out)
    assert (info.detector, info.image_size, info.generators) == ("swin_nano", 32, ("sd14", "adm"))
    assert info.temperature is not None and info.temperature > 0
    first = state(out)
    assert not same(first, build_detector("swin_nano", image_size=32).state_dict())
    call("sd14, adm", *SMALL, *TRAINING)
    assert same(first, state(out)), "the same call gives the same weights"


@pytest.mark.parametrize(
    "options",
    [
        ["ema_decay=0.5"],
        ["layer_decay=0.5"],
        ["drop_path=0.3"],
        ["patience=1"],
        ["curriculum=adm,sd14"],
        ["optimizer=sgd"],
    ],
)
def test_every_means_of_fine_tuning_is_there_without_ray(call, options):
    plain = state(call("sd14,adm", *SMALL, *TRAINING)[0])
    assert not same(plain, state(call("sd14,adm", *SMALL, *TRAINING, *options)[0]))


def test_augmentation_reaches_the_images(call):
    plain = state(call("sd14", *SMALL, *TRAINING)[0])
    augmented = state(call("sd14", *SMALL, *TRAINING, "--augment", "noise_scale=0.5", "mask_kind=none")[0])
    assert not same(plain, augmented)


def test_a_detector_goes_on_from_another_with_frozen_parts(call, tmp_path):
    out, _ = call("sd14", *SMALL, *TRAINING)
    base = out.rename(tmp_path / "base.safetensors")
    options = [*SMALL, *TRAINING, "--base", f"checkpoint:{base}", "--freeze-depth", "2"]
    tuned, _ = call("adm", *options)
    assert read_info(tuned).generators == ("sd14", "adm") and read_info(tuned).calibrated_on == ("adm",)
    before, after = load_detector(base), load_detector(tuned)
    assert same(before.parts[1].state_dict(), after.parts[1].state_dict())
    assert not same(before.parts[4].state_dict(), after.parts[4].state_dict())


def test_the_generator_that_decides_is_strange_to_the_base_and_not_learnt(call, tmp_path):
    out, _ = call("sd14", *SMALL, *TRAINING)
    base = out.rename(tmp_path / "base.safetensors")
    patient = [*SMALL, *TRAINING, "patience=1", "--base", f"checkpoint:{base}"]
    _, text = call("sd14,adm", *patient)
    assert "adm decides when the training ends" in text.out
    _, text = call("sd14", *patient, code=2)
    assert "patience needs a training generator that is strange" in text.err


@pytest.mark.parametrize(
    ("train_on", "options", "named"),
    [
        ("vqdm", [], "vqdm"),
        ("nobody", [], "unknown generator 'nobody'"),
        ("sd14", ["--training", "epoch=2"], "'epoch=2' is not KEY=VALUE with one of batch_size"),
        ("sd14", ["--training", "epochs=0"], "epochs must be at least 1"),
        ("sd14", ["--augment", "noise_scale=9"], "noise_scale must be within"),
        ("sd14", ["--freeze-depth", "2"], "frozen random weights"),
        ("sd14,adm", ["--training", "curriculum=adm,bigan,sd14"], "names 'bigan'"),
        ("sd14,adm", ["--training", "curriculum=measured"], "only a base generator:NAME or checkpoint:PATH"),
        ("sd14", ["--training", "curriculum=sd14"], "none where a detector is trained on one generator"),
        ("sd14", ["--training", "learning_rate=1e-4x"], "learning_rate must be a number, got '1e-4x'"),
        ("sd14", ["--training", "weight_decay=null"], "weight_decay must be a number"),
        ("sd14", ["--detector", "f3net", "--training", "drop_path=0.1"], "no stochastic depth"),
        ("sd14", ["--real-size", "450"], "--real-size must be two whole numbers"),
        ("sd14", ["--max-bad-share", "2"], "max_bad_share must be within [0, 1]"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(call, train_on, options, named):
    out, text = call(train_on, *SMALL, *options, code=2)
    assert named in text.err and text.err.count("\n") == 1 and not out.exists()


def test_a_loss_that_is_not_finite_is_told_in_a_line(call, monkeypatch):
    def broken(*_, **__):
        raise FloatingPointError("the loss is not finite at step 1 of epoch 1; lower the learning rate")

    monkeypatch.setattr("genimage_core.fold_training.train_epoch", broken)
    out, text = call("sd14", *SMALL, *TRAINING, code=1)
    assert text.err == "failed: the loss is not finite at step 1 of epoch 1; lower the learning rate\n"
    assert not out.exists()


def test_a_folder_is_no_place_for_a_detector(call, tmp_path):
    (tmp_path / "detector.safetensors").mkdir()
    _, text = call("sd14", *SMALL, *TRAINING, code=2)
    assert "--out must be a file" in text.err


def test_some_broken_images_are_left_out_where_that_is_allowed(call, tmp_path):
    folder = tmp_path / "GenImage" / "stable_diffusion_v_1_4"
    path = next(p for p in sorted(folder.rglob("ai/*")) if "train" in p.parts)
    path.write_bytes(b"broken")
    _, text = call("sd14", *SMALL, *TRAINING, code=2)
    assert "--max-bad-share" in text.err
    call("sd14", *SMALL, *TRAINING, "--max-bad-share", "0.5")


def test_the_embedded_data_set_has_a_training_of_its_own(tmp_path):
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    words = ["--data", "mini", "--train-on", "sd14", "--out", str(tmp_path / "a.safetensors")]
    own = train._check(parser.parse_args(words)).training
    assert {key: getattr(own, key) for key in EMBEDDED_TRAINING} == EMBEDDED_TRAINING
    asked = train._check(parser.parse_args([*words, "--training", "flip=true", "epochs=2"])).training
    assert (asked.flip, asked.epochs, asked.learning_rate) == (True, 2, own.learning_rate)


def test_values_are_numbers_words_or_lists():
    found = _read(["mask_kind=ring", "noise_scale=0.5", "order=[]", "mask_keeps_mean=true"], FrequencyPolicy)
    assert found == {"mask_kind": "ring", "noise_scale": 0.5, "order": [], "mask_keeps_mean": True}
