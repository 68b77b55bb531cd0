import pytest
from matplotlib.container import ErrorbarContainer

from genimage_core.analysis.accuracy_figures import Series, curve_figure, panels_figure
from genimage_core.analysis.seeds import SeedMean
from genimage_core.intervals import Estimate

TITLE = "Number of training images: swin_t trained on sd14 (SIMULATED images, format_alignment: jpeg96_both)"


def measured(value, seeds=2):
    by_seed = (value - 0.02, value + 0.02) if seeds == 2 else (value,)
    return SeedMean(by_seed, Estimate(value, value - 0.05, value + 0.03))


def bars(axes):
    return [c for c in axes.containers if isinstance(c, ErrorbarContainer)]


@pytest.mark.parametrize(("places", "seeds"), [([50, 100, 400], 2), ([7], 2), ([1, 1000], 1)])
def test_every_place_has_means_intervals_and_seeds(places, seeds):
    one, other = ([measured(start + 0.05 * i, seeds) for i in range(len(places))] for start in (0.7, 0.5))
    change = [a - b for a, b in zip(one, other, strict=True)]
    figure = curve_figure(
        TITLE, "images", places, [Series("a", one), Series("b", other)], Series("d", change)
    )
    top, below = figure.axes
    assert [label.get_text() for label in below.get_xticklabels()] == [
        f"{p:,}".replace(",", " ") for p in places
    ]
    assert below.get_xscale() == "log" and top.get_legend() is not None
    for drawn, values in zip((*bars(top), *bars(below)), (one, other, change), strict=True):
        assert drawn.lines[0].get_ydata() == pytest.approx([value.estimate.value for value in values])
        [segments] = [lines.get_segments() for lines in drawn.lines[2]]
        ends = [(segment[0, 1], segment[1, 1]) for segment in segments]
        expected = [(value.estimate.low, value.estimate.high) for value in values]
        assert [end for pair in ends for end in pair] == pytest.approx([e for pair in expected for e in pair])
    dots = sum(len(cloud.get_offsets()) for cloud in top.collections if hasattr(cloud, "get_sizes"))
    assert dots == (2 * 2 * len(places) if seeds == 2 else 0)


def test_a_long_title_is_broken_rather_than_cut():
    figure = curve_figure(TITLE, "images", [5], [Series("a", [measured(0.7)])])
    lines = figure.get_suptitle().split("\n")
    assert len(lines) == 2 and " ".join(lines) == TITLE


def test_every_domain_and_number_has_its_place():
    rows = {
        name: {"accuracy": Estimate(v, v - 0.1, v + 0.1), "AUROC": Estimate(v, v, v)}
        for name, v in (("own", 0.9), ("other", 0.6), ("third", 0.5))
    }
    figure = panels_figure("title", rows, chance=("accuracy",))
    assert [axes.get_title() for axes in figure.axes] == ["accuracy", "AUROC"]
    first, _ = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == list(rows)
    assert [drawn.lines[0].get_xdata()[0] for drawn in bars(first)] == [0.9, 0.6, 0.5]
