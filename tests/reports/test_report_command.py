import subprocess
import sys

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
