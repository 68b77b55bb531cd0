import subprocess
import sys

from search.project_code import PACKAGES, gather_code

PROBE = """
import genimage_core, reports.render, search.trial, search.workers, genimage_core.data.mini_card
print(*(module.__file__ for module in (genimage_core, reports, search)), sep="\\n")
"""


def test_the_copy_is_all_that_the_nodes_need(tmp_path):
    home = gather_code(tmp_path / "code")
    assert {path.name for path in home.iterdir()} == set(PACKAGES)
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line.startswith(str(home)) for line in done.stdout.split()] == [True] * 3


def test_what_is_not_code_stays_behind(tmp_path):
    home = gather_code(tmp_path / "code")
    assert not list(home.rglob("__pycache__")) and not (home / "reports" / "example").exists()
    assert (home / "genimage_core" / "data" / "mini_matrix.json").exists()
    assert list((home / "reports").rglob("*.html*")) or list((home / "reports").rglob("*.j2"))
