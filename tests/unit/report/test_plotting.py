"""What the pictures show: the tests look at matplotlib's figures, and at the PNG itself."""

import io
from collections.abc import Callable
from typing import Any
from unittest import mock

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from cifar2.report import plotting
from cifar2.report.results import Prediction


def draw(function: Callable[..., Any], *arguments: Any, **options: Any) -> Figure:
    """Return the figure that a function draws, not in a user's style, all within the picture."""
    png = mock.patch.object(plotting, "png", lambda figure: figure)
    with png, matplotlib.rc_context({"axes.facecolor": "red"}):
        figure: Figure = function(*arguments, **options)
    assert {to_hex(axes.get_facecolor()) for axes in figure.axes} == {"#ffffff"}
    figure.draw_without_rendering()
    inside = figure.get_tightbbox()
    assert min(inside.min) >= 0
    assert (np.asarray(inside.max) <= figure.get_size_inches()).all()
    return figure


IMAGES = np.random.default_rng(0).integers(256, size=(50, 3, 32, 32), dtype=np.uint8)
WRONG = [Prediction(index, "bird", "airplane", 0.5 + index / 100) for index in range(40)]


def test_picture_names_neither_a_time_nor_a_version() -> None:
    with Image.open(io.BytesIO(plotting.mistakes(WRONG[:3], IMAGES, "Not maths: $_{$"))) as image:
        assert (image.format, image.size, set(image.info)) == ("PNG", (1000, 198), {"dpi"})


@pytest.mark.parametrize(("epochs", "marker"), [(1, "o"), (9, "o"), (10, "")])
def test_curves_show_both_sets_from_epoch_1(epochs: int, marker: str) -> None:
    """A line through a single point is invisible, so few points are marked."""
    train, val = np.linspace(0.7, 0.5, epochs), np.linspace(0.8, 0.65, epochs)
    (axes,) = draw(plotting.curves, list(train), list(val), "loss (nats)", "net on cifar10").axes
    assert axes.get_title() == "net on cifar10"
    for line, (label, values) in zip(
        axes.lines, {"train (running)": train, "val": val}.items(), strict=True
    ):
        assert (line.get_label(), line.get_marker()) == (label, marker)
        assert np.array_equal(np.asarray(line.get_xdata()), range(1, epochs + 1))
        assert np.array_equal(np.asarray(line.get_ydata()), values)


def assert_shows(figure: Figure, title: str, answers: dict[int, str]) -> None:
    """Check the title and the images: their numbers in `IMAGES`, and what is written over them."""
    (axes,) = figure.axes
    assert figure.get_suptitle() == title
    for image, text, (number, words) in zip(axes.images, axes.texts, answers.items(), strict=True):
        assert text.get_text() == words
        assert np.array_equal(np.asarray(image.get_array()), IMAGES[number].transpose(1, 2, 0))
        left, right, bottom, top = image.get_extent()
        assert (right - left, bottom - top) == pytest.approx((1, 1))
        np.testing.assert_allclose(text.get_position(), (left, top), atol=0.1)


def test_samples_are_the_first_eight_of_each_class_in_a_row() -> None:
    labels = np.array([0, 0, 1, 0, 1])
    figure = draw(plotting.samples, IMAGES, labels, ["cat", "dog"], "mine")
    assert_shows(figure, "mine", {0: "cat", 1: "", 3: "", 2: "dog", 4: ""})
    tops = [image.get_extent()[3] for image in figure.axes[0].images]
    assert tops[0] == tops[2] < tops[3] == tops[4]


def test_mistakes_are_those_of_highest_confidence_first() -> None:
    predictions = [
        Prediction(0, "bird", "airplane", 0.6),
        Prediction(1, "bird", "bird", 0.99),
        Prediction(2, "airplane", "bird", 0.9),
        Prediction(4, "bird", "airplane", 0.7),  # as sure as the next, in the order of the images
        Prediction(3, "bird", "airplane", 0.7),
    ]
    words = {2: "airplane\n→ bird 0.90", 3: "bird\n→ airplane 0.70", 4: "bird\n→ airplane 0.70"}
    figure = draw(plotting.mistakes, predictions, IMAGES, "net on cifar10", count=3)
    assert_shows(figure, "net on cifar10: the 3 worst of 4 mistakes", words)


def test_picture_without_images_has_a_sentence() -> None:
    mistakes = draw(plotting.mistakes, [Prediction(1, "cat", "cat", 0.9)] * 2000, IMAGES, "net")
    assert_shows(mistakes, "net\nNo mistake on the 2,000 validation images", {})
    surest = draw(plotting.surest, [], IMAGES, "net")
    assert_shows(surest, "net\nThere are no images of other classes", {})


def test_surest_answers_are_drawn_in_their_order() -> None:
    answers = [Prediction(9, "cat", "bird", 0.99), Prediction(4, "deer", "airplane", 0.98)]
    words = {9: "cat\n→ bird 0.99", 4: "deer\n→ airplane 0.98"}
    figure = draw(plotting.surest, answers, IMAGES, "net")
    assert_shows(figure, "net: its 2 surest answers for images of other classes", words)
