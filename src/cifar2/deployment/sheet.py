"""A contact sheet: pictures, what a network saw of each, and what it says."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font
from PIL.Image import Image

from cifar2.deployment.prediction import Answer
from cifar2.report.plotting import default_style, png

HIGHEST_COLOUR, OTHER_COLOUR = "#d55e00", "#bbbbbb"


@default_style
def contact_sheet(
    names: Sequence[str], pictures: Sequence[tuple[Image, Image]], answers: Sequence[Answer]
) -> bytes:
    """Draw pictures, what a network saw of each, and its probabilities; return the PNG.

    Args:
        names, answers: those of all pictures. Of a long name, the end is written.
        pictures: the first of them, or all: each as it is, and as the network was given it.
    """
    letters = set("".join([*names[: len(pictures)], *answers[0].probabilities]))
    with (
        matplotlib.rc_context({"font.family": _fonts(letters), "text.parse_math": False}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Glyph")  # in no font of this system
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
            middle.set_title(f"as {seen.width} × {seen.height}", fontsize=9)
            right.axis("on")
            for place, (label, probability) in enumerate(answer.probabilities.items()):
                colour = HIGHEST_COLOUR if probability == answer.probability else OTHER_COLOUR
                right.barh(place, probability, color=colour)
                right.text(0.02, place, f"{label} {probability:.2f}", va="center", fontsize=9)
            right.set(xlim=(0, 1), xticks=[], yticks=[])
            right.invert_yaxis()
            right.spines[:].set_visible(False)
        return png(figure)


def _fonts(letters: set[str]) -> list[str]:
    """Return the installed fonts that have these letters, matplotlib's own font first."""
    families = ["DejaVu Sans"]
    for font in sorted(fontManager.ttflist, key=lambda each: each.name != "DejaVu Sans"):
        if letters and not font.name.startswith("Last Resort"):  # its letters are boxes
            with contextlib.suppress(OSError, RuntimeError):  # it is gone, or damaged
                face = FT2Font(font.fname, face_index=font.index)
                if found := {letter for letter in letters if face.get_char_index(ord(letter))}:
                    families.append(font.name)
                    letters = letters - found
    return families
