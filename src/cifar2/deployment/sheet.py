"""A contact sheet: pictures, what a network saw of each, and what it says."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

HIGHEST_COLOUR, OTHER_COLOUR = "#d55e00", "#bbbbbb"


class Answered(NamedTuple):
    """A picture and a network's answer about it.

    name: what is written above the picture; of a long one, its end.
    picture: uint8 [H, W, 3].
    seen: what the network was given of it, uint8 [32, 32, 3].
    probabilities: that of each class.
    """

    name: str
    picture: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    probabilities: dict[str, float]


def contact_sheet(answers: Sequence[Answered], title: str) -> bytes:
    """Draw pictures, what a network saw of each, and its probabilities; return the PNG."""
    rows = -(-len(answers) // 2)
    height = 0.5 + rows * max(1.7, 0.22 * len(answers[0].probabilities))
    figure = Figure(figsize=(10, height), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(rows, 6, squeeze=False, width_ratios=[1, 1, 1.2] * 2)
    for axes in grid.flat:
        axes.axis("off")
    for (left, middle, right), answer in zip(grid.reshape(-1, 3), answers, strict=False):
        left.imshow(answer.picture)
        left.set_title(_shortened(answer.name, 22), fontsize=9)
        middle.imshow(answer.seen, interpolation="nearest")
        middle.set_title("as 32 × 32", fontsize=9)
        right.axis("on")
        highest = max(answer.probabilities.values())
        for place, (label, probability) in enumerate(answer.probabilities.items()):
            colour = HIGHEST_COLOUR if probability == highest else OTHER_COLOUR
            right.barh(place, probability, color=colour)
            right.text(0.02, place, f"{label} {probability:.2f}", va="center", fontsize=9)
        right.set(xlim=(0, 1), xticks=[], yticks=[])
        right.invert_yaxis()
        right.spines[:].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _shortened(name: str, length: int) -> str:
    """Return the end of a name that is too long: of a path, that is the file."""
    return name if len(name) <= length else "…" + name[1 - length :]
