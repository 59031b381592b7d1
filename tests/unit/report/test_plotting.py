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
from numpy.typing import NDArray
from PIL import Image

from cifar2.report import plotting
from cifar2.report.plotting import TRAIN_COLOUR, VAL_COLOUR
from cifar2.report.results import Prediction

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


IMAGES = np.random.default_rng(0).integers(256, size=(50, 3, 32, 32), dtype=np.uint8)
WRONG = [Prediction(index, "bird", "airplane", 0.5 + index / 100) for index in range(40)]
PICTURES: dict[str, tuple[Callable[[], bytes], tuple[int, int]]] = {
    "curves": (lambda: plotting.curves([0.7, 0.6], [0.8, 0.7], "loss", "A title"), (800, 450)),
    "curves_of_one_epoch": (lambda: plotting.curves([0.7], [0.8], "loss", "A title"), (800, 450)),
    "mistakes": (lambda: plotting.mistakes(WRONG, IMAGES, "A title"), (1000, 640)),
    "surest": (lambda: plotting.surest(WRONG[:32], IMAGES, "A title"), (1000, 640)),
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


# Curves per epoch


def test_curves_begin_at_epoch_1(draw: Draw) -> None:
    train, val = [0.7, 0.6, 0.5], [0.8, 0.7, 0.65]
    (axes,) = draw(plotting.curves, train, val, "loss (nats)", "net on cifar10").axes
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines) == ["train (running)", "val"]
    for label, values in (("train (running)", train), ("val", val)):
        assert np.asarray(lines[label].get_xdata()).tolist() == [1, 2, 3]
        assert np.asarray(lines[label].get_ydata()).tolist() == values


def test_curves_have_title_axis_labels_and_legend(draw: Draw) -> None:
    (axes,) = draw(plotting.curves, [0.7], [0.8], "loss (nats)", "net on cifar10").axes
    assert axes.get_title() == "net on cifar10"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss (nats)")
    assert labels_of(axes) == ["train (running)", "val"]


def test_curves_of_train_and_val_differ_in_colour(draw: Draw) -> None:
    (axes,) = draw(plotting.curves, [0.7], [0.8], "loss", "").axes
    assert [to_hex(line.get_color()) for line in axes.lines] == [TRAIN_COLOUR, VAL_COLOUR]


@pytest.mark.parametrize(("epochs", "marker"), [(1, "o"), (9, "o"), (10, ""), (100, "")])
def test_curves_of_few_epochs_have_their_points_marked(
    epochs: int, marker: str, draw: Draw
) -> None:
    """A line through a single point is invisible."""
    (axes,) = draw(plotting.curves, epochs * [0.7], epochs * [0.8], "loss", "").axes
    assert [line.get_marker() for line in axes.lines] == [marker, marker]


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 100])
def test_epochs_on_the_axis_are_whole_numbers(epochs: int, draw: Draw) -> None:
    (axes,) = draw(plotting.curves, epochs * [0.7], epochs * [0.8], "loss", "").axes
    ticks = axes.get_xticks()
    assert len(ticks) > 0
    assert (ticks == np.round(ticks)).all()


# Mistakes


def shown(figure: Figure) -> list[Axes]:
    """Return the places of the grid that have an image."""
    return [axes for axes in figure.axes if axes.images]


def test_mistakes_are_those_of_highest_confidence_first(draw: Draw) -> None:
    predictions = [
        Prediction(0, "bird", "airplane", 0.6),
        Prediction(1, "bird", "bird", 0.99),
        Prediction(2, "airplane", "bird", 0.9),
        Prediction(3, "bird", "airplane", 0.7),
    ]
    figure = draw(plotting.mistakes, predictions, IMAGES, "net on cifar10")
    assert title_of(figure) == "net on cifar10: the 3 worst of 3 mistakes"
    titles = [axes.get_title() for axes in shown(figure)]
    assert titles == ["airplane\n→ bird 0.90", "bird\n→ airplane 0.70", "bird\n→ airplane 0.60"]
    for axes, image in zip(shown(figure), (2, 3, 0), strict=True):
        pixels = values_of(axes.images[0])
        assert np.array_equal(pixels, IMAGES[image].transpose(1, 2, 0))


def test_mistakes_of_equal_confidence_are_in_the_order_of_the_images(draw: Draw) -> None:
    predictions = [Prediction(index, "bird", f"class {index}", 0.75) for index in (2, 0, 1)]
    figure = draw(plotting.mistakes, predictions, IMAGES, "")
    titles = [axes.get_title() for axes in shown(figure)]
    assert titles == [f"bird\n→ class {index} 0.75" for index in range(3)]


def test_at_most_32_mistakes_are_drawn(draw: Draw) -> None:
    figure = draw(plotting.mistakes, WRONG, IMAGES, "net")
    assert title_of(figure) == "net: the 32 worst of 40 mistakes"
    assert len(shown(figure)) == 32
    assert shown(figure)[-1].get_title() == "bird\n→ airplane 0.58"


def test_fewer_mistakes_are_drawn_where_it_is_asked_for(draw: Draw) -> None:
    figure = draw(plotting.mistakes, WRONG, IMAGES, "net", count=2)
    assert title_of(figure) == "net: the 2 worst of 40 mistakes"
    assert [axes.get_title()[-4:] for axes in shown(figure)] == ["0.89", "0.88"]


def test_network_without_mistakes_has_an_empty_picture(draw: Draw) -> None:
    right = [Prediction(0, "bird", "bird", 0.9)]
    figure = draw(plotting.mistakes, right, IMAGES, "net")
    assert title_of(figure) == "net: the 0 worst of 0 mistakes"
    assert shown(figure) == []


def test_surest_answers_are_drawn_in_their_order(draw: Draw) -> None:
    answers = [Prediction(9, "cat", "bird", 0.99), Prediction(4, "deer", "airplane", 0.98)]
    figure = draw(plotting.surest, answers, IMAGES, "net")
    assert title_of(figure) == "net: its 2 surest answers for images of other classes"
    first, second, *_ = figure.axes
    assert first.get_title() == "cat\n→ bird 0.99"
    assert second.get_title() == "deer\n→ airplane 0.98"
    assert np.array_equal(values_of(first.images[0]), IMAGES[9].transpose(1, 2, 0))


def test_no_images_of_other_classes_leave_an_empty_picture(draw: Draw) -> None:
    figure = draw(plotting.surest, [], IMAGES, "net")
    assert title_of(figure) == "net: there are no images of other classes"
    assert not any(axes.images for axes in figure.axes)


def test_images_of_mistakes_have_no_axes(draw: Draw) -> None:
    figure = draw(plotting.mistakes, WRONG[:3], IMAGES, "")
    assert len(figure.axes) == 32
    assert not any(axes.axison for axes in figure.axes)
