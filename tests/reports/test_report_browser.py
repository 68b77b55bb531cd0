"""The page in a browser, where there is one: nothing overflows, whatever the width."""

import html
import json
import re
import shutil
import subprocess

import pytest
from synthetic_run import ten_trials, write_run

from reports.render import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PROBE = """<script>
const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") &&
  e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + "." + e.className);
parent.postMessage(JSON.stringify([innerWidth, document.documentElement.scrollWidth, wide.slice(0, 5)]), "*");
</script>"""
# In a frame: a window of Chromium has a least width.
FRAME = """<!DOCTYPE html><title></title><script>onmessage = e => document.title = e.data</script>
<iframe src="{page}" width="{width}" height="900" style="border: 0"></iframe>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("run"), ten_trials(), best=True)
    text = write_report(run).read_text(encoding="utf-8")
    path = run / "probed.html"
    path.write_text(text.replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_page(page, tmp_path, width):
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page=page.as_uri(), width=width), encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    command += ["--window-size=1400,1000", "--virtual-time-budget=2000", "--dump-dom", frame.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    said = html.unescape(re.search(r"<title>(.*?)</title>", shown)[1])
    inner, scrolled, wide = json.loads(said)
    assert inner == width and scrolled <= inner and wide == []
