"""Summaries over seeds: means, standard deviations, tables."""

from __future__ import annotations

import csv
import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from cifar2 import files, models, params
from cifar2.errors import MissingFile, UserError
from cifar2.report import results, series
from cifar2.report.results import Accuracy, Prediction
from zoo.variants import Accuracies


class Run(NamedTuple):
    """The results of a run; series: by quantity, as `series.read` returns them."""

    settings: params.Params
    series: dict[str, list[float]]
    accuracy: Accuracy
    predictions: list[Prediction]

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The probability of each actual class, [val images]; of more than two, only a bound."""
        rows = [(each.predicted == each.actual, each.confidence) for each in self.predictions]
        return np.array([max(p, 0.50001) if right else min(1 - p, 0.49999) for right, p in rows])


class OnFolds(NamedTuple):
    """The results of a setting's trainings on folds; the accuracy and the loss are on the fold.

    probabilities: of the actual classes, [trainings, images], NaN where a training was not asked.
    """

    settings: params.Params
    accuracies: list[float]
    losses: list[float]
    probabilities: NDArray[np.float64]


Runs = dict[str, dict[int, Run]]  # by variant and seed


class Spread(BaseModel):
    """The accuracies of a variant's seeds: mean, sample standard deviation, each of them."""

    mean: float
    std: float | None  # None for a single seed
    seeds: list[float]

    def __str__(self) -> str:
        return f"{self.mean:.4f}" + ("" if self.std is None else f" ± {self.std:.4f}")


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
    are left out, and so is a variant without a finished run. `settings` and `runs` are the folders
    of each run's settings, `baseline-1.yaml` and so on, and of each run's results.

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


def _is_finished(settings: Path, folder: Path) -> bool:
    """Tell whether results are there, and of the present settings and code."""
    try:
        digest = hashlib.md5(settings.read_bytes(), usedforsecurity=False).hexdigest()
        return (folder / "made_by").read_bytes().strip() == digest.encode()
    except FileNotFoundError:
        return False


def _read(settings: Path, folder: Path) -> Run | None:
    if not _is_finished(settings, folder):
        return None
    try:
        run = Run(
            params.load(settings),
            series.read(folder / "training"),
            results.read_accuracy(folder / "accuracy.json"),
            results.read_predictions(folder / "predictions.csv"),
        )
    except (MissingFile, series.Unfinished):
        return None
    epochs, train = len(run.series["val_loss"]), run.settings.train
    return run if epochs == train.epochs or train.patience else None


def finished_on_folds(settings: Path, runs: Path, names: Iterable[str]) -> dict[str, OnFolds]:
    """Read the trainings on folds of those settings where they are finished.

    Raises:
        FileError: if a result is damaged.
        UserError: if they are not all on the same images.
    """
    finished: dict[str, OnFolds] = {}
    for name in names:
        path, folder = settings / f"{name}-folds.yaml", runs / f"{name}-folds"
        if _is_finished(path, folder):
            content = params.read_yaml(path)
            assert isinstance(content, dict)
            folds = content.pop("folds")["folds"]
            with files.reading(folder / "trainings.csv") as table:
                scores = [(float(x["accuracy"]), float(x["loss"])) for x in files.rows(table)]
                accuracies, losses = map(list, zip(*scores, strict=True))
            probabilities = _probabilities(folder / "answers.csv", len(losses), folds)
            checked = params.validate(params.Params, content, str(path))
            finished[name] = OnFolds(checked, accuracies, losses, probabilities)
            first = next(iter(finished.values())).probabilities
            if not np.array_equal(np.isnan(probabilities), np.isnan(first)):  # other labels
                raise UserError(f"{name}-folds was evaluated on different images from the others")
    return finished


def _probabilities(answers: Path, trainings: int, folds: int) -> NDArray[np.float64]:
    """Read a row an image: its fold, or none for val, and the answers of those who were asked."""
    with files.reading(answers) as content:
        _, *rows = csv.reader(content.decode().splitlines())
        found = np.full((trainings, len(rows)), np.nan)
        for image, (fold, *cells) in enumerate(rows):
            asked = slice(int(fold), None, folds) if fold else slice(None)
            for training, cell in zip(range(trainings)[asked], cells, strict=True):
                found[training, image] = float(cell)
        if not (np.isnan(found) | ((found >= 0) & (found <= 1))).all():
            raise ValueError("a probability is not between 0 and 1")
        return found


def describe_data(runs: Runs) -> str:
    """Return the data set and the classes that all runs are on, and what val is, in words.

    Raises:
        UserError: if there is no run, or they are not all on the same images.
    """
    every = [(f"{name}-{seed}", run) for name in runs for seed, run in runs[name].items()]
    if not every:
        raise UserError("no run is finished yet")
    images = [(run.accuracy.dataset, [each.actual for each in run.predictions]) for _, run in every]
    for (name, _), others in zip(every, images, strict=True):
        if others != images[0]:
            raise UserError(f"{name} was evaluated on different images from the other runs")
    accuracy, data = every[0][1].accuracy, every[0][1].settings.data
    words = f"{accuracy.dataset} ({', '.join(accuracy.classes)})"
    return words + (f", fold {data.fold} of {data.holdout:g} as val" if data.holdout else "")


def summarise(runs: Runs) -> dict[str, Result]:
    """Return the summary of each variant's seeds."""
    summary = {}
    for variant, seeds in runs.items():
        scores = [run.accuracy for run in seeds.values()]
        settings = next(iter(seeds.values())).settings
        config = settings.model.config()
        network = models.get_model(settings.model.name, len(scores[0].classes), **config)
        tested = [each.test.accuracy for each in scores if each.test]
        summary[variant] = Result(
            train=_spread([each.train.accuracy for each in scores]),
            val=_spread([each.val.accuracy for each in scores]),
            test=_spread(tested) if tested else None,
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            epochs=settings.train.epochs,
        )
    return summary


def _spread(accuracies: list[float]) -> Spread:
    std = round(statistics.stdev(accuracies), 6) if len(accuracies) > 1 else None
    return Spread(mean=round(statistics.mean(accuracies), 6), std=std, seeds=accuracies)


def to_json(summary: Mapping[str, Result]) -> str:
    """Return the results as JSON; without test where there is none."""
    none = {"test"}
    content = {k: v.model_dump(exclude=None if v.test else none) for k, v in summary.items()}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


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
        cells = [f"`{name}`", f"{result.parameters:,}", result.epochs, len(result.val.seeds)]
        cells += [getattr(result, part) or "" for part in parts]
        cells.append(f"{book[name].train:.2f}, {book[name].val:.2f}" if name in book else "")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def format_trials(trials: Mapping[str, OnFolds]) -> str:
    """Return the accuracies of each trial as CSV: mean, deviation, mean loss, and each fold's."""
    rows = []
    for name, trial in trials.items():
        spread, loss = _spread(trial.accuracies), round(statistics.mean(trial.losses), 6)
        epochs = trial.settings.train.epochs
        rows.append([name, epochs, spread.mean, spread.std, loss, *spread.seeds])
    seeds = range(1, 1 + max((len(each.losses) for each in trials.values()), default=0))
    return results.table(["trial", "epochs", "accuracy", "std", "loss", *map(str, seeds)], rows)
