import numpy as np
import pytest
from matplotlib import colormaps
from synthetic_epoch import METRICS, result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from genimage_core.data.batches import ImageSet
from genimage_core.policy import FrequencyPolicy
from search.board import Board, contact_sheet, flatten, write_pictures, write_text
from search.heat_map import CELL, PAPER, draw_heat_map

pytestmark = pytest.mark.usefixtures("one_thread")


def events(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def hyperparameters(accumulator):
    metadata = accumulator.summary_metadata["_hparams_/session_start_info"]
    data = HParamsPluginData.FromString(metadata.plugin_data.content)
    kinds = {name: value.WhichOneof("kind") for name, value in data.session_start_info.hparams.items()}
    return {
        name: getattr(data.session_start_info.hparams[name], kind) for name, kind in kinds.items() if kind
    }


def group_of(folder):
    metadata = events(folder).summary_metadata["_hparams_/session_start_info"]
    return HParamsPluginData.FromString(metadata.plugin_data.content).session_start_info.group_name


@pytest.fixture
def data():
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    return ImageSet((images,), np.repeat([0, 1], 6).astype(np.uint8), "random")


def test_curves_are_there_as_soon_as_an_epoch_is(tmp_path):
    board = Board(tmp_path)
    board.write_epoch("trial_0001", result(1))
    scalars = events(tmp_path / "trial_0001")
    assert scalars.Scalars("metric/off_family_accuracy")[0].value == pytest.approx(0.1)
    board.write_epoch("trial_0001", result(2))
    board.close()
    scalars = events(tmp_path / "trial_0001")
    for name, value in flatten(result(2)).items():
        first, second = scalars.Scalars(name)
        assert (first.step, second.step) == (1, 2)
        assert second.value == pytest.approx(value)


def test_the_matrix_of_every_epoch_is_drawn(tmp_path):
    board = Board(tmp_path)
    for epoch in (1, 2):
        board.write_epoch("trial_0001", result(epoch))
    board.close()
    drawn = events(tmp_path / "trial_0001").Images("matrix")
    assert [image.step for image in drawn] == [1, 2]
    assert drawn[0].encoded_image_string != drawn[1].encoded_image_string


def test_cells_of_a_heat_map_are_bright_where_accuracy_is_high():
    matrix = {
        "adm": {"adm": {"accuracy": 1.0}, "sd14": {"accuracy": 0.5}},
        "sd14": {"sd14": {"accuracy": 0.8}},
    }
    picture = draw_heat_map(matrix)
    right, low = picture.shape[1] - CELL, picture.shape[0] - CELL

    def colour(row, column):
        return picture[low - CELL * (1 - row) + 4, right - CELL * (1 - column) + 4].tolist()

    assert colour(0, 0) == [*map(int, colormaps["cividis"](1.0, bytes=True)[:3])]
    assert colour(0, 1) == [*map(int, colormaps["cividis"](0.0, bytes=True)[:3])]
    assert sum(colour(0, 0)) > sum(colour(1, 1)) > sum(colour(0, 1))
    assert colour(1, 0) == list(PAPER), "what was not tested stays empty"


def test_every_number_of_an_epoch_has_a_name():
    tags = flatten(result(1))
    assert {f"metric/{name}" for name in METRICS} < set(tags)
    assert tags["loss/mean"] == 0.5 and tags["loss/adm"] == 0.25
    assert tags["accuracy/adm/sd14"] == 0.5 and tags["real_accuracy/adm/sd14"] == 0.5
    assert tags["fake_accuracy/adm/adm"] == 0.7
    assert (tags["seconds/train"], tags["seconds/eval"], tags["seconds/wait"]) == (3.0, 2.0, 1.0)


@pytest.mark.parametrize("state", ["completed", "stopped", "failed"])
def test_hyperparameters_of_every_trial_are_there(tmp_path, state):
    board = Board(tmp_path)
    params = {"role": "searched", "noise_scale": 0.25, "mask_kind": "ring", "freeze_depth": 2, "flip": True}
    board.write_epoch("trial_0001", result(1))
    board.write_hyperparameters("trial_0001", params, state)
    board.close()
    read = events(tmp_path / "trial_0001")
    assert hyperparameters(read) == {**params, "state": state}
    assert read.Scalars("metric/off_family_accuracy")[-1].value == pytest.approx(0.1)


def test_trainings_of_a_finalist_are_a_group_of_their_own(tmp_path):
    search, finalists = Board(tmp_path), Board(tmp_path / "finalists")
    search.write_hyperparameters("trial_0000", {"role": "baseline"}, "completed")
    for number, (name, seed) in enumerate((("baseline", 0), ("trial_0004", 0), ("baseline", 1))):
        params = {"role": "searched", "finalist": name, "seed": seed}
        finalists.write_hyperparameters(f"trial_{number:04d}", params, "completed")
    groups = [group_of(tmp_path / "trial_0000")]
    groups += [group_of(tmp_path / "finalists" / f"trial_{number:04d}") for number in range(3)]
    assert groups == ["trial_0000", "finalist baseline", "finalist trial_0004", "finalist baseline"]


def test_a_trial_that_failed_before_its_first_epoch_is_there_too(tmp_path):
    board = Board(tmp_path)
    board.write_hyperparameters("trial_0002", {"role": "searched", "noise_scale": 0.5}, "failed")
    board.close()
    assert hyperparameters(events(tmp_path / "trial_0002"))["state"] == "failed"


def test_trials_have_folders_of_their_own(tmp_path):
    board = Board(tmp_path)
    for number in (0, 1):
        board.write_epoch(f"trial_{number}", result(number + 1))
    board.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trial_0", "trial_1"]
    assert events(tmp_path / "trial_1").Scalars("loss/mean")[0].step == 2


def test_pictures_are_on_the_board(tmp_path, data):
    sheet = contact_sheet(FrequencyPolicy(noise_scale=0.5), data, seed=0)
    write_pictures(tmp_path / "trial_0001", {"adm": sheet, "sd14": sheet})
    read = events(tmp_path / "trial_0001")
    assert sorted(read.Tags()["images"]) == ["augmented/adm", "augmented/sd14"]
    assert read.Images("augmented/adm")[0].encoded_image_string.startswith(b"\x89PNG")


def test_the_sheet_shows_originals_over_augmented_ones(data):
    sheet = contact_sheet(FrequencyPolicy(), data, seed=0)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    originals, augmented, spectra, spectra_after = np.split(sheet, 4)
    np.testing.assert_array_equal(originals, augmented)
    np.testing.assert_array_equal(spectra, spectra_after)
    assert spectra.std() > 1 and originals.std() > 1
    changed = contact_sheet(FrequencyPolicy(noise_scale=1.0), data, seed=0)
    np.testing.assert_array_equal(np.split(changed, 4)[0], originals)
    assert (np.split(changed, 4)[1] != originals).any()
    np.testing.assert_array_equal(contact_sheet(FrequencyPolicy(noise_scale=1.0), data, seed=0), changed)
    assert (contact_sheet(FrequencyPolicy(noise_scale=1.0), data, seed=1) != changed).any()


def test_the_sheet_shows_both_classes(data):
    images = np.where(data.labels[:, None, None, None] == 1, 255, data.shards[0] // 8).astype(np.uint8)
    bright = ImageSet((images,), data.labels, "x")
    originals = np.split(contact_sheet(FrequencyPolicy(), bright, seed=0), 4)[0]
    assert 0.4 < (originals == 255).mean() < 0.6


def test_a_text_replaces_the_one_before(tmp_path):
    for text in ("# First", "# Second | with a bar"):
        write_text(tmp_path / "report", "report", text)
    [event] = events(tmp_path / "report").Tensors("report")
    assert event.tensor_proto.string_val == [b"# Second | with a bar"]
