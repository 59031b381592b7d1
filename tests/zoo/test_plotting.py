"""What the pictures of several runs show: the tests look at matplotlib's figures."""

import sys
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from cifar2.report.plotting import TRAIN_COLOUR, VAL_COLOUR
from tests.unit.settings import settings
from tests.zoo.runs import some_accuracy
from zoo import plotting
from zoo.comparison import Difference
from zoo.summary import Run

Curves = Sequence[Sequence[float]]


def runs(train: Sequence[float], val: Sequence[float], *curves: Curves) -> dict[int, Run]:
    """Return a run for each accuracy; `curves` are those of train and of val, [seeds, epochs]."""
    series = [
        dict(zip(("train_accuracy", "val_accuracy"), each, strict=True))
        for each in zip(*curves or ([[0.9]] * len(val),) * 2, strict=True)
    ]
    accuracies = [some_accuracy(v, train=t) for t, v in zip(train, val, strict=True)]
    return {
        seed: Run(settings(), each, accuracy, [])
        for seed, (each, accuracy) in enumerate(zip(series, accuracies, strict=True), start=1)
    }


def draw(function: Callable[..., bytes], *arguments: Any) -> Figure:
    """Call a function that draws; return the figure in place of the PNG."""
    with mock.patch.object(sys.modules[function.__module__], "png", lambda figure: figure):
        figure: Any = function(*arguments)
    return figure


def words(texts: Any) -> list[str]:
    return [text.get_text() for text in texts]


def test_panel_has_the_mean_and_the_range_of_the_seeds_per_epoch() -> None:
    train, val = [[0.7, 0.8], [0.9, 0.86]], [[0.2, 0.5], [0.7, 0.72]]
    figure = draw(plotting.small_multiples, {"a": runs([0.9, 0.9], [0.7, 0.7], train, val)}, "T")
    axes = figure.axes[0]
    assert (figure.get_suptitle(), axes.get_title()) == ("T", "a, 2 seeds")
    lines = [np.asarray(line.get_xydata()).T.tolist() for line in axes.lines]
    means = ([0.8, 0.83], [0.45, 0.61])
    assert lines == [[[1, 2], pytest.approx(mean)] for mean in means]
    assert [to_hex(line.get_color()) for line in axes.lines] == [TRAIN_COLOUR, VAL_COLOUR]
    corners = [
        {(x, y) for x, y in np.asarray(band.get_paths()[0].vertices).round(6)}
        for band in axes.collections
    ]
    assert corners == [
        {(1, 0.7), (1, 0.9), (2, 0.8), (2, 0.86)},
        {(1, 0.2), (1, 0.7), (2, 0.5), (2, 0.72)},
    ]


def test_triangle_shows_the_four_answers_and_frames_primary_comparisons() -> None:
    pairs = ("b", "a", 0.0123), ("c", "a", -0.2), ("c", "b", -0.0004), ("d", "b", 0.001)
    answers = (
        ("better", "primary", "folds"),
        *((x, "", "val") for x in ("worse", "equivalent", "undecided")),
    )
    cells = [
        Difference(*pair, 0, 0, 0, *answer) for pair, answer in zip(pairs, answers, strict=True)
    ]
    axes, bar = draw(plotting.triangle, cells, "Accuracy").axes
    assert axes.get_title() == "Accuracy"
    found = [
        (text.get_position(), text.get_text(), text.get_fontweight(), text.get_color())
        for text in axes.texts
    ]
    assert found == [
        ((0, 1), "+1.2 f", "bold", "black"),
        ((0, 2), "-20.0", "bold", "white"),
        ((1, 2), "≈ +0.0", "normal", "black"),  # no minus zero
        ((1, 3), "+0.1", "normal", "grey"),
    ]
    frame: Any = axes.patches[0]
    assert (len(axes.patches), frame.get_xy()) == (1, (-0.47, 0.55))
    names = words(axes.get_xticklabels()), words(axes.get_yticklabels())
    assert names == (["a", "b", "c"], ["b", "c", "d"])
    image: Any = axes.images[0]
    values = np.ma.getdata(image.get_array())
    expected = [[0.0123, np.nan, np.nan], [-0.2, 0, np.nan], [np.nan, 0, np.nan]]
    assert np.array_equal(values, expected, equal_nan=True)
    assert words(bar.get_yticklabels()) == ["≤ -5", "-3", "-1", "+1", "+3", "≥ +5"]
    colours = image.to_rgba([0.0, 0.01, 0.03, 0.05, 0.2])[:, :3]
    assert (np.abs(np.diff(colours, axis=0)).max(axis=1) > 0.1).tolist() == [True] * 3 + [False]
