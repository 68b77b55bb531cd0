"""The pages in a browser, where there is one: nothing overflows, whatever the width; nothing is asked for."""

import pytest
from browser import WIDTHS, check_page, look_at, needs_chromium
from synthetic_run import ten_trials, write_run

from reports.comparison_page import write_comparison
from reports.render import write_report

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_report(write_run(tmp_path_factory.mktemp("run"), ten_trials(), best=True))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    long = "a_run_directory_with_a_name_that_is_far_too_long_for_any_narrow_screen_" * 2
    runs = [write_run(folder / name, ten_trials(), detector=name) for name in ("first", long, "third")]
    return write_comparison(runs, folder / "comparison")


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_page(page, tmp_path, width):
    check_page(page, width, tmp_path)


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_comparison(comparison, tmp_path, width):
    check_page(comparison, width, tmp_path)


def test_a_request_and_an_overflow_would_be_seen(page, tmp_path):
    planted = '<img src="http://127.0.0.1:9/x.png"><p style="width: 900px">wide</p></body>'
    spoilt = tmp_path / "spoilt.html"
    spoilt.write_text(page.read_text(encoding="utf-8").replace("</body>", planted), encoding="utf-8")
    inner, scrolled, wide, asked = look_at(spoilt, 360, tmp_path)
    assert scrolled > inner and wide == ["P."] and asked == ["http://127.0.0.1:9/x.png"]
