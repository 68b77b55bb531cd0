"""Shows a page in Chromium, where there is one, and says what became of it."""

import html
import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
WIDTHS = (360, 768, 1280)
PROBE = """<script>addEventListener("load", () => setTimeout(() => {
const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") &&
  e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + "." + e.className);
const asked = performance.getEntriesByType("resource").map(e => e.name);
const scrolled = document.documentElement.scrollWidth;
parent.postMessage(JSON.stringify([innerWidth, scrolled, wide.slice(0, 5), asked]), "*");
}, 500));</script>"""
# In a frame: a window of Chromium has a least width.
FRAME = """<!DOCTYPE html><title></title><script>onmessage = e => document.title = e.data</script>
<iframe src="{page}" width="{width}" height="900" style="border: 0"></iframe>"""


# Links of the page, and whether an element has the name after the #.
LINKS = """<script>document.title = JSON.stringify([...document.links].map(
  e => [e.getAttribute("href"), Boolean(e.hash && document.getElementById(e.hash.slice(1)))]))</script>"""
# Texts of figures that stick out of them by more than two pixels.
CUT = """<script>addEventListener("load", () => { document.title = JSON.stringify(
[...document.querySelectorAll("svg text")].filter(e => {
  const [a, b] = [e.getBoundingClientRect(), e.closest("svg").getBoundingClientRect()];
  const beside = a.left < b.left - 2 || a.right > b.right + 2;
  return a.width && (beside || a.top < b.top - 2 || a.bottom > b.bottom + 2);
}).map(e => e.textContent))})</script>"""


def look_at(page, width, folder):
    """Width of the page, what it scrolls to, elements that stick out, and what it asked the network for."""
    probed, frame = probe(page, PROBE, folder), folder / "frame.html"
    frame.write_text(FRAME.format(page=probed.as_uri(), width=width), encoding="utf-8")
    return title_of(frame, folder)


def links_of(page, folder):
    """Links of a page as they are written, and whether one that stays on it leads to a place there."""
    return title_of(probe(page, LINKS, folder), folder)


def cut_texts(page, folder):
    """Texts of figures that are not wholly inside them."""
    return title_of(probe(page, CUT, folder), folder)


def probe(page, script, folder):
    """A copy of a page with a script at its end."""
    text = page.read_text(encoding="utf-8")
    place = text.rindex("</body>")  # a script may hold the same words
    probed = folder / "probed.html"
    probed.write_text(text[:place] + script + text[place:], encoding="utf-8")
    return probed


def title_of(page, folder):
    """What a page's scripts have written into its title."""
    return json.loads(html.unescape(re.search(r"<title>(.*?)</title>", dump(page, folder))[1]))


def dump(page, folder):
    """The page as HTML once its scripts have run."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'user'}"]
    command += ["--window-size=1400,1000", "--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


def check_page(page, width, folder):
    """Nothing is wider than the page, and nothing was asked for."""
    inner, scrolled, wide, asked = look_at(page, width, folder)
    assert inner == width and scrolled <= inner and wide == [] and asked == []
