"""What several seeds of each variant come to: means, spreads, a table, and what to draw."""

from __future__ import annotations

import csv
import io
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
from cifar2.report.results import Accuracy, Prediction
from cifar2.training import series
from cifar2.training.series import Epoch
from zoo.plotting import Variant
from zoo.variants import Accuracies


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
    test: Spread | None = None  # where val was set apart from the train images
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
    """Return the data set and the classes that all runs are on, and what val is, in words.

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
    words = f"{first.accuracy.dataset} ({', '.join(first.accuracy.classes)})"
    data = first.settings.data
    return words + (f", fold {data.fold} of {data.holdout:g} as val" if data.holdout else "")


def have_holdout(runs: Runs) -> bool:
    """Tell whether val is train images that were set apart, so that the book's val is another."""
    return any(run.settings.data.holdout > 0 for seeds in runs.values() for run in seeds.values())


def _images(run: Run) -> tuple[str, list[str]]:
    return run.accuracy.dataset, [each.actual for each in run.predictions]


def summarise(runs: Runs) -> dict[str, Result]:
    """Return what the seeds of each variant come to."""
    return {variant: _result(list(seeds.values())) for variant, seeds in runs.items()}


def _result(seeds: list[Run]) -> Result:
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


def as_json(summary: Mapping[str, Result]) -> dict[str, object]:
    """Return the results as plain containers; without test where there is none."""
    return {
        name: each.model_dump(exclude=set() if each.test else {"test"})
        for name, each in summary.items()
    }


def correct(runs: Runs) -> dict[str, NDArray[np.bool_]]:
    """Return, for each variant, whether each seed's network was right: bool [seeds, images]."""
    return {
        variant: np.array([right(run) for run in seeds.values()]) for variant, seeds in runs.items()
    }


def right(run: Run) -> NDArray[np.bool_]:
    """Return whether the network was right about each image, bool [images]."""
    return np.array([each.predicted == each.actual for each in run.predictions])


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
        cells += [_written(getattr(result, part)) for part in parts]
        printed = book.get(name)
        cells.append(f"{printed.train:.2f}, {printed.val:.2f}" if printed else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def trials_table(trials: Runs) -> str:
    """Return what the folds of each trial come to as CSV: means, deviation, each accuracy."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    seeds = [str(seed) for runs in list(trials.values())[:1] for seed in runs]
    writer.writerow(["trial", "epochs", "accuracy", "std", "loss", *seeds])
    for name, runs in trials.items():
        scores = [run.accuracy.val for run in runs.values()]
        spread = _spread([score.accuracy for score in scores])
        loss = round(statistics.mean(score.loss for score in scores), 6)
        epochs = next(iter(runs.values())).settings.train.epochs
        writer.writerow([name, epochs, spread.mean, spread.std, loss, *spread.seeds])
    return text.getvalue()


def _written(spread: Spread | None) -> str:
    if spread is None:
        return ""
    return f"{spread.mean:.4f}" + ("" if spread.std is None else f" ± {spread.std:.4f}")
