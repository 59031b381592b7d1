"""Summaries over seeds: means, standard deviations, tables."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cifar2 import models, params
from cifar2.errors import MissingFile, UserError
from cifar2.report import results, series
from cifar2.report.results import Accuracy, Prediction
from zoo.variants import Accuracies


class Run(NamedTuple):
    """The results of a run: its settings, its values per epoch, its scores, its predictions on val.

    series: by quantity, as `series.read` returns them.
    """

    settings: params.Params
    series: dict[str, list[float]]
    accuracy: Accuracy
    predictions: list[Prediction]


Runs = dict[str, dict[int, Run]]  # by variant and seed


class Spread(BaseModel):
    """The accuracies of a variant's seeds: mean, sample standard deviation, each of them."""

    mean: float
    std: float | None  # None for a single seed
    seeds: list[float]


class Result(BaseModel):
    """The accuracies of a variant over its seeds, and the size of its network and its training."""

    train: Spread
    val: Spread
    test: Spread | None = None  # where val was set apart from the train images
    parameters: int
    epochs: int


def finished_runs(settings: Path, runs: Path, seeds: Mapping[str, Sequence[int]]) -> Runs:
    """Read the runs of each variant that are trained to their last epoch and evaluated.

    The results of a run that failed, or that is under way, may be of former settings or code. They
    are left out, and so is a variant without a finished run.

    Args:
        settings: the folder of each run's settings, `baseline-1.yaml` and so on.
        runs: the folder of each run's results.

    Raises:
        FileError: if a result is damaged.
    """
    finished: Runs = {}
    for variant, numbers in seeds.items():
        for seed in numbers:
            run = _read(settings / f"{variant}-{seed}.yaml", runs / f"{variant}-{seed}")
            if run is not None:
                finished.setdefault(variant, {})[seed] = run
    return finished


def _read(settings: Path, folder: Path) -> Run | None:
    try:
        digest = hashlib.md5(settings.read_bytes(), usedforsecurity=False).hexdigest()
        if (folder / "made_by").read_bytes().strip() != digest.encode():
            return None
        run = Run(
            params.load(settings),
            series.read(folder / "training"),
            results.read_accuracy(folder / "accuracy.json"),
            results.read_predictions(folder / "predictions.csv"),
        )
    except (FileNotFoundError, MissingFile, series.Unfinished):
        return None
    return run if len(run.series["val_loss"]) == run.settings.train.epochs else None


def describe_data(runs: Runs) -> str:
    """Return the data set and the classes that all runs are on, and what val is, in words.

    Raises:
        UserError: if there is no run, or they are not all on the same images.
    """
    first: Run | None = None
    for variant, seeds in runs.items():
        for seed, run in seeds.items():
            first = first or run
            if _images(run) != _images(first):
                name = f"{variant}-{seed}"
                raise UserError(f"{name} was evaluated on different images from the other runs")
    if first is None:
        raise UserError("no run is finished yet")
    words = f"{first.accuracy.dataset} ({', '.join(first.accuracy.classes)})"
    data = first.settings.data
    return words + (f", fold {data.fold} of {data.holdout:g} as val" if data.holdout else "")


def has_holdout(runs: Runs) -> bool:
    """Tell whether val is train images that were set apart, so that the book's val is another."""
    return any(run.settings.data.holdout > 0 for seeds in runs.values() for run in seeds.values())


def _images(run: Run) -> tuple[str, list[str]]:
    return run.accuracy.dataset, [each.actual for each in run.predictions]


def summarise(runs: Runs) -> dict[str, Result]:
    """Return the summary of each variant's seeds."""
    return {variant: _summarise(list(seeds.values())) for variant, seeds in runs.items()}


def _summarise(seeds: list[Run]) -> Result:
    settings, classes = seeds[0].settings, len(seeds[0].accuracy.classes)
    network = models.get_model(settings.model.name, classes, **settings.model.config())
    tested = [run.accuracy.test.accuracy for run in seeds if run.accuracy.test]
    return Result(
        train=_spread([run.accuracy.train.accuracy for run in seeds]),
        val=_spread([run.accuracy.val.accuracy for run in seeds]),
        test=_spread(tested) if tested else None,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        epochs=settings.train.epochs,
    )


def _spread(accuracies: list[float]) -> Spread:
    std = round(statistics.stdev(accuracies), 6) if len(accuracies) > 1 else None
    return Spread(mean=round(statistics.mean(accuracies), 6), std=std, seeds=accuracies)


def to_json(summary: Mapping[str, Result]) -> dict[str, object]:
    """Return the results as plain containers; without test where there is none."""
    return {
        name: each.model_dump(exclude=set() if each.test else {"test"})
        for name, each in summary.items()
    }


def mark_answers(runs: Runs) -> dict[str, list[NDArray[np.bool_]]]:
    """Return, for each variant and seed, whether each answer is right: bool [images]."""
    return {
        variant: [
            np.array([each.predicted == each.actual for each in run.predictions])
            for run in seeds.values()
        ]
        for variant, seeds in runs.items()
    }


def format_table(summary: Mapping[str, Result], book: Mapping[str, Accuracies]) -> str:
    """Return the results as a table in Markdown, beside those of the book."""
    parts = ["train", "val"]
    if any(result.test for result in summary.values()):
        parts.append("test")
    lines = [
        f"| variant | parameters | epochs | seeds | {' | '.join(parts)} | the book's train, val |",
        f"|---|---:|---:|---:|{'---:|' * len(parts)}---:|",
    ]
    for name, result in summary.items():
        cells = [f"`{name}`", f"{result.parameters:,}", str(result.epochs)]
        cells.append(str(len(result.val.seeds)))
        cells += [_format_spread(getattr(result, part)) for part in parts]
        printed = book.get(name)
        cells.append(f"{printed.train:.2f}, {printed.val:.2f}" if printed else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _format_spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.mean:.4f}" + ("" if spread.std is None else f" ± {spread.std:.4f}")


def format_trials(trials: Runs) -> str:
    """Return the accuracies of each trial as CSV: mean, deviation, mean loss, and each fold's."""
    rows = []
    for name, folds in trials.items():
        scores = [run.accuracy.val for run in folds.values()]
        spread = _spread([score.accuracy for score in scores])
        loss = round(statistics.mean(score.loss for score in scores), 6)
        epochs = next(iter(folds.values())).settings.train.epochs
        rows.append([name, epochs, spread.mean, spread.std, loss, *spread.seeds])
    seeds = [str(seed) for seed in next(iter(trials.values()), {})]
    return results.table(["trial", "epochs", "accuracy", "std", "loss", *seeds], rows)
