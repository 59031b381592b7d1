"""Train the chosen architecture, from the beginning or from where the same run has come to."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import _stage

from cifar2 import models, params
from cifar2.errors import FileError, UserError

if TYPE_CHECKING:
    from cifar2.params import Train
    from cifar2.snapshot import Snapshot
    from cifar2.training.loop import Epoch, State

HELP = {
    "settings": "the settings file",
    "data": "the folder of train.pt and val.pt",
    "model": "where to write the state_dict; model.json beside it says how to use it",
    "history": "the folder to write the series per epoch to",
    "snapshots": "the scratch folder of trainings, relative to the main repository",
    "weights": "the folder with a folder of given weights for each name of train.start",
}

STAND_IN = """THIS NETWORK IS TRAINED ON THE SYNTHETIC STAND-IN, NOT ON CIFAR-10. To train it on
CIFAR-10, type `dvc repro -f download`, then `dvc repro` (data.source must not be synthetic)."""

ANEW = "starting at epoch 1: by train.schedule or train.hardest, epochs depend on their number"


def main(
    settings: Path,
    data: Path,
    model: Path,
    history: Path,
    snapshots: Path,
    weights: Path | None = None,
) -> None:
    run = params.load(settings)
    import torch

    from cifar2 import progress, snapshot
    from cifar2.data import dataset
    from cifar2.inference import checkpoint, device
    from cifar2.training import loop

    place = device.prepare(
        run.train.device, threads=run.train.threads, tf32=run.train.precision == "tf32"
    )
    train, val = dataset.load(data / "train.pt"), dataset.load(data / "val.pt")
    if train.source == "synthetic":
        print(STAND_IN, file=sys.stderr)
    to_train, to_validate = (
        (dataset.normalize(each.images.to(place), train.preparation), each.labels.to(place))
        for each in (train, val)
    )
    torch.manual_seed(run.train.seed)
    config = run.model.config()
    network = models.get_model(run.model.name, len(train.classes), train.preparation.size, **config)
    known = train.classes, train.source, train.preparation
    description = checkpoint.Description(run.model.name, config, *known)
    inputs = [data / "train.pt", data / "val.pt", Path(__file__)]
    if run.train.start != "none":
        if weights is None:
            raise UserError(f"train.start: {run.train.start!r}: this command takes no --weights")
        path = weights / run.train.start / "model.pt"
        try:
            layers = checkpoint.take_over(path, network, description)
        except FileError as error:
            raise UserError(f"train.start: {error}") from error
        print(f"starting from {path}: {layers}", file=sys.stderr)
        inputs += [path, path.with_suffix(".json")]
    network.to(place)
    patience = run.train.patience or math.inf
    state = loop.start(network, run, len(train.labels))
    key = snapshot.key(run, place, inputs)
    with snapshot.kept(_stage.scratch(snapshots), key) as kept:
        done = _resume(state, kept, run.train)
        best = kept.content["best"] if kept.content else None  # the weights of the best epoch
        try:
            with progress.reported(history, run.train.epochs, done) as report:
                fit = loop.fit(state, to_train, to_validate, run)
                while len(done) - _best(done) < patience and (epoch := next(fit, None)):
                    _check(epoch, run.train.lr)
                    done.append(epoch)
                    # A copy, because the tensors change with the next step.
                    state_dict = copy.deepcopy(state.state_dict())
                    if run.train.keep == "best" and _best(done) == epoch.epoch:
                        best = state_dict["model"]
                    values = [list(each) for each in done]
                    kept.put({"state": state_dict, "history": values, "best": best})
                    report(epoch)
        except _stage.Stopped as stop:
            saved = kept.content["state"]["epoch"] if kept.content else 0
            stop.note = f" after epoch {saved} of {run.train.epochs}"
            stop.note += "; the same run continues from there"
            raise
    if len(done) < run.train.epochs:
        since = f"val loss was lowest in epoch {_best(done)}"
        print(f"train.patience: {since}; ended after epoch {len(done)}", file=sys.stderr)
    if best:
        network.load_state_dict(best)
        description = description._replace(epoch=_best(done))
    checkpoint.save(network, description, model)


def _resume(state: State, kept: Snapshot, run: Train) -> list[Epoch]:
    """Continue from the snapshot, or else from that of fewer epochs; return the epochs it has."""
    from cifar2.training.loop import Epoch

    path = kept.path
    if kept.content is None and (shorter := kept.shorter()):
        if run.schedule != "none" or run.hardest < 1:
            print(ANEW, file=sys.stderr)
        else:
            path, kept.content = shorter.path, shorter.content
    if kept.content is None:
        return []
    state.load_state_dict(kept.content["state"])
    since = f"continuing after epoch {state.epoch} of {run.epochs}"
    print(f"{since}; to train from the beginning, remove {path}", file=sys.stderr)
    return [Epoch(*values) for values in kept.content["history"]]


def _best(done: Sequence[Epoch]) -> int:
    """Return the number of the epoch with the lowest val loss, the first of several; or 0."""
    return min(done, key=lambda each: each.val_loss).epoch if done else 0


def _check(epoch: Epoch, lr: float) -> None:
    if not math.isfinite(epoch.train_loss + epoch.val_loss):
        became = f"became {epoch.train_loss} (val: {epoch.val_loss}) in epoch {epoch.epoch}"
        hint = f"try a smaller one, -S train.lr={lr / 10:g}"
        raise UserError(f"train.lr: at {lr:g} the loss {became}; {hint}")
