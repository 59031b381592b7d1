"""A contact sheet: pictures, what a network saw of each, and what it says."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL.Image import Image

from cifar2.deployment.prediction import Answer
from cifar2.report.plotting import png

HIGHEST_COLOUR, OTHER_COLOUR = "#d55e00", "#bbbbbb"


def contact_sheet(
    names: Sequence[str], pictures: Sequence[tuple[Image, Image]], answers: Sequence[Answer]
) -> bytes:
    """Draw pictures, what a network saw of each, and its probabilities; return the PNG.

    Args:
        names, answers: those of all pictures. Of a long name, the end is written.
        pictures: the first of them, or all: each as it is, and as the network was given it.
    """
    rows = -(-len(pictures) // 2)
    height = 0.5 + rows * max(1.7, 0.22 * len(answers[0].probabilities))
    figure = Figure(figsize=(10, height), dpi=100, layout="constrained")
    if len(pictures) < len(answers):
        figure.suptitle(f"the first {len(pictures)} of {len(answers):,} pictures", fontsize=11)
    grid = figure.subplots(rows, 6, squeeze=False, width_ratios=[1, 1, 1.2] * 2)
    for axes in grid.flat:
        axes.axis("off")
    for (left, middle, right), name, (picture, seen), answer in zip(
        grid.reshape(-1, 3), names, pictures, answers, strict=False
    ):
        left.imshow(picture)
        left.set_title(name if len(name) <= 22 else "…" + name[-21:], fontsize=9)
        middle.imshow(seen, interpolation="nearest")
        middle.set_title("as 32 × 32", fontsize=9)
        right.axis("on")
        for place, (label, probability) in enumerate(answer.probabilities.items()):
            colour = HIGHEST_COLOUR if probability == answer.probability else OTHER_COLOUR
            right.barh(place, probability, color=colour)
            right.text(0.02, place, f"{label} {probability:.2f}", va="center", fontsize=9)
        right.set(xlim=(0, 1), xticks=[], yticks=[])
        right.invert_yaxis()
        right.spines[:].set_visible(False)
    return png(figure)
