import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_run import ten_trials, trial, write_run

from reports.__main__ import main


def test_done(tmp_path, capsys):
    run = write_run(tmp_path, ten_trials()[:2])
    assert main([str(run)]) == 0
    assert capsys.readouterr().out.strip() == str(run / "report" / "index.html")
    assert (run / "report" / "report.md").is_file()


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_a_wrong_call_is_one_clear_line(tmp_path, capsys, name):
    assert main([str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "is not a run directory" in error


def test_garbled_records_are_one_clear_line(tmp_path, capsys):
    run = write_run(tmp_path, [trial(0, 0.6)])
    (run / "trials.jsonl").write_text("garbled\n")
    assert main([str(run)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "trials.jsonl, line 1" in error


def test_arguments_are_checked_and_help_is_there(capsys):
    for argv, code in ((["--nonsense"], 2), ([], 2), (["--help"], 0)):
        with pytest.raises(SystemExit) as left:
            main(argv)
        assert left.value.code == code
    assert "Exit codes" in capsys.readouterr().out


def test_several_runs_are_compared(tmp_path, capsys, monkeypatch):
    for name in "ab":
        write_run(tmp_path / name, ten_trials()[:2])
    monkeypatch.chdir(tmp_path)
    assert main(["a", "b"]) == 0
    assert capsys.readouterr().out.strip() == str(Path("comparison") / "index.html")
    assert "- **A** a, search ended" in (tmp_path / "comparison" / "comparison.md").read_text()
    assert main(["a", "b", "--out", "elsewhere"]) == 0
    assert (tmp_path / "elsewhere" / "comparison.json").is_file() and not (tmp_path / "a" / "report").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["a", "nowhere"], "nowhere is not a run directory: there is no such directory"),
        (["a", "."], "is not a run directory: it has no environment.json"),
        (["a", "b", "../{here}/a"], "/a are the same run; name each run once"),
        (["a", "b", "--out", "a"], "a holds something else than a comparison; name another folder"),
        (["a", "--out", "x"], "--out is for the comparison of several runs"),
        ([*"abcdefg"], "two to 6 runs can be compared on a page, got 7"),
    ],
)
def test_a_wrong_comparison_is_one_clear_line(tmp_path, capsys, monkeypatch, argv, said):
    for name in "ab":
        write_run(tmp_path / name, ten_trials()[:2])
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main([word.format(here=tmp_path.name) for word in argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
    assert sorted(tmp_path.rglob("*")) == before


def test_garbled_records_of_one_of_several_are_named(tmp_path, capsys):
    runs = [write_run(tmp_path / name, [trial(0, 0.6)]) for name in "ab"]
    (runs[1] / "space.yaml").write_text("name: [")
    assert main([*map(str, runs), "--out", str(tmp_path / "out")]) == 1
    assert f"cannot read {runs[1] / 'space.yaml'}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_best_file_is_named_as_typed_from_here(tmp_path, monkeypatch):
    run = write_run(tmp_path / "runs" / "fft", [trial(0, 0.6)], best=True)
    monkeypatch.chdir(tmp_path)
    assert main(["runs/fft"]) == 0
    page = (run / "report" / "report.md").read_text()
    assert "python search/run.py --space runs/fft/best.yaml" in page


def test_it_runs_as_a_module_without_search_ray_torch_or_yaml(tmp_path):
    run = write_run(tmp_path, ten_trials()[:6])
    code = (
        "import sys; from reports.__main__ import main; code = main([sys.argv[1]]); "
        "heavy = {'search', 'ray', 'torch', 'yaml', 'matplotlib.pyplot'} & set(sys.modules); "
        "sys.exit(code or str(sorted(heavy)) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
