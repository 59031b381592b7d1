"""The pictures: curves per epoch and the worst mistakes, as PNG with the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

TRAIN_COLOUR, VAL_COLOUR = "#0072b2", "#d55e00"  # told apart by the colour-blind too (Okabe, Ito)


class Prediction(NamedTuple):
    """What the network said of an image: an index into the val set, names, a probability."""

    image: int
    actual: str
    predicted: str
    confidence: float


def curves(train: Sequence[float], val: Sequence[float], quantity: str, title: str) -> bytes:
    """Draw a quantity per epoch, from epoch 1, for both sets; return the PNG."""
    figure = Figure(figsize=(8, 4.5), dpi=100, layout="constrained")
    axes = figure.subplots()
    epochs = range(1, len(train) + 1)
    # One epoch makes no line: mark the points of short runs.
    marker = "o" if len(train) < 10 else ""
    axes.plot(epochs, train, color=TRAIN_COLOUR, marker=marker, label="train (running)")
    axes.plot(epochs, val, color=VAL_COLOUR, marker=marker, label="val")
    axes.set(title=title, xlabel="epoch", ylabel=quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)
    axes.legend()
    return _png(figure)


def mistakes(
    predictions: Sequence[Prediction], images: NDArray[np.uint8], title: str, count: int = 32
) -> bytes:
    """Draw the mistakes that the network was surest of, surest first; return the PNG.

    Args:
        images: the val set, [N, 3, 32, 32].
        count: how many to draw at most.
    """
    wrong = [p for p in predictions if p.predicted != p.actual]
    worst = sorted(wrong, key=lambda p: (-p.confidence, p.image))[:count]
    figure = Figure(figsize=(10, 6.4), dpi=100, layout="constrained")
    figure.suptitle(f"{title}: the {len(worst)} worst of {len(wrong)} mistakes")
    grid = figure.subplots(4, 8, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, prediction in zip(grid.flat, worst, strict=False):
        axes.imshow(images[prediction.image].transpose(1, 2, 0), interpolation="nearest")
        axes.set_title(
            f"{prediction.actual}\n→ {prediction.predicted} {prediction.confidence:.2f}", fontsize=9
        )
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
