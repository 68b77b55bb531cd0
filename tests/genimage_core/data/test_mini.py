import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import GroupKFold, cross_val_predict

from genimage_core.data import mini
from genimage_core.data.layout import CLASS_FOLDERS, SPLITS, find_layout
from genimage_core.data.mini import JPEG_QUALITY, MiniSettings, ensure_mini, mini_folder
from genimage_core.data.mini_card import MATRIX_FILE, is_simulated, render_measurements
from genimage_core.data.photographs import PHOTOGRAPHS, load_photographs
from genimage_core.generators import GENIMAGE

HOME = Path(mini.__file__).parents[2]
TINY = MiniSettings(image_size=32, train_per_class=3, val_per_class=2)
MAKE = """
import sys
from pathlib import Path
from genimage_core.data.mini import MiniSettings, ensure_mini
settings = MiniSettings(image_size=32, train_per_class=int(sys.argv[2]), val_per_class=2)
print(ensure_mini(Path(sys.argv[1]), settings, lambda done, total: print("made", done, flush=True)))
"""


def tree(root):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def start(cache, train_per_class=3):
    command = [sys.executable, "-c", MAKE, str(cache), str(train_per_class)]
    env = {**os.environ, "PYTHONPATH": str(HOME)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def folders_of_data(cache):
    return [path for path in cache.iterdir() if path.is_dir()]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return ensure_mini(tmp_path_factory.mktemp("cache"), TINY)


@pytest.fixture(scope="module")
def larger(tmp_path_factory):
    settings = MiniSettings(train_per_class=45, val_per_class=10, seed=1)
    return ensure_mini(tmp_path_factory.mktemp("larger"), settings)


class TestContent:
    def test_layout_and_counts(self, tiny):
        found = find_layout(tiny)
        assert found.kind == "genimage" and found.generators == GENIMAGE.names
        for name in found.generators:
            for split, count in zip(SPLITS, (3, 2), strict=True):
                for label in (0, 1):
                    assert len(list(found.images(name, split, label))) == count

    def test_same_seed_same_bytes_other_seed_other_bytes(self, tiny, tmp_path):
        again = ensure_mini(tmp_path / "again", TINY)
        assert tree(again) == tree(tiny)
        other = ensure_mini(
            tmp_path / "other", MiniSettings(image_size=32, train_per_class=3, val_per_class=2, seed=1)
        )
        assert other.name != tiny.name
        digests = set(tree(tiny).values())
        assert not digests & {d for name, d in tree(other).items() if name != "CARD.md"}

    def test_the_number_of_workers_changes_nothing(self, tiny, tmp_path, monkeypatch):
        monkeypatch.setattr(mini, "MOST_WORKERS", 1)
        assert tree(ensure_mini(tmp_path, TINY)) == tree(tiny)

    def test_a_larger_data_set_holds_the_smaller_one(self, tiny, tmp_path):
        larger = replace(TINY, train_per_class=TINY.train_per_class + 1, val_per_class=TINY.val_per_class + 2)
        images = {name: digest for name, digest in tree(tiny).items() if name != "CARD.md"}
        assert images.items() < tree(ensure_mini(tmp_path, larger)).items()

    def test_every_image_differs(self, larger):
        digests = tree(larger).values()
        assert len(set(digests)) == len(digests)

    def test_nature_and_ai_of_a_generator_show_the_same_scenes(self, larger):
        layout = find_layout(larger)
        for name in layout.generators:
            for split in SPLITS:
                nature, ai = ({p.stem for p in layout.images(name, split, label)} for label in (0, 1))
                assert nature == ai

    def test_no_scene_and_no_photograph_in_two_places(self, larger):
        numbers = Counter()
        photographs = {split: set() for split in SPLITS}
        layout = find_layout(larger)
        for name in layout.generators:
            for split in SPLITS:
                for path in layout.images(name, split, 0):
                    number, source = re.fullmatch(r"(\d{6})_(\w+)", path.stem).groups()
                    numbers[name, split, number] += 1
                    photographs[split].add(source)
        assert set(numbers.values()) == {1}
        assert photographs["train"] & photographs["val"] == {"leaves"}
        for split in SPLITS:
            stated = {p.name for p in PHOTOGRAPHS if p.split == split}
            assert photographs[split] - {"leaves"} == stated == set(load_photographs(split))

    def test_both_classes_have_one_format(self, larger):
        facts = {name: set() for name in CLASS_FOLDERS}
        for path in larger.rglob("*.jpg"):
            with Image.open(path) as image:
                sampling = tuple(layer[1:3] for layer in image.layer)
                facts[path.parent.name].add((image.format, image.mode, image.size, sampling))
        assert facts["nature"] == facts["ai"] == {("JPEG", "RGB", (64, 64), ((1, 1),) * 3)}

    def test_file_facts_do_not_tell_the_classes_apart(self, larger):
        facts, labels, scenes = [], [], []
        for path in larger.rglob("*.jpg"):
            facts.append(file_facts(path))
            labels.append(path.parent.name == "ai")
            scenes.append(path.stem)
        labels = np.array(labels)
        guesses = cross_val_predict(
            HistGradientBoostingClassifier(max_depth=3, max_iter=60), facts, labels,
            groups=scenes, cv=GroupKFold(5),
        )  # fmt: skip
        assert np.mean(guesses == labels) < 0.55
        qualities = [{f[1] for f, label in zip(facts, labels, strict=True) if label == k} for k in (0, 1)]
        assert len({size for size, *_ in facts}) == 1
        assert qualities[0] == qualities[1] == set(range(JPEG_QUALITY[0], JPEG_QUALITY[1] + 1))

    def test_a_pair_shows_one_scene_with_fresh_noise(self, larger):
        folder = larger / "stable_diffusion_v_1_4" / "imagenet_ai_0419_sdv4" / "val"
        for nature in sorted((folder / "nature").iterdir())[:5]:
            first, second = (
                np.asarray(Image.open(p), dtype=float) for p in (nature, folder / "ai" / nature.name)
            )
            assert np.abs(first - second).mean() < 40
            assert (first != second).mean() > 0.5


def file_facts(path):
    """Bytes, JPEG quality, width and height: all that a detector should not be able to use."""
    with Image.open(path) as image:
        return os.path.getsize(path), quality_of(image), *image.size  # noqa: PTH202


def quality_of(image):
    for quality in range(JPEG_QUALITY[0] - 2, 101):
        buffer = BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=quality, subsampling=0)
        if Image.open(buffer).quantization == image.quantization:
            return quality
    raise AssertionError("unknown quantisation table")


class TestCard:
    def test_says_what_it_is(self, tiny):
        card = (tiny / "CARD.md").read_text(encoding="utf-8")
        assert "SIMULATED" in card and "nothing about the quality of a detector" in " ".join(card.split())
        for photograph in PHOTOGRAPHS:
            assert photograph.terms in card
        for generator in GENIMAGE.generators:
            assert f"| {generator.name} |" in card

    def test_the_measurements_fit_together(self):
        record = json.loads(MATRIX_FILE.read_text(encoding="utf-8"))
        size = (len(record["rows"]), len(record["columns"]))
        assert record["version"] == mini.MINI_VERSION
        assert record["rows"] == record["columns"] == list(GENIMAGE.names)
        assert np.array(record["accuracy"]).shape == np.array(record["standard_error"]).shape == size
        assert set(record["hard"]) <= set(GENIMAGE.names)
        assert set(record["shortcut"]) == {*GENIMAGE.names, "pooled"}

    def test_renders_measurements(self):
        record = {
            "version": 1, "detector": "a net", "training": "long", "command": "c", "machine": "m",
            "seeds": [0], "hard": ["adm"], "rows": ["adm"], "columns": ["adm", "glide"],
            "accuracy": [[0.75, 0.5]], "standard_error": [[0.01, 0.02]],
            "shortcut": {"pooled": {"accuracy": 0.5, "low": 0.48, "high": 0.52}},
        }  # fmt: skip
        text = render_measurements(record)
        assert "| adm (hard) | 75.0 ± 1.0 | 50.0 ± 2.0 |" in text
        assert "| pooled | 50.0 | 48.0 to 52.0 |" in text


class TestMaking:
    def test_is_not_made_twice(self, tiny):
        before = {p: p.stat().st_mtime_ns for p in tiny.rglob("*")}
        assert ensure_mini(tiny.parent, TINY) == tiny == mini_folder(tiny.parent, TINY)
        assert {p: p.stat().st_mtime_ns for p in tiny.rglob("*")} == before

    def test_progress_ends_at_the_total(self, tmp_path):
        seen = []
        ensure_mini(tmp_path, TINY, lambda done, total: seen.append((done, total)))
        assert seen == sorted(seen) and seen[-1] == (8 * 5, 8 * 5)

    def test_two_processes_at_once_make_it_once(self, tiny, tmp_path):
        both = [start(tmp_path), start(tmp_path)]
        outputs = [process.communicate(timeout=60)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0]
        makers = [output for output in outputs if "made" in output]
        assert len(makers) == 1
        assert tree(mini_folder(tmp_path, TINY)) == tree(tiny)
        assert len(folders_of_data(tmp_path)) == 1

    def test_killed_half_way_then_made_anew(self, tmp_path):
        settings = MiniSettings(image_size=32, train_per_class=16, val_per_class=2)
        process = start(tmp_path, 16)
        assert process.stdout.readline().startswith("made")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert [path.name for path in folders_of_data(tmp_path) if ".partial-" in path.name]
        root = ensure_mini(tmp_path, settings)
        assert folders_of_data(tmp_path) == [root]
        time.sleep(1)  # an orphaned worker would have written by now
        assert folders_of_data(tmp_path) == [root]
        assert len(list(root.rglob("*.jpg"))) == 8 * 2 * 18
        assert tree(root) == tree(ensure_mini(tmp_path / "fresh", settings))

    def test_a_failing_worker_is_reported_and_leaves_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setattr(mini.sys, "executable", "/bin/false")
        with pytest.raises(RuntimeError, match="status 1"):
            ensure_mini(tmp_path, TINY)
        assert not folders_of_data(tmp_path)

    def test_an_interrupt_stops_the_workers_and_leaves_nothing(self, tmp_path):
        def interrupt(done, total):
            raise KeyboardInterrupt

        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            ensure_mini(tmp_path, MiniSettings(image_size=32, train_per_class=2000), interrupt)
        assert time.monotonic() - begun < 20  # all of it takes more than a minute
        assert not folders_of_data(tmp_path)

    def test_needs_no_torch(self):
        code = "import sys, genimage_core.data.mini; assert not {'torch', 'sklearn'} & set(sys.modules)"
        env = {**os.environ, "PYTHONPATH": str(HOME)}
        subprocess.run([sys.executable, "-c", code], check=True, env=env)


@pytest.mark.parametrize(
    ("field", "value"),
    [("image_size", 0), ("image_size", 40), ("train_per_class", 0), ("val_per_class", -1), ("seed", -1)],
)
def test_impossible_settings_name_the_field(field, value):
    with pytest.raises(ValueError, match=f"{field}.*{value}"):
        MiniSettings(**{field: value})


def test_its_card_makes_it_simulated_from_the_root_to_a_generator_alone(tmp_path):
    inner = tmp_path / "mini" / "ADM" / "imagenet_ai_0508_adm"
    inner.mkdir(parents=True)
    for card in ("a SIMULATED data set", "measured", None):
        if card is not None:
            (tmp_path / "mini" / "CARD.md").write_text(card)
        else:
            (tmp_path / "mini" / "CARD.md").unlink()
        for folder in (inner, inner.parent, inner.parents[1]):
            assert is_simulated(folder) == (card == "a SIMULATED data set")
    assert not is_simulated(tmp_path) and not is_simulated(tmp_path / "nowhere")
