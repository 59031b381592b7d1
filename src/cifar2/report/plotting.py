"""Pictures of a run: PNG, with the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cifar2.report.results import Prediction

TRAIN_COLOUR, VAL_COLOUR = "#0072b2", "#d55e00"  # Okabe and Ito's, for the colour-blind
# A decorator: draw in matplotlib's own style, also in a notebook with another one.
default_style = matplotlib.rc_context(matplotlib.rcParamsDefault)


@default_style
def curves(train: Sequence[float], val: Sequence[float], quantity: str, title: str) -> bytes:
    """Draw a quantity per epoch, from epoch 1, for both sets; return the PNG."""
    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(train) + 1)
    # A line through a single point is invisible, so the points of short runs are marked.
    marker = "o" if len(train) < 10 else ""
    axes.plot(epochs, train, color=TRAIN_COLOUR, marker=marker, label="train (running)")
    axes.plot(epochs, val, color=VAL_COLOUR, marker=marker, label="val")
    axes.set_title(_plain(title), wrap=True)  # the names of ten classes are long
    axes.set(xlabel="epoch", ylabel=quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)
    axes.legend()
    return png(figure)


def mistakes(
    predictions: Sequence[Prediction], images: NDArray[np.uint8], title: str, count: int = 32
) -> bytes:
    """Draw at most `count` mistakes, of highest confidence first; return the PNG.

    `images` are the val set, [N, 3, 32, 32].
    """
    wrong = [p for p in predictions if p.predicted != p.actual]
    worst = sorted(wrong, key=lambda p: (-p.confidence, p.image))[:count]
    if wrong:
        title += f": the {len(worst)} worst of {len(wrong)} mistakes"
    sentence = f"No mistake on the {len(predictions):,} validation images"
    return _images(worst, images, title, sentence)


def surest(answers: Sequence[Prediction], images: NDArray[np.uint8], title: str) -> bytes:
    """Draw up to 32 answers for images of other classes than the network's; return the PNG.

    `images` are the val set of all classes, [N, 3, 32, 32].
    """
    if answers:
        title += f": its {len(answers)} surest answers for images of other classes"
    return _images(answers, images, title, "There are no images of other classes")


def samples(
    images: NDArray[np.uint8], labels: NDArray[np.int64], classes: Sequence[str], title: str
) -> bytes:
    """Draw the first eight images of each class, [N, 3, H, W], a class a row; return the PNG."""
    rows = []
    for label, name in enumerate(classes):
        first = images[np.flatnonzero(labels == label)[:8]]
        rows.append([(image, "" if number else name) for number, image in enumerate(first)])
    return _grid(rows, title, lines=1)


def _images(
    predictions: Sequence[Prediction], images: NDArray[np.uint8], title: str, without: str
) -> bytes:
    cells = []
    for each in predictions:
        answer = f"{each.actual}\n→ {each.predicted} {each.confidence:.2f}"
        cells.append((images[each.image], answer))
    rows = [cells[start : start + 8] for start in range(0, len(cells) or 1, 8)]
    return _grid(rows, title if cells else f"{title}\n{without}", lines=2)


@default_style
def _grid(rows: Sequence[Sequence[tuple[NDArray[np.uint8], str]]], title: str, lines: int) -> bytes:
    """Draw rows of up to eight images [3, H, W], each with a caption above; return the PNG.

    All of them are in one system of axes, because a system for each takes many times as long.

    Args:
        lines: how many lines a caption has.
    """
    height = 1.08 + 0.15 * lines  # of a row, where an image has 1
    figure = Figure(figsize=(10, 0.4 + 1.15 * height * len(rows)), dpi=100, layout="constrained")
    figure.suptitle(_plain(title), wrap=True)
    axes = figure.subplots()
    axes.axis("off")
    for number, row in enumerate(rows):
        top = height * number
        for left, (image, caption) in zip(np.arange(8) * 1.1, row, strict=False):
            extent = (left, left + 1, top + 1, top)
            axes.imshow(image.transpose(1, 2, 0), interpolation="nearest", extent=extent)
            axes.text(left, top - 0.04, _plain(caption), fontsize=9, va="bottom")
    axes.set(xlim=(0, 8.7), ylim=(height * (len(rows) - 1) + 1, 1 - height))
    return png(figure)


def _plain(text: str) -> str:
    """Return a text in which `$`, in the name of a class say, begins no formula."""
    return text.replace("$", r"\$")  # wrapped text ignores `parse_math`


def png(figure: Figure) -> bytes:
    """Return a picture as a PNG that names neither a time nor a version."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
