"""Pictures of several runs side by side: PNG, with the same bytes every time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from cifar2.report.plotting import TRAIN_COLOUR, VAL_COLOUR, png

if TYPE_CHECKING:
    from zoo.comparison import Difference
    from zoo.summary import Runs


def small_multiples(runs: Runs, title: str) -> bytes:
    """Draw each variant's accuracy per epoch: the seeds' mean and range; return the PNG."""
    rows = -(-len(runs) // 4)
    figure = Figure(figsize=(10, 0.6 + 2.2 * rows), dpi=100, layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(rows, 4, squeeze=False, sharey=True)
    lowest = 0.7
    for axes, (name, seeds) in zip(grid.flat, runs.items(), strict=False):
        for label, colour in (("train (running)", TRAIN_COLOUR), ("val", VAL_COLOUR)):
            quantity = f"{label.partition(' ')[0]}_accuracy"
            values = np.array([run.series[quantity] for run in seeds.values()])  # [seeds, epochs]
            epochs = np.arange(1, values.shape[1] + 1)
            axes.plot(epochs, values.mean(axis=0), color=colour, linewidth=1.2, label=label)
            low, high = values.min(axis=0), values.max(axis=0)
            axes.fill_between(epochs, low, high, color=colour, alpha=0.3)
            lowest = min(lowest, np.floor(10 * low[len(low) // 2 :].min()) / 10)
        axes.set_title(f"{name}, {len(seeds)} seed{'s' if len(seeds) > 1 else ''}", fontsize=9)
        locator = MaxNLocator(4, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
        axes.xaxis.set_major_locator(locator)
        axes.grid(alpha=0.3)
    # The axis begins where the second half of the epochs needs it: the low values of the first
    # epochs would hide the differences.
    grid[0, 0].set_ylim(lowest, 1.0)
    for axes in grid.flat[len(runs) :]:
        axes.axis("off")
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy")
    figure.supxlabel("epoch")
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower right", ncols=2)
    return png(figure)


def triangle(differences: Sequence[Difference], title: str) -> bytes:
    """Draw the difference of every pair, row minus column, and what is known; return the PNG.

    A pair's `a` is the row. Pairs that were not compared are left out.
    """
    names = list(dict.fromkeys(name for each in differences for name in (each.b, each.a)))
    size = len(names)
    values = np.full((size, size), np.nan)
    width, height = max(9, 2.5 + 0.75 * size), 1.8 + 0.5 * size
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    axes = figure.subplots()
    for each in differences:
        row, column = names.index(each.a), names.index(each.b)
        known = each.answer in ("better", "worse")
        values[row, column] = each.mean if known else 0
        points = round(100 * each.mean, 1) + 0.0  # so that -0.0 becomes 0.0
        colour = "black" if -0.03 < each.mean < 0.035 else "white"
        sign = "≈ " if each.answer == "equivalent" else ""
        axes.text(
            column, row, f"{sign}{points:+.1f}{'' if each.on == 'val' else ' f'}",
            ha="center", va="center", fontsize=9, weight="bold" if known else "normal",
            color="grey" if each.answer == "undecided" else colour,
        )  # fmt: skip
        if each.kind == "primary":
            axes.add_patch(Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, fill=False))
    if differences:
        # From 5 points on, all have one colour. Otherwise, a single bad variant would leave hardly
        # any colour for 1 to 3 points.
        limits = Normalize(-0.05, 0.05)
        extent = (-0.5, size - 1.5, size - 0.5, 0.5)
        image = axes.imshow(values[1:, :-1], "PuOr", limits, aspect="auto", extent=extent)
        bar = figure.colorbar(image, shrink=0.5, ticks=np.array([-5, -3, -1, 1, 3, 5]) / 100)
        bar.set_ticklabels(["≤ -5", "-3", "-1", "+1", "+3", "≥ +5"])
    else:  # a single variant
        axes.axis("off")
    axes.set_xticks(range(size - 1), names[:-1], rotation=40, ha="right")
    axes.set_yticks(range(1, size), names[1:])
    axes.spines[:].set_visible(False)
    axes.set_title(title, wrap=True)  # it is wider than three variants
    return png(figure)
