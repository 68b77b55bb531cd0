"""Mirrors, against a server on this machine that speaks S3 (moto)."""

import json
import shutil
import socket
import sqlite3
import time
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from run_process import matrices, read_records
from test_resume_end_to_end import kill

from search import storage
from search.checkpoints import newest_whole, partial_folder, seal, secure
from search.records import Records
from search.resume import ENVIRONMENT
from search.run import main
from search.storage import Mirror, fetch, kept_up
from search.study import open_study

SECRET = "not-to-be-told"
URI = "s3://runs/a/fft"


class Server:
    """An empty bucket called runs; stopping and starting it again leaves it as it is."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self):
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def stop(self):
        self._server.stop()

    def names(self):
        found = boto3.client("s3").list_objects_v2(Bucket="runs").get("Contents", [])
        return {item["Key"].removeprefix("a/fft/") for item in found if not item["Key"].endswith("/")}


@pytest.fixture
def server(monkeypatch):
    server = Server()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    bucket = boto3.resource("s3").Bucket("runs")
    bucket.create()
    yield server
    bucket.objects.all().delete()
    bucket.delete()
    server.stop()


@pytest.fixture
def run_dir(tmp_path):
    """A search of which one trial is under way."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / ENVIRONMENT).write_text(json.dumps({"started": "2026-01-01"}))
    (run_dir / "tune").mkdir()
    (run_dir / "tune" / "state.pkl").write_bytes(b"Ray's")
    begin(run_dir, 0)
    checkpoint(run_dir, 1)
    return run_dir


def begin(run_dir, number):
    assert open_study(run_dir / "study.db", "x").ask().number == number
    Records(run_dir, "auroc", 9).begin(number, "searched", {})


def checkpoint(run_dir, epoch):
    folder = run_dir / "checkpoints" / "trial_0000"
    partial_folder(folder, epoch).mkdir(parents=True)
    (partial_folder(folder, epoch) / "sd14.safetensors").write_bytes(b"weights" * epoch)
    seal(folder, epoch, secure(partial_folder(folder, epoch) / "sd14.safetensors"))


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trials(study):
    return [trial.number for trial in open_study(study, "x").get_trials()]


def test_what_is_fetched_is_what_was_mirrored(server, run_dir, tmp_path):
    assert Mirror(URI, run_dir).update() == ""
    fetch(URI, tmp_path / "elsewhere")
    expected = {name: content for name, content in files(run_dir).items() if name != "tune/state.pkl"}
    found = files(tmp_path / "elsewhere")
    assert trials(tmp_path / "elsewhere" / "study.db") == [0]
    assert {**found, "study.db": b""} == {**expected, "study.db": b""} and "study.db" in found


def test_only_what_has_changed_is_sent_and_what_is_gone_is_dropped(server, run_dir, monkeypatch):
    mirror, copy, sent = Mirror(URI, run_dir), storage._copy, []
    monkeypatch.setattr(storage, "_copy", lambda *of: (sent.append(Path(of[3]).name), copy(*of)))
    mirror.update()
    sent.clear()
    assert mirror.update() == "" and sent == []
    for epoch in (2, 3):
        checkpoint(run_dir, epoch)
    begin(run_dir, 1)
    assert mirror.update() == ""
    assert sorted(sent) == [*["contents.json"] * 2, "journal.jsonl", *["sd14.safetensors"] * 2, "study.db"]
    assert {name.split("/")[2] for name in server.names() if "checkpoints" in name} == {"epoch_2", "epoch_3"}


@pytest.mark.parametrize("after", range(7))
def test_a_mirror_that_is_cut_off_anywhere_can_go_on(server, run_dir, tmp_path, monkeypatch, after):
    Mirror(URI, run_dir).update()
    for epoch in (2, 3):
        checkpoint(run_dir, epoch)
    begin(run_dir, 1)
    left, copy = [after], storage._copy

    def cut_off(*of):
        left[0] -= 1
        if left[0] < 0:
            raise OSError("cut off")
        copy(*of)

    monkeypatch.setattr(storage, "SENDERS", 1)
    monkeypatch.setattr(storage, "_copy", cut_off)
    assert (Mirror(URI, run_dir).update() == "") == (after > 6)
    monkeypatch.setattr(storage, "_copy", copy)
    fetch(URI, tmp_path / "elsewhere")
    records = Records(tmp_path / "elsewhere", "auroc", 9)
    assert {*records.trials} <= {*trials(tmp_path / "elsewhere" / "study.db")}, "else it could not be resumed"
    assert newest_whole(tmp_path / "elsewhere" / "checkpoints" / "trial_0000", 9) in (1, 2, 3)


def test_the_study_is_never_behind_a_journal_that_was_written_meanwhile(
    server, run_dir, tmp_path, monkeypatch
):
    mirror, freeze = Mirror(URI, run_dir), storage._freeze_lines
    mirror.update()
    Records(run_dir, "auroc", 9).retry(0, "so that the journal has changed, and the study has not")

    def meanwhile(path, copy):
        begin(run_dir, 1)
        frozen = freeze(path, copy)
        begin(run_dir, 2)
        return frozen

    monkeypatch.setattr(storage, "_freeze_lines", meanwhile)
    assert mirror.update() == ""
    fetch(URI, tmp_path / "elsewhere")
    assert [*Records(tmp_path / "elsewhere", "auroc", 9).trials] == [0, 1]
    assert trials(tmp_path / "elsewhere" / "study.db") == [0, 1, 2]


def test_a_study_in_the_middle_of_a_change_is_copied_as_it_was(server, run_dir, tmp_path):
    with sqlite3.connect(run_dir / "study.db") as writer:
        writer.execute("DELETE FROM trials")
        assert list(run_dir.glob("study.db-*")), "the change is under way"
        assert Mirror(URI, run_dir).update() == ""
        writer.rollback()
    assert not [name for name in server.names() if name.startswith("study.db-")]
    fetch(URI, tmp_path / "elsewhere")
    assert trials(tmp_path / "elsewhere" / "study.db") == [0]


def test_half_a_line_is_not_sent(server, run_dir, tmp_path):
    with (run_dir / "trials.jsonl").open("w") as file:
        file.write('{"number": 0}\n{"numb')
    Mirror(URI, run_dir).update()
    fetch(URI, tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "trials.jsonl").read_text() == '{"number": 0}\n'


def test_what_vanishes_while_it_is_sent_stops_nothing_and_loses_nothing(server, run_dir, monkeypatch):
    mirror, copy = Mirror(URI, run_dir), storage._copy
    mirror.update()
    for epoch in (2, 3):
        checkpoint(run_dir, epoch)

    def vanishing(source, path, *rest):
        shutil.rmtree(run_dir / "checkpoints", ignore_errors=True)
        copy(source, path, *rest)

    monkeypatch.setattr(storage, "_copy", vanishing)
    assert mirror.update() == ""
    assert "checkpoints/trial_0000/epoch_1/contents.json" in server.names()
    monkeypatch.setattr(storage, "_copy", copy)
    assert mirror.update() == ""
    assert not [name for name in server.names() if name.startswith("checkpoints")]


def test_a_connection_that_breaks_is_told_once_and_tried_again(server, run_dir, monkeypatch):
    told, failed = [], []
    mirror = Mirror(URI, run_dir)
    update = mirror.update
    monkeypatch.setattr(mirror, "update", lambda: note(failed, update()))
    monkeypatch.setattr(storage, "PAUSE_S", 0.1)
    with kept_up(mirror, told.append) as behind:
        wait_until(lambda: "journal.jsonl" in server.names())
        server.stop()
        (run_dir / "best.yaml").write_text("late")
        wait_until(lambda: len(failed) >= 2)
        server.start()
        wait_until(lambda: "best.yaml" in server.names())
    assert behind == [] and len(told) == 1 and URI in told[0] and "127.0.0.1" in told[0]


def note(failed, reason):
    failed += [reason] if reason else []
    return reason


def test_what_came_last_is_sent_at_the_end_or_the_mirror_is_behind(server, run_dir, monkeypatch):
    monkeypatch.setattr(storage, "LAST_TRIES_S", (0.0, 0.1))
    with kept_up(Mirror(URI, run_dir), pytest.fail) as behind:
        (run_dir / "best.yaml").write_text("late")
    assert behind == [] and "best.yaml" in server.names()
    with kept_up(Mirror(URI, run_dir), pytest.fail) as behind:
        server.stop()
    server.start()
    assert len(behind) == 1 and "127.0.0.1" in behind[0]


def test_without_a_mirror_nothing_is_kept_up():
    with kept_up(None, pytest.fail) as behind:
        pass
    assert behind == []


def wait_until(true, seconds=60):
    limit = time.time() + seconds
    while not true():
        assert time.time() < limit
        time.sleep(0.1)


# What is refused.


def test_a_mirror_of_another_run_is_left_alone(server, run_dir, tmp_path):
    Mirror(URI, run_dir).update()
    assert Mirror(URI, run_dir).update() == "", "its own run may go on"
    before = server.names()
    (run_dir / ENVIRONMENT).write_text(json.dumps({"started": "2026-02-02"}))
    for other in (run_dir, tmp_path / "new"):
        with pytest.raises(ValueError, match="something else than this run"):
            Mirror(URI, other)
    assert server.names() == before


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://nowhere-at-all/x", "no bucket nowhere-at-all"),
        ("s3://runs", "a mirror is s3://BUCKET/PREFIX"),
        ("file:///tmp/x", "a mirror is s3://BUCKET/PREFIX"),
        (f"s3://tester:{SECRET}@runs/x", "AWS_SECRET_ACCESS_KEY"),
        (f"s3://runs/x?secret_key={SECRET}", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_before_anything_is_done(
    server, write_tree, tmp_path, capsys, uri, said
):
    root = write_tree(tmp_path / "data", ["sd14", "biggan"])
    (tmp_path / "space.yaml").write_text(
        f"name: x\ndata: {{root: {root}, image_size: 32, train_per_class: 2, val_per_class: 2}}\n"
        "protocol: {search: [sd14, biggan]}\ndetector: {name: swin_nano, base: scratch}\n"
        "finalists: {top: 0}\n"
    )
    new = ["--space", str(tmp_path / "space.yaml"), "--out", str(tmp_path / "run"), "--mirror", uri]
    assert main(new) == 2
    error = capsys.readouterr().err
    assert said in error and SECRET not in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_server_that_does_not_answer_is_named(server, run_dir):
    server.stop()
    with pytest.raises(ValueError, match=r"cannot use s3://runs/a/fft: .*127\.0\.0\.1"):
        Mirror(URI, run_dir)
    server.start()


def test_nothing_is_fetched_over_a_run_or_from_where_there_is_none(server, run_dir, tmp_path):
    with pytest.raises(ValueError, match="no run is there"):
        fetch(URI, tmp_path / "elsewhere")
    Mirror(URI, run_dir).update()
    with pytest.raises(ValueError, match="exists: go on with it by --resume"):
        fetch(URI, run_dir)
    assert not (tmp_path / "elsewhere").exists()


def test_names_that_lead_out_of_the_run_directory_are_refused(server, run_dir, tmp_path):
    Mirror(URI, run_dir).update()
    boto3.client("s3").put_object(Bucket="runs", Key="a/fft/checkpoints/../../../outside", Body=b"x")
    with pytest.raises(ValueError, match="leads out of the run directory"):
        fetch(URI, tmp_path / "deep" / "er" / "elsewhere")
    assert not list(tmp_path.rglob("outside")) and not (tmp_path / "deep" / "er" / "elsewhere").exists()


# A real search.


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_from_its_mirror_on_another_machine(
    server, finished, space, start, launch, tmp_path
):
    run, run_dir = start(space, "--mirror", URI)
    run.wait_for(r"trial +0 epoch 2/", 300)
    wait_until(lambda: [name for name in server.names() if "checkpoints/trial_0000/epoch_" in name])
    kill(run)
    shutil.rmtree(run_dir)
    again = launch("--resume", URI, "--out", tmp_path / "elsewhere")
    assert again.finish() == 0, again.text
    assert matrices(tmp_path / "elsewhere") == matrices(finished[0])
    assert [record["state"] for record in read_records(tmp_path / "elsewhere")] == ["completed", "completed"]
    assert server.names() >= {"report/index.html", "best/sd14.safetensors", "best.yaml", "timing.json"}
    assert not [path for path in (tmp_path / "elsewhere").rglob("*") if tells(path, SECRET)]
    fetch(URI, tmp_path / "third")
    assert matrices(tmp_path / "third") == matrices(finished[0])


def tells(path, secret):
    return path.is_file() and secret.encode() in path.read_bytes()


@pytest.mark.slow
def test_a_search_whose_server_goes_away_ends_well_and_says_that_its_mirror_is_behind(server, space, start):
    run, run_dir = start(space, "--mirror", URI)
    run.wait_for(r"trial +0 epoch 1/", 300)
    server.stop()
    assert run.finish() == 1, run.text
    server.start()
    assert run.text.count("is behind, trying again") == 1 and f"the mirror {URI} is behind" in run.text
    assert f"--resume {run_dir} --mirror {URI}" in run.text
    assert (run_dir / "report" / "index.html").exists()
    assert main(["--resume", str(run_dir), "--mirror", URI]) == 0
    assert "report/index.html" in server.names()
