"""What the pictures show: the tests look at matplotlib's figures, and at the PNG itself."""

import functools
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from numpy.typing import NDArray
from PIL import Image

from cifar2.report.plotting import TRAIN_COLOUR, VAL_COLOUR
from zoo import plotting
from zoo.plotting import Variant

Draw = Callable[..., Figure]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Give a function that calls one of the module and returns the figure that it draws."""

    def figure_of(function: Callable[..., bytes], *arguments: Any, **options: Any) -> Figure:
        figures: list[Figure] = []

        def keep(figure: Figure) -> bytes:
            figures.append(figure)
            return b"a picture"

        monkeypatch.setattr(plotting, "png", keep)
        assert function(*arguments, **options) == b"a picture"
        (figure,) = figures
        return figure

    return figure_of


def title_of(figure: Figure) -> str:
    return figure.get_suptitle()


def texts_of(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def values_of(image: AxesImage) -> NDArray[Any]:
    """Return the numbers that an image shows."""
    values = image.get_array()
    assert values is not None
    return np.ma.getdata(values)


def labels_of(artist: Any) -> list[str]:
    """Return the words of a legend, of one of a figure or of axes."""
    legend = artist.legends[0] if isinstance(artist, Figure) else artist.get_legend()
    return [text.get_text() for text in legend.get_texts()]


# The PNG


def some_variant(name: str = "net", seeds: int = 3, epochs: int = 4, book: bool = True) -> Variant:
    generator = np.random.default_rng(len(name))
    curves = 0.8 + 0.1 * generator.random((2, seeds, epochs))
    return Variant(
        name, list(curves[0, :, -1]), list(curves[1, :, -1]), curves, (0.9, 0.85) if book else None
    )


PICTURES: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "bars": (lambda: plotting.bars([some_variant()], "A title"), (1000, 500)),
    "bars_without_book": (
        lambda: plotting.bars([some_variant(seeds=1, book=False)], "A title"),
        (1000, 500),
    ),
    "small_multiples": (
        lambda: plotting.small_multiples([some_variant(name) for name in "abcde"], "A title"),
        (1000, 500),
    ),
    "one_multiple_of_one_epoch": (
        lambda: plotting.small_multiples([some_variant(seeds=1, epochs=1)], "A title"),
        (1000, 280),
    ),
    "triangle": (
        lambda: plotting.triangle(list("abc"), [(0.1, True), (0.0, False), (-0.2, True)], "T"),
        (475, 330),
    ),
    "triangle_of_one": (lambda: plotting.triangle(["net"], [], "A title"), (325, 230)),
    "confusion": (
        lambda: plotting.confusion(["bird", "cat"], np.array([[3, 1], [0, 4]]), "A title"),
        (370, 290),
    ),
}


@functools.cache
def picture(name: str) -> bytes:
    draw, _ = PICTURES[name]
    return draw()


@pytest.mark.parametrize("name", PICTURES)
def test_picture_has_the_same_bytes_every_time(name: str) -> None:
    draw, _ = PICTURES[name]
    assert draw() == picture(name)


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_a_png_of_its_size_without_a_time_or_a_version(name: str) -> None:
    _, size = PICTURES[name]
    with Image.open(io.BytesIO(picture(name))) as image:
        assert image.format == "PNG"
        assert image.size == size
        assert set(image.info) == {"dpi"}
        colours = image.convert("RGB").getcolors(maxcolors=2**24)
    assert colours is not None
    assert len(colours) > 10  # something is drawn


# Bars

A = Variant("a", [0.9, 0.92, 0.94], [0.8, 0.84, 0.88], np.zeros((2, 3, 1)), (0.93, 0.89))
B = Variant("b", [0.99], [0.86], np.zeros((2, 1, 1)), None)


def test_bars_are_the_mean_accuracies(draw: Draw) -> None:
    (axes,) = draw(plotting.bars, [A, B], "Accuracy on cifar10").axes
    assert axes.get_title() == "Accuracy on cifar10"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert axes.get_xticks().tolist() == [0, 1]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    bars.sort(key=lambda bar: bar.get_x())
    heights = [bar.get_height() for bar in bars]
    assert heights == pytest.approx([0.92, 0.84, 0.99, 0.86])
    colours = [to_hex(bar.get_facecolor()) for bar in bars]
    assert colours == 2 * [TRAIN_COLOUR, VAL_COLOUR]


def test_bars_have_their_height_in_words(draw: Draw) -> None:
    (axes,) = draw(plotting.bars, [A, B], "").axes
    words = {t.xy[0]: t.get_text() for t in axes.texts if isinstance(t, Annotation)}
    assert words == {-0.2: "0.920", 0.2: "0.840", 0.8: "0.990", 1.2: "0.860"}


def test_error_bars_are_sample_standard_deviations_and_none_for_a_single_seed(draw: Draw) -> None:
    (axes,) = draw(plotting.bars, [A, B], "").axes
    segments = [
        segment[:, 1].tolist()
        for container in axes.containers
        if (errors := getattr(container, "errorbar", None)) is not None
        for segment in errors.lines[2][0].get_segments()
    ]
    expected = [[0.9, 0.94], [0.99, 0.99], [0.8, 0.88], [0.86, 0.86]]
    assert len(segments) == 4
    for segment, ends in zip(segments, expected, strict=True):
        assert segment == pytest.approx(ends)


def test_book_s_accuracies_are_marked_where_there_are_some(draw: Draw) -> None:
    figure = draw(plotting.bars, [B, A], "")
    (axes,) = figure.axes
    marks = [line for line in axes.lines if line.get_marker() == "D"]
    points = sorted(tuple(np.asarray(line.get_xydata())[0]) for line in marks)
    assert points == [pytest.approx((0.8, 0.93)), pytest.approx((1.2, 0.89))]
    assert sorted(labels_of(figure)) == ["the book's, one run each", "train", "val"]


def test_nothing_is_marked_where_the_book_has_no_accuracy(draw: Draw) -> None:
    figure = draw(plotting.bars, [B], "")
    (axes,) = figure.axes
    assert [line for line in axes.lines if line.get_marker() == "D"] == []
    assert labels_of(figure) == ["train", "val"]


@pytest.mark.parametrize(
    ("variant", "bottom"),
    [
        (B, 0.8),  # the lowest bar is at 0.86
        (A._replace(val=[0.72, 0.82, 0.92]), 0.65),  # its error bar begins at 0.72
        (B._replace(book=(0.7, 0.72)), 0.65),
        (B._replace(train=[0.5], val=[0.5]), 0.45),
        (B._replace(train=[1.0], val=[1.0]), 0.95),
    ],
)
def test_accuracy_axis_begins_below_all_that_is_drawn(
    variant: Variant, bottom: float, draw: Draw
) -> None:
    (axes,) = draw(plotting.bars, [variant], "").axes
    assert axes.get_ylim() == pytest.approx((bottom, 1.005))
    assert axes.get_ylabel() == f"accuracy, from {bottom:.2f} up"


# Small multiples


def test_panel_has_the_mean_and_the_range_of_the_seeds_per_epoch(draw: Draw) -> None:
    curves = np.array([[[0.7, 0.8], [0.9, 0.86]], [[0.6, 0.7], [0.7, 0.72]]])
    variant = A._replace(curves=curves, val=[0.7, 0.72])
    figure = draw(plotting.small_multiples, [variant], "Accuracy per epoch")
    assert title_of(figure) == "Accuracy per epoch"
    axes = figure.axes[0]
    assert axes.get_title() == "a, 2 seeds"
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


def test_panel_says_how_many_seeds_there_are(draw: Draw) -> None:
    figure = draw(
        plotting.small_multiples, [some_variant("x", seeds=1), some_variant("y", seeds=5)], ""
    )
    assert [axes.get_title() for axes in figure.axes[:2]] == ["x, 1 seed", "y, 5 seeds"]


@pytest.mark.parametrize(("count", "places"), [(1, 4), (4, 4), (5, 8), (9, 12)])
def test_panels_are_in_rows_of_four_and_the_rest_is_empty(
    count: int, places: int, draw: Draw
) -> None:
    variants = [some_variant(f"v{index}") for index in range(count)]
    axes = draw(plotting.small_multiples, variants, "").axes
    assert len(axes) == places
    assert [each.axison for each in axes] == count * [True] + (places - count) * [False]
    assert [each.get_title()[:2] for each in axes[:count]] == [v.name for v in variants]


@pytest.mark.parametrize(
    ("val", "bottom"),
    [
        ([0.5, 0.5, 0.85, 0.9], 0.7),  # the first half does not count
        ([0.5, 0.5, 0.65, 0.9], 0.6),
        ([0.9, 0.9, 0.9, 0.48], 0.4),
        ([0.55], 0.5),  # a single epoch
    ],
)
def test_accuracy_axis_begins_where_the_second_half_of_the_epochs_needs_it(
    val: list[float], bottom: float, draw: Draw
) -> None:
    curves = np.array([[len(val) * [0.95]], [val]])
    variants = [A._replace(curves=curves), some_variant()]
    axes = draw(plotting.small_multiples, variants, "").axes
    assert axes[0].get_ylim() == pytest.approx((bottom, 1.0))
    assert axes[1].get_ylim() == pytest.approx((bottom, 1.0))


def test_panels_share_one_legend_and_the_names_of_the_axes(draw: Draw) -> None:
    figure = draw(plotting.small_multiples, [some_variant(f"v{i}") for i in range(5)], "")
    assert labels_of(figure) == ["train (running)", "val"]
    assert figure.get_supxlabel() == "epoch"
    assert [axes.get_ylabel() for axes in figure.axes] == 2 * ["accuracy", "", "", ""]


@pytest.mark.parametrize("epochs", [1, 2, 3, 100])
def test_epochs_of_a_panel_are_whole_numbers(epochs: int, draw: Draw) -> None:
    axes = draw(plotting.small_multiples, [some_variant(epochs=epochs)], "").axes[0]
    ticks = axes.get_xticks()
    assert len(ticks) > 0
    assert (ticks == np.round(ticks)).all()


# The triangle of differences


def cells_of(axes: Axes) -> dict[tuple[float, float], str]:
    """Return the words in the cells, by column and row."""
    return {text.get_position(): text.get_text() for text in axes.texts}


def test_triangle_has_a_cell_for_every_pair_in_percentage_points(draw: Draw) -> None:
    """The pairs come as (a, b), (a, c), (b, c); the second is the row."""
    cells = [(0.0123, True), (-0.2, True), (0.0004, False)]
    (axes,) = draw(plotting.triangle, ["a", "b", "c"], cells, "Val accuracy").axes
    assert axes.get_title() == "Val accuracy"
    assert cells_of(axes) == {(0, 1): "+1.2", (0, 2): "-20.0", (1, 2): "+0.0"}
    assert axes.get_xticks().tolist() == [0, 1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    assert axes.get_yticks().tolist() == [1, 2]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b", "c"]


def test_cells_of_the_triangle_lie_under_their_words(draw: Draw) -> None:
    cells = [(0.01, True), (-0.2, True), (0.3, True)]
    (axes,) = draw(plotting.triangle, ["a", "b", "c"], cells, "").axes
    (image,) = axes.images
    left, right, bottom, top = image.get_extent()
    values = values_of(image)
    height, width = values.shape
    assert (height, width) == (2, 2)
    for (column, row), value in zip([(0, 1), (0, 2), (1, 2)], [0.01, -0.2, 0.3], strict=True):
        x = (column - left) / (right - left) * width
        y = (row - top) / (bottom - top) * height
        assert values[int(y), int(x)] == value
    assert np.isnan(values[0, 1])


def test_only_real_differences_are_bold_and_coloured(draw: Draw) -> None:
    cells = [(0.1, True), (0.2, False), (-0.05, True)]
    (axes,) = draw(plotting.triangle, ["a", "b", "c"], cells, "").axes
    weights = {text.get_text(): text.get_fontweight() for text in axes.texts}
    assert weights == {"+10.0": "bold", "+20.0": "normal", "-5.0": "bold"}
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert colours == {"+10.0": "black", "+20.0": "grey", "-5.0": "black"}
    (image,) = axes.images
    values = values_of(image)
    assert values[:, 0].tolist() == [0.1, 0.0]
    assert image.get_clim() == pytest.approx((-0.15, 0.15))  # of the real ones, symmetric


def test_triangle_without_a_real_difference_has_no_colour(draw: Draw) -> None:
    (axes,) = draw(plotting.triangle, ["a", "b"], [(0.01, False)], "").axes
    (image,) = axes.images
    assert values_of(image).tolist() == [[0.0]]
    low, high = image.get_clim()
    assert low == -high < 0


@pytest.mark.parametrize("difference", [-0.0, -0.0004, 0.0, 0.0004])
def test_no_cell_of_the_triangle_says_minus_zero(difference: float, draw: Draw) -> None:
    (axes,) = draw(plotting.triangle, ["a", "b"], [(difference, False)], "").axes
    assert texts_of(axes) == ["+0.0"]


def test_triangle_of_a_single_variant_is_empty(draw: Draw) -> None:
    (axes,) = draw(plotting.triangle, ["a"], [], "Val accuracy").axes
    assert axes.get_title() == "Val accuracy"
    assert texts_of(axes) == []
    assert list(axes.images) == []
    assert not axes.axison


# Confusion of classes

CLASSES = ["bird", "cat", "dog"]
COUNTS = np.array([[1200, 3, 0], [10, 900, 90], [1, 2, 997]])


def test_confusion_has_actual_classes_as_rows_and_predicted_ones_as_columns(draw: Draw) -> None:
    (axes,) = draw(plotting.confusion, CLASSES, COUNTS, "net on cifar10").axes
    assert axes.get_title() == "net on cifar10"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "actual")
    assert [label.get_text() for label in axes.get_xticklabels()] == CLASSES
    assert [label.get_text() for label in axes.get_yticklabels()] == CLASSES
    cells = cells_of(axes)
    assert len(cells) == 9
    assert (cells[0, 0], cells[1, 0], cells[2, 1], cells[0, 2]) == ("1,200", "3", "90", "1")


def test_confusion_has_right_answers_bold_and_only_wrong_ones_coloured(draw: Draw) -> None:
    (axes,) = draw(plotting.confusion, CLASSES, COUNTS, "").axes
    for text in axes.texts:
        column, row = text.get_position()
        assert text.get_fontweight() == ("bold" if row == column else "normal")
    (image,) = axes.images
    assert values_of(image).tolist() == [[0, 3, 0], [10, 0, 90], [1, 2, 0]]
    assert image.get_clim() == pytest.approx((0, 135))


def test_confusion_without_mistakes_has_no_colour(draw: Draw) -> None:
    (axes,) = draw(plotting.confusion, ["a", "b"], np.array([[5, 0], [0, 5]]), "").axes
    (image,) = axes.images
    low, high = image.get_clim()
    assert low == 0 < high
