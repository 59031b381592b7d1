"""What several seeds of each variant come to: means, spreads, a table, and what to draw."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cifar2 import models, params
from cifar2.errors import MissingFile, UserError
from cifar2.report import results
from cifar2.report.plotting import Variant
from cifar2.report.results import Accuracy, Prediction
from cifar2.training import series
from cifar2.training.series import Epoch
from cifar2.variants import Accuracies


class Run(NamedTuple):
    """What a run left: its settings, its figures per epoch, its scores, its predictions on val."""

    settings: params.Params
    epochs: list[Epoch]
    accuracy: Accuracy
    predictions: list[Prediction]


Runs = dict[str, dict[int, Run]]  # by variant and seed


class Spread(BaseModel):
    """The accuracies of a variant's seeds: mean, sample standard deviation, each of them."""

    mean: float
    std: float | None  # None for a single seed
    seeds: list[float]


class Result(BaseModel):
    """What a variant's seeds come to, and the size of its network and of its training."""

    train: Spread
    val: Spread
    parameters: int
    epochs: int


def finished_runs(settings: Path, runs: Path, seeds: Mapping[str, Sequence[int]]) -> Runs:
    """Read the runs of each variant that are trained to their last epoch and measured.

    A run that failed, or that is under way, may still have results of former settings. It is left
    out, and so is a variant without a finished run.

    Args:
        settings: the folder of each run's settings, `baseline-1.yaml` and so on.
        runs: the folder of each run's results.

    Raises:
        FileError: if a result is damaged.
    """
    found: Runs = {}
    for variant, numbers in seeds.items():
        for seed in numbers:
            run = _read(settings / f"{variant}-{seed}.yaml", runs / f"{variant}-{seed}")
            if run is not None:
                found.setdefault(variant, {})[seed] = run
    return found


def _read(settings: Path, folder: Path) -> Run | None:
    try:
        epochs = series.read(folder / "training")
        run_settings = params.load(settings)
        if len(epochs) != run_settings.train.epochs:
            return None
        accuracy = results.read_accuracy(folder / "accuracy.json")
        predictions = results.read_predictions(folder / "predictions.csv")
    except (MissingFile, series.Unfinished):
        return None
    return Run(run_settings, epochs, accuracy, predictions)


def data_of(runs: Runs) -> str:
    """Return the data set and the classes that all runs are on, in words.

    Raises:
        UserError: if there is no run, or they are not all on the same images.
    """
    first: Run | None = None
    for variant, seeds in runs.items():
        for seed, run in seeds.items():
            first = first or run
            if _images(run) != _images(first):
                raise UserError(f"{variant}-{seed} was not measured on the images of the others")
    if first is None:
        raise UserError("no run is finished yet")
    return f"{first.accuracy.dataset} ({', '.join(first.accuracy.classes)})"


def _images(run: Run) -> tuple[str, list[str]]:
    return run.accuracy.dataset, [each.actual for each in run.predictions]


def summarise(runs: Runs) -> dict[str, Result]:
    """Return what the seeds of each variant come to."""
    return {variant: _result(list(seeds.values())) for variant, seeds in runs.items()}


def _result(seeds: list[Run]) -> Result:
    settings, classes = seeds[0].settings, len(seeds[0].accuracy.classes)
    network = models.get_model(settings.model.name, classes, **settings.model.config())
    return Result(
        train=_spread([run.accuracy.train.accuracy for run in seeds]),
        val=_spread([run.accuracy.val.accuracy for run in seeds]),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        epochs=settings.train.epochs,
    )


def _spread(accuracies: list[float]) -> Spread:
    std = round(statistics.stdev(accuracies), 6) if len(accuracies) > 1 else None
    return Spread(mean=round(statistics.mean(accuracies), 6), std=std, seeds=accuracies)


def correct(runs: Runs) -> dict[str, NDArray[np.bool_]]:
    """Return, for each variant, whether each seed's network was right: bool [seeds, images]."""
    return {
        variant: np.array(
            [[each.predicted == each.actual for each in run.predictions] for run in seeds.values()]
        )
        for variant, seeds in runs.items()
    }


def drawn(runs: Runs, book: Mapping[str, Accuracies]) -> list[Variant]:
    """Return what `plotting.bars` and `plotting.small_multiples` draw."""
    return [
        Variant(
            variant,
            [run.accuracy.train.accuracy for run in seeds.values()],
            [run.accuracy.val.accuracy for run in seeds.values()],
            np.array(
                [
                    [[epoch.train_accuracy for epoch in run.epochs] for run in seeds.values()],
                    [[epoch.val_accuracy for epoch in run.epochs] for run in seeds.values()],
                ]
            ),
            (book[variant].train, book[variant].val) if variant in book else None,
        )
        for variant, seeds in runs.items()
    ]


def table(summary: Mapping[str, Result], book: Mapping[str, Accuracies]) -> str:
    """Return the results as a table in Markdown, beside those of the book."""
    lines = [
        "| variant | parameters | epochs | seeds | train | val | the book's train, val |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, result in summary.items():
        cells = [f"`{name}`", f"{result.parameters:,}", str(result.epochs)]
        cells.append(str(len(result.val.seeds)))
        for part in (result.train, result.val):
            cells.append(f"{part.mean:.4f}" + ("" if part.std is None else f" ± {part.std:.4f}"))
        printed = book.get(name)
        cells.append(f"{printed.train:.2f}, {printed.val:.2f}" if printed else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
