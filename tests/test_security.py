"""What comes from elsewhere can be wrong, but runs nothing, reads nothing that lies elsewhere and ends soon.

Each is tried on the real thing. What stands beside the code that it is about is named in `ELSEWHERE`.
"""

import ast
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from genimage_core.__main__ import main
from genimage_core.data.file_facts import MAX_BYTES, read_facts
from genimage_core.data.pixels import UnreadableImage, read_image
from genimage_core.yaml_files import read_yaml
from search.checkpoints import CONTENTS, is_whole
from search.image_scores import read_logits
from search.run import main as search
from search.space import load_space
from tests.genimage_core.data.index_trees import png_bomb
from tests.search.run_process import descendants, listening
from tests.test_architecture import FILES, HOME

ELSEWHERE = {
    "reports/test_report_page.py": ["test_hostile_names_stay_text"],
    "genimage_core/data/test_audit_page.py": ["test_names_are_escaped"],
    "genimage_core/test_baseline.py": ["test_names_stay_text_in_markdown"],
    "genimage_core/test_commands.py": ["test_names_of_files_are_shown_as_they_are"],
    "genimage_core/data/test_layout.py": [
        "test_a_link_out_of_the_root_is_followed_only_when_asked",
        "test_a_folder_of_subjects_may_not_lead_out_either",
        "test_links_to_themselves_stop_nothing",
    ],
    "genimage_core/data/test_mapping.py": [
        "test_impossible_patterns_are_refused_by_their_key",
        "test_a_pattern_through_a_link_out_of_the_root_is_refused",
    ],
    "genimage_core/data/test_pixels.py": [
        "test_a_decompression_bomb_is_not_unpacked",
        "test_a_pipe_is_not_waited_for",
    ],
    "genimage_core/data/test_file_facts.py": ["test_random_damage_never_raises_and_agrees_with_pillow"],
    "search/test_relay.py": ["test_ray_tune_pickles_nothing_of_it"],
    "search/test_folds.py": ["test_a_training_state_that_would_run_something_is_refused"],
    "search/test_cluster_files.py": [
        "test_machines_of_the_ssh_cluster_start_ray_with_a_token",
        "test_every_pod_shares_one_volume_and_all_have_a_token",
    ],
    "search/test_cluster_nodes.py": ["test_a_cluster_that_obeys_anyone_is_refused"],
    "search/test_cluster_join.py": [
        "test_a_cluster_that_wants_a_token_says_so",
        "test_a_search_of_its_own_listens_on_loopback_only_beside_another_ray",
    ],
}


@pytest.mark.parametrize("file", ELSEWHERE)
def test_what_is_said_to_be_tested_elsewhere_is(file):
    tree = ast.parse((HOME / "tests" / file).read_text())
    assert {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} >= {*ELSEWHERE[file]}


# Nothing is unpickled, and no text is run.

UNPICKLERS = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
}
NEVER = {"eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.full_load"}
NEVER |= {"yaml.unsafe_load", "tune.Tuner.restore", "Tuner.restore", "pd.read_pickle", "pandas.read_pickle"}
LOADERS = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def name_of(function):
    return ast.unparse(function) if isinstance(function, ast.Name | ast.Attribute) else ""


def runs_what_it_reads(source):
    """What in a source could run what it reads: lines of it."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            found += [node.lineno for root in roots if root.split(".")[0] in UNPICKLERS]
        if isinstance(node, ast.Call):
            given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            key, safe = LOADERS.get(name_of(node.func), ("", None))
            unsafe = given.get(key) is not True if safe else given.get(key, False) is not False
            if name_of(node.func) in NEVER or given.get("shell") or (key and unsafe):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("module", FILES)
def test_no_code_runs_what_it_reads(module):
    assert runs_what_it_reads(FILES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from ray import cloudpickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=given)",
        "yaml.load(text, Loader=yaml.UnsafeLoader)",
        "tune.Tuner.restore(path, trainable)",
        "pd.read_pickle(path)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_such_code_would_be_found(line):
    assert runs_what_it_reads(line) == [1]


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def write_pickle(path, payload):
    path.write_bytes(pickle.dumps(payload))


def write_arrays(path, payload):
    with path.open("wb") as file:
        np.savez(file, logits=np.array([payload], dtype=object))


FORMS = {"pickle": write_pickle, "torch": lambda path, payload: torch.save({"x": payload}, path)}


@pytest.fixture
def payload(tmp_path):
    """A payload that is live; nothing of it may have happened at the end of the test."""
    mark = tmp_path / "executed"
    pickle.loads(pickle.dumps(Payload(mark)))
    assert mark.exists(), "the payload is none"
    mark.unlink()
    yield Payload(mark)
    assert not mark.exists(), "the payload was executed"


@pytest.mark.parametrize("form", FORMS)
def test_a_checkpoint_that_is_a_pickle_is_refused(payload, tmp_path, write_tree, capsys, form):
    root, checkpoint = write_tree(tmp_path / "data", ["sd14", "biggan"]), tmp_path / "evil.safetensors"
    FORMS[form](checkpoint, payload)
    space = tmp_path / "space.yaml"
    space.write_text(
        f"name: x\ndata: {{root: {root}, image_size: 32, train_per_class: 2, val_per_class: 2}}\n"
        "protocol: {search: [sd14, biggan]}\n"
        f"detector: {{name: swin_nano, base: 'checkpoint:{checkpoint}'}}\nfinalists: {{top: 0}}\n"
    )
    base = ["--base", f"checkpoint:{checkpoint}", "--detector", "swin_nano", "--image-size", "32"]
    for command, arguments in (
        (main, ["predict", checkpoint, root]),
        (main, ["evaluate", checkpoint, "--data", root]),
        (main, ["train", "--data", root, "--train-on", "sd14", "--out", tmp_path / "x", *base]),
        (search, ["--space", space, "--out", tmp_path / "run"]),
    ):
        assert command(list(map(str, arguments))) == 2
        assert "evil.safetensors is not a detector checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["pickle", "arrays"])
def test_scores_that_are_a_pickle_are_refused(payload, tmp_path, form):
    {**FORMS, "arrays": write_arrays}[form](tmp_path / "x.logits.npz", payload)
    with pytest.raises(ValueError, match="pickle"):
        read_logits(tmp_path / "x.logits.npz")


def test_a_description_that_is_nested_without_end_is_refused(tmp_path, capsys):
    save_file({"w": np.zeros(3)}, tmp_path / "deep.safetensors", metadata={"info": "[" * 100_000})
    assert main(["predict", str(tmp_path / "deep.safetensors"), str(tmp_path)]) == 2
    assert "deep.safetensors is not a detector checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("detector", ["swin_nano", "deit_s", "resnet50"])
def test_a_description_that_asks_for_all_memory_is_refused(tmp_path, capsys, detector):
    info = json.dumps({"detector": detector, "image_size": 224 * 10**6, "generators": []})
    save_file({"w": np.zeros(3)}, tmp_path / "huge.safetensors", metadata={"info": info})
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    assert main(["predict", str(tmp_path / "huge.safetensors"), str(tmp_path)]) == 2
    assert "image_size" in capsys.readouterr().err


# Paths stay where they belong.


@pytest.mark.parametrize("name", ["../outside", "{folder}/outside", "/dev/zero", "pipe", ".", ".."])
def test_a_checkpoint_reads_nothing_that_lies_elsewhere(tmp_path, name):
    checkpoint = tmp_path / "epoch_1"
    checkpoint.mkdir()
    (tmp_path / "outside").touch()
    os.mkfifo(checkpoint / "pipe")
    (checkpoint / CONTENTS).write_text(json.dumps({name.format(folder=tmp_path): 0}))
    assert not is_whole(checkpoint)


# YAML and JSON hold no more than they show.


def piled_up(levels, line):
    """Ten to the power of `levels` values in `levels` lines."""
    rows = [line.format(this=level, before=", ".join([f"*a{level - 1}"] * 10)) for level in range(1, levels)]
    return "\n".join(["a0: &a0 {x: 1, y: 2}", *rows, ""])


HEAD = "name: x\nprotocol: {search: [sd14, biggan]}\n"
PILES = {
    "lists": piled_up(7, "a{this}: &a{this} [{before}]") + "training: *a6\n",
    "merged": piled_up(7, "a{this}: &a{this} {{<<: [{before}]}}"),
    "recursive": "data: &d {root: mini, layout: *d}\n",
    "recursive key": "space: &s {noise_scale: [*s]}\n",
    "deep": "data: " + "[" * 5000 + "]" * 5000 + "\n",
    "sexagesimal": "search: {trials: 1" + ":10" * 5000 + "}\n",
    "digits": "search: {trials: " + "9" * 5000 + "}\n",
    "large": "data: {root: " + "x" * 2**20 + "}\n",
    "tag": "data: !!python/object/apply:os.system [touch executed]\n",
    "no day": "search: {trials: 2001-02-31}\n",
}


@pytest.mark.parametrize("pile", PILES)
def test_yaml_that_holds_too_much_is_refused_by_its_name(tmp_path, write_tree, capsys, monkeypatch, pile):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.yaml").write_text(HEAD + PILES[pile])
    (tmp_path / "around.yaml").write_text(HEAD + "data: {layout: evil.yaml}\n")
    for name, kind in (("evil", "space file"), ("around", "mapping")):
        with pytest.raises(ValueError, match=rf"cannot read {kind} \S*evil.yaml: "):
            load_space(tmp_path / f"{name}.yaml")
    root = write_tree(tmp_path / "data")
    picture = next(root.rglob("*.png"))
    for call in (["data", "index", root, "--layout"], ["augment", picture, "--space"]):
        assert main([*map(str, call), "evil.yaml"]) == 2
        assert "cannot read evil.yaml: " in capsys.readouterr().err
    assert not (tmp_path / "executed").exists()


def test_aliases_of_ordinary_size_are_fine(tmp_path):
    text = "a: &a [x/*.png, y/*.png]\nb: {train: *a, val: *a}\nc: &c {k: 1}\nd: {<<: *c, l: 2}\n"
    (tmp_path / "own.yaml").write_text(text)
    patterns = ["x/*.png", "y/*.png"]
    expected = {
        "a": patterns,
        "b": {"train": patterns, "val": patterns},
        "c": {"k": 1},
        "d": {"k": 1, "l": 2},
    }
    assert read_yaml(tmp_path / "own.yaml") == expected


def test_settings_on_the_command_line_may_be_nested_without_end(tmp_path, capsys, write_tree):
    root = write_tree(tmp_path / "data")
    call = ["train", "--data", str(root), "--train-on", "adm", "--out", str(tmp_path / "x.safetensors")]
    assert main([*call, "--base", "scratch", "--training", "epochs=" + "[" * 100_000]) == 2
    assert "epochs" in capsys.readouterr().err


# Images are of a limited size.


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # takes no room
    facts = read_facts(tmp_path / "huge.png")
    assert (facts.error, facts.content, facts.bytes) == ("decompression bomb", None, MAX_BYTES + 1)
    with pytest.raises(UnreadableImage, match="decompression bomb"):
        read_image(tmp_path / "huge.png")


@pytest.mark.parametrize(
    "size", [(10_000, 10_000), (40_000, 30_000)]
)  # Pillow warns of one, refuses the other
def test_a_bomb_is_a_bad_file_to_every_reader(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(png_bomb(*size))
    assert read_facts(tmp_path / "bomb.png").error == "decompression bomb"
    with pytest.raises(UnreadableImage, match="decompression bomb"):
        read_image(tmp_path / "bomb.png")


# Ray obeys the search alone.

SEARCH = """
import os, sys
from pathlib import Path
from search.cluster import ray_session
from tests.benchmarks.driver import run
import ray

run_dir = Path(sys.argv[1])
with ray_session(None, run_dir):
    run(run_dir, 2)
    print("address", ray.get_runtime_context().gcs_address, os.environ["RAY_AUTH_TOKEN"], flush=True)
    sys.stdin.read()
"""
PLANTED = [
    "tune/tuner.pkl",
    "tune/trainable.pkl",
    "tune/search_gen_state-1.json",
    "tune/searcher-state-1.pkl",
]
PLANTED += [
    "tune/trial_0000/params.pkl",
    "workers/checkpoint_manager_snapshot.json",
    "study.pkl",
    "study.db.pkl",
]
SECRETS = {
    name: f"secret {name}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
}


@pytest.fixture(scope="module")
def under_way(tmp_path_factory):
    """A search with a Ray of its own, where others are not to be asked for a token: process, run, home."""
    run_dir, home = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("home")
    for name in PLANTED:
        (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        write_pickle(run_dir / name, Payload(run_dir / "executed"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment |= {"HOME": str(home), "RAY_AUTH_MODE": "disabled", **SECRETS}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", SEARCH, run_dir]
    with subprocess.Popen(command, cwd=HOME, env=environment, **pipes) as process:
        address, token = next(line.split()[1:] for line in process.stdout if line.startswith("address "))
        yield process, run_dir, home, address, token
        end(process)


def end(process):
    """End the search; once more does nothing."""
    process.stdin.close()
    assert process.wait(60) == 0


def status(address, home, **variables):
    """Ask a Ray how it is, as another process does."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    environment |= {"HOME": str(home), **variables}
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # else it asks elsewhere than on loopback
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90)


def test_a_search_listens_on_loopback_only(under_way):
    process, *_ = under_way
    assert listening(pid for pid, _ in descendants(process.pid)) == {"0100007F"}


def test_a_search_obeys_who_knows_its_token_whatever_is_set_for_other_clusters(under_way):
    _, _, home, address, token = under_way
    other = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "b" * 64}
    for variables in ({"RAY_AUTH_MODE": "disabled"}, other):
        refused = status(address, home, **variables)
        assert refused.returncode != 0 and "InvalidAuthToken" in refused.stderr
    assert status(address, home, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token).returncode == 0


def test_a_search_runs_nothing_that_lies_in_its_run_directory(under_way):
    _, run_dir, *_ = under_way
    states = [json.loads(line)["state"] for line in (run_dir / "trials.jsonl").read_text().splitlines()]
    assert len(states) == 2 and not (run_dir / "executed").exists()


def test_no_secret_is_in_what_a_search_leaves_behind(under_way):
    process, run_dir, home, _, token = under_way
    end(process)  # Ray's logs are kept at the end
    files = [path for folder in (run_dir, home) for path in folder.rglob("*") if path.is_file()]
    logs = [path for path in files if path.is_relative_to(run_dir / "logs")]
    assert any(b"OMP_WAIT_POLICY" in path.read_bytes() for path in logs), "variables are in these logs"
    for secret in (token, *SECRETS.values()):
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
