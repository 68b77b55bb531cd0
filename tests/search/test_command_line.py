import argparse
import signal
import tempfile
from contextlib import contextmanager

import huggingface_hub.constants
import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from genimage_core.detectors import pretrained
from search import cluster, run

SPACE = {
    "name": "tiny",
    "data": {"image_size": 32, "train_per_class": 3, "val_per_class": 2, "format_alignment": "none"},
    "protocol": {"search": ["sd14", "biggan"], "sealed": ["vqdm"]},
    "detector": {"name": "swin_nano", "base": "scratch"},
    "search": {"trials": 2},
    "finalists": {"top": 0},
    "space": {"noise_scale": {"low": 0.1, "high": 0.3}},
}


@pytest.fixture
def call(tmp_path, monkeypatch, write_tree, capsys):
    """Runs the command on a small data root; the exit code, and what it wrote to standard error."""
    root = write_tree(tmp_path / "GenImage", ["sd14", "biggan"])
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GENIMAGE_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGTERM)

    def call(*options, sections=None, data=root):
        content = dict(SPACE)
        for name, section in (sections or {}).items():
            both = isinstance(section, dict) and isinstance(SPACE.get(name), dict)
            content[name] = {**SPACE[name], **section} if both else section
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(content))
        given = [] if data is None else ["--data", str(data)]
        code = run.main(["--space", str(tmp_path / "tiny.yaml"), *given, *map(str, options)])
        return code, capsys.readouterr().err

    yield call
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def two_cores(monkeypatch):
    """Stands in for Ray, which takes seconds to start."""

    @contextmanager
    def session(address, run_dir):
        yield [{"CPU": 2.0}]

    monkeypatch.setattr(run, "ray_session", session)


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, and nothing in the hub's cache."""

    def refuse(*arguments, **options):
        raise OSError("no network in this test")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(pretrained, "urlopen", refuse)


def assert_refused(answer, tmp_path, *named):
    code, error = answer
    assert code == 2
    assert error.startswith("error: ") and error.count("\n") == 1 and error.endswith("\n")
    for text in named:
        assert text in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["GenImage", "tiny.yaml"], (
        "something was written"
    )


REFUSED = {
    "unknown key": ({"training": {"lr": 0.1}}, ["tiny.yaml", "training.lr", "learning_rate"]),
    "unknown parameter": ({"space": {"radius": 0.1}}, ["tiny.yaml", "space.radius", "mask_radius"]),
    "unknown generator": ({"protocol": {"search": ["sd14", "sdxl"]}}, ["sdxl", "biggan"]),
    "unknown sealed generator": ({"protocol": {"sealed": ["sdxl"]}}, ["sdxl", "biggan"]),
    "low above high": (
        {"space": {"noise_scale": {"low": 0.3, "high": 0.1}}},
        ["tiny.yaml", "space.noise_scale", "0.3", "0.1"],
    ),
    "radius beyond Nyquist": (
        {"space": {"mask_radius": {"low": 0.1, "high": 0.6}}},
        ["tiny.yaml", "space.mask_radius", "0.6", "0.5"],
    ),
    "sealed and search overlap": ({"protocol": {"sealed": ["biggan"]}}, ["sealed", "search", "biggan"]),
    "family and member overlap": (
        {"protocol": {"sealed": ["stable_diffusion"]}},
        ["sealed", "search", "sd14"],
    ),
    "base is sealed": ({"detector": {"base": "generator:vqdm"}}, ["sealed", "vqdm"]),
    "nothing left out": ({"protocol": {"search": ["sd14"]}}, ["off-family"]),
    "frozen random weights": ({"detector": {"freeze_depth": 2}}, ["freeze_depth", "scratch", "2"]),
    "searched depth of random weights": (
        {"space": {"freeze_depth": {"low": 0, "high": 4, "type": "int"}}},
        ["space.freeze_depth", "scratch"],
    ),
    "size without windows": ({"data": {"image_size": 100}}, ["image_size", "100", "96"]),
    "unknown detector": ({"detector": {"name": "vgg"}}, ["detector.name", "vgg", "swin_nano"]),
    "base of a family": ({"detector": {"base": "generator:stable_diffusion"}}, ["detector.base", "sd15"]),
    "base of no generator": ({"detector": {"base": "generator:sdxl"}}, ["sdxl", "biggan"]),
    "checkpoint that is missing": (
        {"detector": {"base": "checkpoint:none.safetensors"}},
        ["none.safetensors"],
    ),
    "too few training images": (
        {"data": {"train_per_class": 4}},
        ["train", "data.train_per_class", "3", "4"],
    ),
    "too few validation images": ({"data": {"val_per_class": 9}}, ["val", "data.val_per_class", "2", "9"]),
    "a generator that is missing": (
        {"protocol": {"search": ["sd14", "adm"]}},
        ["adm", "imagenet_ai_0508_adm"],
    ),
    "base generator that is missing": ({"detector": {"base": "generator:glide"}}, ["glide"]),
    "no workers": ({"resources": {"workers_per_trial": 0}}, ["tiny.yaml", "workers_per_trial", "0"]),
    "fewer than no workers": ({"resources": {"workers_per_trial": -1}}, ["workers_per_trial", "-1"]),
    "more workers than folds": (
        {"resources": {"workers_per_trial": 3}},
        ["resources.workers_per_trial", "1 to 2", "3"],
    ),
    "a section that is a word": ({"data": "mini"}, ["tiny.yaml", "data"]),
}


@pytest.mark.parametrize(("sections", "named"), REFUSED.values(), ids=REFUSED.keys())
def test_bad_input_is_one_line_and_nothing_is_written(call, tmp_path, sections, named):
    assert_refused(call(sections=sections), tmp_path, *named)


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_a_run_directory_that_exists_is_left_alone(call, tmp_path, option):
    answer = call("--out", tmp_path / "GenImage", *option)
    assert_refused(answer, tmp_path, "GenImage", "exists", "--out")


def test_a_run_directory_under_a_file_is_refused(call, tmp_path):
    assert_refused(
        call("--out", tmp_path / "tiny.yaml" / "run"), tmp_path, "tiny.yaml", "not a folder", "--out"
    )


def test_a_cache_that_cannot_be_made_ends_on_one_line(call, tmp_path, two_cores, monkeypatch):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "tiny.yaml" / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "GenImage"))
    code, error = call()
    assert code == 1 and error.startswith("error: ") and error.count("\n") == 1
    assert str(tmp_path / "tiny.yaml") in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["GenImage", "tiny.yaml"]


@pytest.mark.parametrize("option", [[], ["--dry-run"]])
def test_resources_that_are_not_there_are_refused(call, tmp_path, two_cores, option):
    answer = call(*option, sections={"resources": {"gpus_per_worker": 1}})
    assert_refused(answer, tmp_path, "1 GPUs", "0 GPUs", "lower resources")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1", "nonsense:http"])
def test_an_address_without_a_cluster_is_refused(call, tmp_path, address, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 5.0)
    assert_refused(call("--address", address), tmp_path, "--address", address)


def test_a_failure_of_the_work_is_one_line_and_keeps_its_traceback(call, tmp_path, two_cores, monkeypatch):
    def fail(checked, *arguments, **options):
        checked.run_dir.mkdir(parents=True)
        raise OSError(28, "No space left on device", str(checked.run_dir / "study.db"))

    monkeypatch.setattr(run, "execute", fail)
    code, error = call("--out", tmp_path / "run")
    log = tmp_path / "run" / "logs" / "error.log"
    failure, advice = error.splitlines()
    assert code == 1 and failure.startswith("error: ") and advice.endswith(f"--resume {tmp_path / 'run'}")
    assert "No space left" in failure and "study.db" in failure and str(log) in failure
    assert "Traceback" in log.read_text() and "in fail" in log.read_text()


def test_an_interrupt_before_the_search_ends_quietly(call, two_cores, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "execute", interrupt)
    assert call() == (130, "interrupted\n")


@pytest.mark.parametrize("count, named", [(2, "vqdm"), (1, "2"), (9, "9 beside 2 others")])
def test_finalists_need_images_that_no_trial_sees(call, tmp_path, two_cores, write_tree, count, named):
    if count == 9:
        write_tree(tmp_path / "GenImage", ["vqdm"])
    wanted = {"finalists": {"top": 1, "test_per_class": count}}
    assert_refused(call(sections=wanted), tmp_path, "finalists", named)


def test_without_finalists_sealed_generators_need_not_be_there(call, two_cores, monkeypatch):
    steps = []

    def execute(checked, *arguments, **options):
        steps.append(checked.steps)
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "execute", execute)
    call("--no-finalists", sections={"finalists": {"top": 1, "test_per_class": 2}})
    assert steps == [("search",)]


@pytest.mark.parametrize(
    "options",
    [
        ["--finalists-only", "runs/a", "--resume", "runs/a"],
        ["--finalists-only", "runs/a", "--no-finalists"],
        ["--finalists-only", "runs/a", "--trials", "3"],
        ["--finalists-only", "runs/a", "--seed", "3"],
        ["--resume", "runs/a", "--out", "runs/b"],
        [],
    ],
)
def test_what_cannot_be_asked_for_together(options, capsys):
    with pytest.raises(SystemExit, match="2"):
        run.parse_arguments(options)
    assert "--" in capsys.readouterr().err.splitlines()[-1]


def test_a_missing_data_root_is_named(call, tmp_path):
    assert_refused(call(data=tmp_path / "nowhere"), tmp_path, "nowhere", "--data")


def test_a_data_root_that_is_a_file_is_refused(call, tmp_path):
    assert_refused(call(data=tmp_path / "tiny.yaml"), tmp_path, "tiny.yaml", "not a directory")


def test_a_data_root_without_generators_says_what_was_looked_for(call, tmp_path):
    folder = tmp_path / "GenImage" / "stable_diffusion_v_1_4"
    assert_refused(
        call(data=folder), tmp_path, str(folder), "lacks biggan", "imagenet_ai_0419_biggan/train", "has sd14"
    )


def test_the_root_of_the_environment_is_checked_too(call, tmp_path, monkeypatch):
    monkeypatch.setenv("GENIMAGE_ROOT", str(tmp_path / "nowhere"))
    assert_refused(call(data=None), tmp_path, "nowhere")


def test_a_missing_space_file_is_named(call, tmp_path, capsys):
    call("--out", tmp_path / "GenImage")  # writes the space file beside it
    code = run.main(["--space", str(tmp_path / "other.yaml")])
    assert_refused((code, capsys.readouterr().err), tmp_path, "other.yaml")


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--trials", "0"], ["search.trials", "0"]), (["--seed", "-1"], ["search.seed", "-1"])],
)
def test_impossible_numbers_on_the_command_line_are_refused(call, tmp_path, options, named):
    assert_refused(call(*options), tmp_path, *named)


@pytest.mark.parametrize("detector", ["swin_t", "swin_nano"])
def test_imagenet_weights_that_cannot_be_had_say_what_to_do(call, tmp_path, offline, detector):
    answer = call(sections={"detector": {"name": detector, "base": "imagenet"}})
    assert_refused(answer, tmp_path, "imagenet", "base" if detector == "swin_nano" else "generator:NAME")


def test_being_told_to_stay_offline_asks_nobody(call, offline, monkeypatch):
    asked = []

    def note(request, **options):
        asked.append(request.full_url)
        raise OSError("no network in this test")

    monkeypatch.setattr(pretrained, "urlopen", note)
    code, error = call(sections={"detector": {"name": "swin_t", "base": "imagenet"}})
    assert code == 2 and error.startswith("error: ")
    assert asked == []


def test_a_file_that_is_no_checkpoint_of_this_project_is_refused(call, tmp_path):
    foreign = tmp_path / "GenImage" / "foreign.safetensors"
    save_file({"weight": np.zeros(3, dtype=np.float32)}, foreign)
    answer = call(sections={"detector": {"base": f"checkpoint:{foreign}"}})
    assert_refused(answer, tmp_path, "foreign.safetensors", "not a detector checkpoint")


def test_a_checkpoint_of_another_size_is_refused(call, tmp_path):
    other = tmp_path / "GenImage" / "other.safetensors"
    info = '{"detector": "swin_nano", "image_size": 64, "generators": ["sd14"]}'
    save_file({"weight": np.zeros(3, dtype=np.float32)}, other, metadata={"info": info})
    answer = call(sections={"detector": {"base": f"checkpoint:{other}"}})
    assert_refused(answer, tmp_path, "detector.base", "64 px", "32 px")


def test_what_a_checkpoint_was_trained_on_must_not_be_sealed(call, tmp_path):
    other = tmp_path / "GenImage" / "sealed.safetensors"
    info = '{"detector": "swin_nano", "image_size": 32, "generators": ["sd14", "vqdm"]}'
    save_file({"weight": np.zeros(3, dtype=np.float32)}, other, metadata={"info": info})
    answer = call(sections={"detector": {"base": f"checkpoint:{other}"}})
    assert_refused(answer, tmp_path, "sealed", "vqdm")


def test_good_input_passes_the_same_checks(call, two_cores, monkeypatch):
    passed = []
    monkeypatch.setattr(run, "execute", lambda *arguments, **options: passed.append(arguments))
    monkeypatch.setattr(run, "conclude", lambda *arguments: 0)
    assert call("--trials", 5, "--seed", 7)[0] == 0
    [(checked, plan, *_)] = passed
    assert (plan.shape.workers, plan.concurrent) == (2, 1)
    assert (checked.space.search.trials, checked.space.search.seed) == (5, 7)
    assert checked.generators == ("sd14", "biggan") and not checked.run_dir.exists()
    assert checked.run_dir.parent.name == "runs" and checked.run_dir.name.startswith("tiny-")


@pytest.mark.parametrize(
    ("given", "in_file", "environment", "chosen"),
    [
        ("/a", "/b", "/c", "/a"),
        (None, "/b", "/c", "/b"),
        (None, None, "/c", "/c"),
        (None, None, None, "mini"),
        ("mini", "/b", "/c", "mini"),
        (None, "mini", "/c", "mini"),
    ],
)
def test_which_data_root_is_taken(tmp_path, monkeypatch, given, in_file, environment, chosen):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump({**SPACE, "data": {"root": in_file, "image_size": 32}}))
    if environment is None:
        monkeypatch.delenv("GENIMAGE_ROOT", raising=False)
    else:
        monkeypatch.setenv("GENIMAGE_ROOT", environment)
    arguments = run.parse_arguments(["--space", str(file), *(["--data", given] if given else [])])
    assert run.read_space(arguments).data.root == chosen


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), ("2d", 172800), ("0.5s", 0.5)]
)
def test_durations(text, seconds):
    assert run.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "m", "-5m", "0s", "5 m", "5min", "1h30m", "nan s", "5M"])
def test_other_durations_are_refused_with_examples(text):
    with pytest.raises(argparse.ArgumentTypeError, match="30m"):
        run.duration(text)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--space"],
        ["--space", "a.yaml", "--trials", "few"],
        ["--space", "a.yaml", "--time-budget", "soon"],
        ["--space", "a.yaml", "--nonsense"],
    ],
)
def test_a_wrong_call_exits_with_2(argv, capsys):
    with pytest.raises(SystemExit) as left:
        run.main(argv)
    assert left.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("search/run.py: error: ")


def test_help_is_worth_reading(capsys):
    with pytest.raises(SystemExit) as left:
        run.main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    options = ("--space", "--data", "--out", "--trials", "--time-budget", "--seed", "--address", "--dry-run")
    for word in (*options, "Exit codes", "SIMULATED", "tensorboard --logdir"):
        assert word in text
