import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from genimage_core.data.audit import audit
from genimage_core.data.audit_page import write_page

TYPES = {"label": "int8", "width": "Int32", "height": "Int32", "quality": "Int16"}


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, and the text outside styles."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.rows, self.inside = [], [], [], False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] != "style":
            self.words.append(data)
        if self.inside and data.strip():
            self.rows[-1][-1] += data

    def images(self):
        return [attrs["aria-label"] for tag, attrs in self.tags if attrs.get("role") == "img"]


def files(generator, label, count=40, **columns):
    """JPEG reals of many sizes and qualities, PNG fakes of one size."""
    steps = range(count)
    real = {"format": "JPEG", "quality": [70 + i % 25 for i in steps], "width": [300 + i for i in steps]}
    fake = {"format": "PNG", "quality": None, "width": 512}
    common = {"generator": generator, "split": "train", "label": label, "height": 512, "error": None}
    common |= {"content": [f"{generator}{label}{i}" for i in steps]}
    common |= {"bytes": [(10 + 50 * label) * 1000 + i for i in steps]}
    return pd.DataFrame({**common, **(real, fake)[label], **columns}).astype(TYPES)


def tree(*generators):
    return pd.concat([files(g, label) for g in generators for label in (0, 1)], ignore_index=True)


def page(table, tmp_path, alignment="none"):
    found = audit(table, alignment=alignment)
    return found, Page(write_page(found, table, tmp_path / "new" / "audit"))


def test_the_verdict_comes_first(tmp_path):
    found, shown = page(tree("sd14", "adm"), tmp_path)
    assert [a["href"] for tag, a in shown.tags if tag == "a"] == []
    places = [shown.text.index(sentence) for sentence in found.sentences]
    assert places == sorted(places)
    assert shown.text.index("A shortcut tells real from fake") < places[0]
    assert places[-1] < shown.source.index("<svg")
    assert shown.source.index(found.sentences[-1]) < shown.source.index("<svg")


@pytest.mark.parametrize(
    ("alignment", "title"),
    [
        ("none", "A shortcut tells real from fake"),
        ("jpeg96", "A shortcut tells real from fake after jpeg96"),
        ("jpeg96_both", "No shortcut is left after jpeg96_both"),
    ],
)
def test_the_title_names_the_alignment_that_it_is_true_of(tmp_path, alignment, title):
    assert f"<h1>{title}</h1>" in page(tree("sd14"), tmp_path, alignment)[1].source


@pytest.mark.parametrize("alignment", ["none", "jpeg96"])
def test_it_loads_nothing_and_runs_nothing(tmp_path, alignment):
    _, shown = page(tree("sd14"), tmp_path, alignment)
    tags = {tag for tag, _ in shown.tags}
    assert "svg" in tags
    assert not tags & {"script", "link", "img", "iframe", "object", "image"}
    outside = [
        value
        for _, attrs in shown.tags
        for key, value in attrs.items()
        if key.startswith("on") or (key in ("href", "src") and not value.startswith("#"))
    ]
    assert outside == []
    assert not re.search(r"@import|url\((?!#)", shown.source)


def test_ids_are_unique_and_every_reference_has_its_target(tmp_path):
    _, shown = page(tree("sd14", "adm"), tmp_path, "jpeg96")
    ids = [attrs["id"] for _, attrs in shown.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', shown.source))
    assert used
    assert {name for pair in used for name in pair if name} <= set(ids)


def test_every_figure_is_told_in_words_with_its_numbers(tmp_path):
    _, shown = page(tree("sd14"), tmp_path, "jpeg96")
    images = shown.images()
    assert len(images) == sum(tag == "svg" for tag, _ in shown.tags) == 5
    assert "sd14: format 100.0 % [" in images[0]
    assert "sd14: format 50.0 % [" in images[1]
    assert "sd14: nature median 79.5, ai no value" in images[2]
    assert "sd14: nature median 10 k, ai median 60 k" in images[3]
    assert "ai median 512" in images[4]


def test_one_accuracy_figure_without_an_alignment(tmp_path):
    assert len(page(tree("sd14"), tmp_path)[1].images()) == 4


def test_the_table_of_alignments_marks_what_tells(tmp_path):
    _, shown = page(tree("sd14"), tmp_path)
    row = next(r for r in shown.rows if r[0] == "sd14")
    assert [("*" in cell) for cell in row[1:]] == [True, True, False, False]
    assert row[3] == "format 50.0 %quality 50.0 %"


def test_bad_files_by_class_and_reason(tmp_path):
    table = tree("sd14")
    table.loc[[0, 1, 50], "error"] = ["truncated", "truncated", "zero bytes"]
    _, shown = page(table, tmp_path)
    assert ["sd14", "nature", "truncated", "2 (5.00 %)"] in shown.rows
    assert ["sd14", "ai", "zero bytes", "1 (2.50 %)"] in shown.rows
    assert "Every file can be read." not in shown.text
    assert "Every file can be read." in page(tree("sd14"), tmp_path)[1].text


def test_it_fits_a_phone(tmp_path):
    _, shown = page(tree("sd14"), tmp_path)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in shown.tags
    assert max(int(a["width"]) for tag, a in shown.tags if tag == "svg") <= 430
    assert "svg { display: block; max-width: 100%; height: auto; }" in shown.source
    tables = sum(tag == "table" for tag, _ in shown.tags)
    assert sum(a.get("class") == "scroll" for _, a in shown.tags) == tables


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(tree("sd14").iloc[:0], id="empty"),
        pytest.param(files("sd14", 0), id="one class"),
        pytest.param(tree("sd14").assign(error="truncated"), id="all bad"),
        pytest.param(tree("sd14").assign(quality=pd.NA), id="no quality"),
        pytest.param(tree("sd14").assign(bytes=7, width=8, height=8), id="one value"),
        pytest.param(tree(*(f"generator_number_{i}" for i in range(12))), id="many with long names"),
    ],
)
def test_unusual_tables_give_a_page(tmp_path, table):
    found, shown = page(table, tmp_path)
    assert all(sentence in shown.text for sentence in found.sentences)
    assert ("svg" in {tag for tag, _ in shown.tags}) == bool(len(table[table["error"].isna()]))
    assert "nan" not in shown.text.lower().split()


def test_names_are_escaped(tmp_path):
    found, shown = page(tree("<b>&x"), tmp_path)
    assert "b" not in {tag for tag, _ in shown.tags}
    assert "on <b>&x." in shown.text
    assert found.generators[0].name == "<b>&x"


def test_the_same_audit_gives_the_same_page(tmp_path):
    table = tree("sd14", "adm")
    assert page(table, tmp_path / "a")[1].source == page(table, tmp_path / "b")[1].source


def test_another_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match="other generators than the audit"):
        write_page(audit(tree("sd14")), tree("adm"), tmp_path)
