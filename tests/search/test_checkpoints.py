import pytest

from search.checkpoints import is_whole, newest_whole, partial_folder, seal, secure


def save(folder, epoch):
    partial = partial_folder(folder, epoch)
    partial.mkdir(parents=True)
    (partial / "sd14.safetensors").write_bytes(bytes(range(256)) * epoch)
    (partial / "sd14.training.pt").write_bytes(b"state" * epoch)
    contents = {}
    for path in sorted(partial.iterdir()):
        contents |= secure(path)
    return seal(folder, epoch, contents)


def test_the_last_two_epochs_are_kept(tmp_path):
    for epoch in range(1, 5):
        save(tmp_path, epoch)
        assert newest_whole(tmp_path, 99) == epoch
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_3", "epoch_4"]
    assert newest_whole(tmp_path, 3) == 3 and newest_whole(tmp_path, 2) == 0


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.unlink()])
@pytest.mark.parametrize("name", ["sd14.safetensors", "sd14.training.pt", "contents.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, damage, name):
    save(tmp_path, 1)
    damage(save(tmp_path, 2) / name)
    assert newest_whole(tmp_path, 2) == 1


def test_what_was_cut_off_before_it_was_sealed_does_not_count(tmp_path):
    partial = partial_folder(tmp_path, 1)
    partial.mkdir()
    (partial / "sd14.safetensors").write_bytes(b"half")
    assert newest_whole(tmp_path, 1) == 0 and not is_whole(partial)


def test_an_epoch_that_is_repeated_replaces_its_checkpoint(tmp_path):
    save(tmp_path, 1)
    flip(save(tmp_path, 2) / "sd14.safetensors")
    save(tmp_path, 2)
    assert newest_whole(tmp_path, 2) == 2
