"""The commands on small trees, as a user types them."""

import json

import numpy as np
import pytest
import yaml
from PIL import Image

from genimage_core.__main__ import main
from genimage_core.data.images import choose_images
from genimage_core.data.layout import find_layout
from genimage_core.detectors.checkpoint import save_checkpoint
from genimage_core.detectors.detector import build_detector
from genimage_core.detectors.info import CheckpointInfo


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENIMAGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path, cache):
    """JPEG reals, PNG fakes; one file is empty, and one stands in both splits."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 30), ("val", 24)):
        for label, kind in (("nature", "JPEG"), ("ai", "png")):
            folder = tmp_path / "data" / "imagenet_glide" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number:03d}.{kind}")
    glide = tmp_path / "data" / "imagenet_glide"
    (glide / "train" / "ai" / "000.png").write_bytes(b"")
    (glide / "val" / "nature" / "000.JPEG").write_bytes(
        (glide / "train" / "nature" / "001.JPEG").read_bytes()
    )
    return tmp_path / "data"


def run(capsys, *arguments, code=0):
    assert main([*map(str, arguments)]) == code
    captured = capsys.readouterr()
    return captured.out if code == 0 else captured.err


def test_the_index_tells_what_is_there_what_is_bad_and_what_leaks(capsys, root, cache):
    said = run(capsys, "data", "index", root, "--workers", 1)
    assert "1 files that do not decode" in said and "imagenet_glide/train/ai/000.png zero bytes" in said
    assert "2 files whose bytes stand in both splits" in said and "val/nature/000.JPEG" in said
    assert len(list((cache / "index").glob("*/index.json"))) == 1
    near = run(capsys, "data", "index", root, "--workers", 1, "--near", 0)
    assert "1 val images within 0 bits of a train image" in near


def test_the_audit_tells_what_the_format_gives_away_and_writes_a_page(capsys, root, tmp_path):
    said = run(capsys, "data", "audit", root, "--workers", 1, "--out", tmp_path / "page")
    assert "format" in said and "on glide" in said and "match_quality" in said
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "glide" in page and "<svg" in page and "<script" not in page
    cured = run(
        capsys,
        "data",
        "audit",
        root,
        "--workers",
        1,
        "--out",
        tmp_path / "page",
        "--alignment",
        "jpeg96_both",
    )
    assert "After format_alignment: jpeg96_both, neither format nor quality tells" in cured


def test_a_mapping_and_generators_can_be_named(capsys, root, tmp_path):
    globs = {"train": ["imagenet_glide/train/{}/*"], "val": ["imagenet_glide/val/{}/*"]}
    own = {k: {s: [p.format(k) for p in g] for s, g in globs.items()} for k in ("ai", "nature")}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"generators": {"flux": own}}))
    said = run(capsys, "data", "index", root, "--layout", tmp_path / "own.yaml", "--workers", 1)
    assert "flux" in said and "glide  " not in said
    refused = run(capsys, "data", "index", root, "--generators", "adm", code=2)
    assert "lacks adm" in refused and refused.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["index", "{root}", "--workers", "0"], "--workers"),
        (["index", "{root}", "--layout", "nowhere.yaml"], "nowhere.yaml"),
        (["audit", "{root}", "--alignment", "png"], "png"),
        (["clean-cache", "--keep", "much"], "--keep"),
        (["clean-cache", "--keep", "-1"], "--keep"),
    ],
)
def test_a_wrong_call_is_one_line(capsys, root, arguments, named):
    error = run(capsys, "data", *(text.format(root=root) for text in arguments), code=2)
    assert named in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.fixture
def checkpoint(tmp_path):
    detector = build_detector("swin_nano", image_size=32)
    path = tmp_path / "glide.safetensors"
    save_checkpoint(path, detector, CheckpointInfo("swin_nano", 32, ("glide",), "none"))
    return path


def test_evaluation_shows_three_tracks_side_by_side(capsys, root, cache, checkpoint, tmp_path):
    out = tmp_path / "scores.json"
    said = run(capsys, "evaluate", checkpoint, "--data", root, "--per-class", 20, "--tracks", "--out", out)
    assert all(text in said for text in ("trained on glide", "raw", "fakes at 96", "both at 96"))
    [tracks] = json.loads(out.read_text()).values()
    assert list(tracks) == ["raw", "fakes at 96", "both at 96"]
    reals = [tracks[name]["glide"]["real_accuracy"] for name in tracks]
    assert reals[0] == reals[1] and all(row["glide"]["images"] == 40 for row in tracks.values())


def test_the_cache_is_cleaned_by_what_was_not_used_for_longest(capsys, root, cache, checkpoint):
    run(capsys, "evaluate", checkpoint, "--data", root, "--per-class", 20)
    assert len(list((cache / "decoded").glob("*/manifest.json"))) == 1
    assert "0 decoded sets removed" in run(capsys, "data", "clean-cache", "--keep", "1GB")
    assert "1 decoded sets removed" in run(capsys, "data", "clean-cache", "--keep", "0")
    assert not list((cache / "decoded").glob("*/manifest.json"))


def test_a_folder_that_cannot_be_written_is_one_line(capsys, root, tmp_path):
    (tmp_path / "file").touch()
    error = run(capsys, "data", "audit", root, "--workers", 1, "--out", tmp_path / "file" / "page", code=1)
    assert error.startswith("failed: ") and error.count("\n") == 1 and "file" in error


def test_a_detector_is_evaluated_on_images_cut_as_in_its_training(capsys, root, cache, tmp_path):
    for crop in ("centre", "random", "resize"):
        info = CheckpointInfo("swin_nano", 32, ("glide",), "none", crop=crop)
        save_checkpoint(tmp_path / f"{crop}.safetensors", build_detector("swin_nano", image_size=32), info)
        run(capsys, "evaluate", tmp_path / f"{crop}.safetensors", "--data", root, "--per-class", 20)
    manifests = [json.loads(path.read_text()) for path in (cache / "decoded").glob("*/manifest.json")]
    assert sorted(m["recipe"]["crop"] for m in manifests) == ["centre", "resize"]


def test_reals_are_held_to_the_size_they_had_in_training(capsys, root, tmp_path):
    small = root / "imagenet_glide" / "val" / "nature"
    for path in sorted(small.iterdir())[:4]:
        Image.new("RGB", (300, 300)).save(path)
    info = CheckpointInfo("swin_nano", 32, ("glide",), "none", real_size=(30, 50))
    path = tmp_path / "sized.safetensors"
    save_checkpoint(path, build_detector("swin_nano", image_size=32), info)
    run(capsys, "evaluate", path, "--data", root, "--per-class", 20)
    refused = run(capsys, "evaluate", path, "--data", root, "--per-class", 21, code=2)
    assert "20 images of 24 whose width and height are within data.real_size [30, 50]" in refused


def test_unreadable_images_are_listed_or_too_many(capsys, root, checkpoint):
    (root / "imagenet_glide" / "val" / "ai" / "003.png").write_bytes(b"")
    arguments = ("evaluate", checkpoint, "--data", root, "--per-class", 24)
    assert "1 of 24 ai images cannot be decoded" in run(capsys, *arguments, code=2)
    said = run(capsys, *arguments, "--max-bad-share", "0.1")
    assert "left out: glide val: imagenet_glide/val/ai/003.png: zero bytes" in said


@pytest.mark.parametrize("names", ["glide,foo", "foo", "glide,,"])
def test_every_generator_that_is_named_must_be_there(capsys, root, names):
    for arguments in (("data", "index", root), ("data", "audit", root)):
        refused = run(capsys, *arguments, "--generators", names, code=2)
        assert "lacks" in refused and refused.count("\n") == 1


def test_names_may_be_separated_by_spaces_too(capsys, root):
    run(capsys, "data", "index", root, "--generators", " glide ", "--workers", 1)


def test_names_of_files_are_shown_as_they_are(capsys, root):
    folder = root / "imagenet_glide" / "train" / "ai"
    for name in ("bad[red].png", "x[/b]".replace("/", "]") + ".png", "esc\x1b[31m.png"):
        (folder / name).write_bytes(b"")
    said = run(capsys, "data", "index", root, "--workers", 1)
    assert "bad[red].png" in said and "x[]b].png" in said and "esc\\x1b[31m.png" in said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("index", "--near", "17"), "between 0 and 16"), (("audit", "--alignment", "png"), "--alignment")],
)
def test_bad_arguments_are_refused_before_any_work(capsys, root, cache, arguments, named):
    action, *rest = arguments
    assert named in run(capsys, "data", action, root, *rest, code=2)
    assert not (cache / "index").exists()


def test_folders_without_an_image_are_refused(capsys, tmp_path, cache):
    for label in ("nature", "ai"):
        (tmp_path / "empty" / "adm" / "val" / label).mkdir(parents=True)
    for action in ("index", "audit"):
        assert "hold no image" in run(capsys, "data", action, tmp_path / "empty", "--workers", 1, code=2)


@pytest.fixture
def three(tmp_path):
    """Checkpoints of three detectors, one of another kind."""
    paths = []
    for seed, name in enumerate(("swin_nano", "swin_nano", "spec")):
        paths.append(tmp_path / f"{seed}.safetensors")
        save_checkpoint(
            paths[-1], build_detector(name, image_size=32, seed=seed), CheckpointInfo(name, 32, ("glide",))
        )
    return paths


def test_an_ensemble_is_evaluated_as_a_detector_of_its_own(capsys, root, three, tmp_path):
    out = tmp_path / "scores.json"
    said = run(capsys, "evaluate", *three, "--ensemble", "--data", root, "--per-class", 20, "--out", out)
    record = json.loads(out.read_text())
    assert list(record) == [*map(str, three), "ensemble of 3"] and "ensemble of 3: trained on glide" in said
    rows = map(json.loads, run(capsys, "predict", *three, root / "imagenet_glide" / "val").splitlines())
    called = {row["path"]: row["verdict"] for row in rows}
    layout = find_layout(root)
    chosen = choose_images(layout, "glide", "val", 20, 0)
    hits = [called[str(path)] == ("fake" if label else "real") for path, label in chosen]
    fakes = [hit for hit, (_, label) in zip(hits, chosen, strict=True) if label]
    assert record["ensemble of 3"]["none"]["glide"]["fake_accuracy"] == pytest.approx(sum(fakes) / 20)
