"""What the pictures of several runs show: the tests look at matplotlib's figures."""

import sys
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from numpy.typing import NDArray

from cifar2.report.plotting import TRAIN_COLOUR, VAL_COLOUR
from tests.unit.settings import settings
from tests.zoo.runs import some_accuracy
from zoo import plotting
from zoo.plotting import Variant
from zoo.summary import Run
from zoo.variants import Accuracies

A = Variant("a", [0.9, 0.92, 0.94], [0.8, 0.84, 0.88], np.zeros((2, 3, 1)), (0.93, 0.89))
B = Variant("b", [0.99], [0.86], np.zeros((2, 1, 1)), None)


def draw(function: Callable[..., bytes], *arguments: Any) -> Figure:
    """Call a function that draws; return the figure in place of the PNG."""
    with mock.patch.object(sys.modules[function.__module__], "png", lambda figure: figure):
        figure: Any = function(*arguments)
    return figure


def values_of(image: AxesImage) -> NDArray[Any]:
    """Return the numbers that an image shows."""
    values = image.get_array()
    assert values is not None
    return np.ma.getdata(values)


def words(texts: Any) -> list[str]:
    return [text.get_text() for text in texts]


def test_variants_are_drawn_with_the_accuracies_of_the_trained_networks_and_per_epoch() -> None:
    series = {
        "train_loss": [2.0],
        "train_accuracy": [0.5],
        "val_loss": [3.0],
        "val_accuracy": [0.6],
    }
    runs = {
        name: {
            seed: Run(settings(), series, some_accuracy(value), [])
            for seed, value in ((1, 0.8), (3, 0.9))
        }
        for name in ("a", "b")
    }
    book = {"b": Accuracies(train=0.93, val=0.89), "c": Accuracies(train=1.0, val=0.9)}
    a, b = plotting.collect_variants(runs, book)
    assert (a.name, a.train, a.val, a.book) == ("a", [0.8, 0.9], [0.8, 0.9], None)
    assert (b.name, b.book) == ("b", (0.93, 0.89))
    assert a.curves.tolist() == [[[0.5], [0.5]], [[0.6], [0.6]]]


# Bars


def test_bars_are_the_mean_accuracies_in_words_too_with_their_deviations() -> None:
    (axes,) = draw(plotting.bars, [A, B], "Accuracy on cifar10").axes
    assert axes.get_title() == "Accuracy on cifar10"
    assert words(axes.get_xticklabels()) == ["a", "b"]
    assert axes.get_xticks().tolist() == [0, 1]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    bars.sort(key=lambda bar: bar.get_x())
    assert [bar.get_height() for bar in bars] == pytest.approx([0.92, 0.84, 0.99, 0.86])
    assert [to_hex(bar.get_facecolor()) for bar in bars] == 2 * [TRAIN_COLOUR, VAL_COLOUR]
    in_words = {t.xy[0]: t.get_text() for t in axes.texts if isinstance(t, Annotation)}
    assert in_words == {-0.2: "0.920", 0.2: "0.840", 0.8: "0.990", 1.2: "0.860"}
    segments = [
        segment[:, 1].tolist()
        for container in axes.containers
        if (errors := getattr(container, "errorbar", None)) is not None
        for segment in errors.lines[2][0].get_segments()
    ]
    # Sample standard deviations; a single seed has none.
    ends = [[0.9, 0.94], [0.99, 0.99], [0.8, 0.88], [0.86, 0.86]]
    assert [pytest.approx(each) for each in ends] == segments


def test_accuracies_of_the_book_are_marked_where_there_are_some() -> None:
    with_book, without = draw(plotting.bars, [B, A], ""), draw(plotting.bars, [B], "")
    marks = [
        [line for line in figure.axes[0].lines if line.get_marker() == "D"]
        for figure in (with_book, without)
    ]
    points = sorted(tuple(np.asarray(line.get_xydata())[0]) for line in marks[0])
    assert points == [pytest.approx((0.8, 0.93)), pytest.approx((1.2, 0.89))]
    assert marks[1] == []
    legend, other = (words(figure.legends[0].get_texts()) for figure in (with_book, without))
    assert sorted(legend) == ["the book's, one run each", "train", "val"]
    assert other == ["train", "val"]


@pytest.mark.parametrize(
    ("variant", "bottom"),
    [
        (B, 0.8),  # the lowest bar is at 0.86
        (A._replace(val=[0.72, 0.82, 0.92]), 0.65),  # its error bar begins at 0.72
        (B._replace(book=(0.7, 0.72)), 0.65),
        (B._replace(train=[1.0], val=[1.0]), 0.95),
    ],
)
def test_accuracy_axis_begins_below_all_that_is_drawn(variant: Variant, bottom: float) -> None:
    (axes,) = draw(plotting.bars, [variant], "").axes
    assert axes.get_ylim() == pytest.approx((bottom, 1.005))
    assert axes.get_ylabel() == f"accuracy, from {bottom:.2f} up"


# Small multiples


def test_panel_has_the_mean_and_the_range_of_the_seeds_per_epoch() -> None:
    curves = np.array([[[0.7, 0.8], [0.9, 0.86]], [[0.6, 0.7], [0.7, 0.72]]])
    figure = draw(plotting.small_multiples, [A._replace(curves=curves, val=[0.7, 0.72])], "T")
    axes = figure.axes[0]
    assert (figure.get_suptitle(), axes.get_title()) == ("T", "a, 2 seeds")
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines] == 2 * [[1, 2]]
    means = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
    assert means == [pytest.approx([0.8, 0.83]), pytest.approx([0.65, 0.71])]
    assert [to_hex(line.get_color()) for line in axes.lines] == [TRAIN_COLOUR, VAL_COLOUR]
    corners = [
        {(x, y) for x, y in np.asarray(band.get_paths()[0].vertices).round(6)}
        for band in axes.collections
    ]
    assert corners == [
        {(1, 0.7), (1, 0.9), (2, 0.8), (2, 0.86)},
        {(1, 0.6), (1, 0.7), (2, 0.7), (2, 0.72)},
    ]


@pytest.mark.parametrize(("count", "places"), [(1, 4), (4, 4), (5, 8)])
def test_panels_are_in_rows_of_four_and_share_what_describes_them(count: int, places: int) -> None:
    figure = draw(plotting.small_multiples, count * [B], "")
    assert [each.axison for each in figure.axes] == count * [True] + (places - count) * [False]
    assert [each.get_title() for each in figure.axes[:count]] == count * ["b, 1 seed"]
    assert words(figure.legends[0].get_texts()) == ["train (running)", "val"]
    assert figure.get_supxlabel() == "epoch"
    assert [axes.get_ylabel() for axes in figure.axes] == places // 4 * ["accuracy", "", "", ""]


@pytest.mark.parametrize(
    ("val", "bottom"),
    [
        ([0.5, 0.5, 0.85, 0.9], 0.7),  # the first half does not count
        ([0.9, 0.9, 0.9, 0.48], 0.4),
        ([0.55], 0.5),  # a single epoch
        (100 * [0.9], 0.7),
    ],
)
def test_axes_of_panels_are_the_same_and_have_whole_epochs(val: list[float], bottom: float) -> None:
    """The second half of the epochs decides where the accuracies begin."""
    curves = np.array([[len(val) * [0.95]], [val]])
    variants = [A._replace(curves=curves), A._replace(curves=np.full_like(curves, 0.9))]
    for axes in draw(plotting.small_multiples, variants, "").axes[:2]:
        assert axes.get_ylim() == pytest.approx((bottom, 1.0))
        ticks = axes.get_xticks()
        assert len(ticks) > 0
        assert (ticks == np.round(ticks)).all()


# The triangle of differences


def cells_of(axes: Axes) -> dict[tuple[float, float], str]:
    """Return the words in the cells, by column and row."""
    return {text.get_position(): text.get_text() for text in axes.texts}


def test_triangle_has_a_cell_for_every_pair_and_colours_the_real_differences() -> None:
    """The pairs come as (a, b), (a, c), (b, c); the second is the row."""
    cells = [(0.0123, True), (-0.2, True), (0.3, False)]
    (axes,) = draw(plotting.triangle, ["a", "b", "c"], cells, "Val accuracy").axes
    assert axes.get_title() == "Val accuracy"
    assert cells_of(axes) == {(0, 1): "+1.2", (0, 2): "-20.0", (1, 2): "+30.0"}
    assert (axes.get_xticks().tolist(), axes.get_yticks().tolist()) == ([0, 1], [1, 2])
    assert words(axes.get_xticklabels()) == ["a", "b"]
    assert words(axes.get_yticklabels()) == ["b", "c"]
    assert [text.get_fontweight() for text in axes.texts] == ["bold", "bold", "normal"]
    assert [text.get_color() for text in axes.texts] == ["black", "black", "grey"]
    (image,) = axes.images
    assert image.get_clim() == pytest.approx((-0.3, 0.3))  # of the real ones, symmetric
    # The colours lie under the words, which are at whole numbers.
    assert np.array_equal(values_of(image), [[0.0123, np.nan], [-0.2, 0.0]], equal_nan=True)
    assert list(image.get_extent()) == [-0.5, 1.5, 2.5, 0.5]


@pytest.mark.parametrize("difference", [-0.0, -0.0004, 0.0, 0.0004])
def test_triangle_without_a_real_difference_has_no_colour_and_no_minus_zero(
    difference: float,
) -> None:
    (axes,) = draw(plotting.triangle, ["a", "b"], [(difference, False)], "").axes
    assert words(axes.texts) == ["+0.0"]
    (image,) = axes.images
    assert values_of(image).tolist() == [[0.0]]
    low, high = image.get_clim()
    assert low == -high < 0


def test_triangle_of_a_single_variant_is_empty() -> None:
    (axes,) = draw(plotting.triangle, ["a"], [], "").axes
    assert (list(axes.texts), list(axes.images), axes.axison) == ([], [], False)


# Confusion of classes


def test_confusion_has_right_answers_bold_and_wrong_ones_coloured() -> None:
    classes, counts = ["bird", "cat"], np.array([[1200, 3], [90, 900]])
    (axes,) = draw(plotting.confusion, classes, counts, "net").axes
    assert axes.get_title() == "net"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "actual")
    assert words(axes.get_xticklabels()) == words(axes.get_yticklabels()) == classes
    assert cells_of(axes) == {(0, 0): "1,200", (1, 0): "3", (0, 1): "90", (1, 1): "900"}
    assert [text.get_fontweight() for text in axes.texts] == ["bold", "normal", "normal", "bold"]
    (image,) = axes.images
    assert values_of(image).tolist() == [[0, 3], [90, 0]]
    assert image.get_clim() == pytest.approx((0, 135))


def test_confusion_without_mistakes_has_no_colour() -> None:
    counts = np.array([[5, 0], [0, 5]])
    low, high = draw(plotting.confusion, ["a", "b"], counts, "").axes[0].images[0].get_clim()
    assert low == 0 < high
    assert plotting.confusion(["a", "b"], counts, "")[:4] == b"\x89PNG"
