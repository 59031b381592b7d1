"""Train the chosen architecture, from the beginning or from where the same run was stopped."""

from __future__ import annotations

import copy
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import _stage

from cifar2 import models, params
from cifar2.errors import UserError

if TYPE_CHECKING:
    from cifar2.snapshot import Snapshot
    from cifar2.training.loop import Epoch, State

HELP = {
    "settings": "the settings file",
    "data": "the folder of train.pt and val.pt",
    "model": "where to write the state_dict; model.json beside it says how to use it",
    "history": "the folder to write the series per epoch to",
    "snapshots": "the scratch folder of interrupted runs, relative to the main repository",
}

STAND_IN = """THIS NETWORK IS TRAINED ON THE SYNTHETIC STAND-IN, NOT ON CIFAR-10. To train it on
CIFAR-10, type `dvc repro -f download`, then `dvc repro` (data.source must not be synthetic)."""


def main(settings: Path, data: Path, model: Path, history: Path, snapshots: Path) -> None:
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
        (dataset.normalize(each.images.to(place)), each.labels.to(place)) for each in (train, val)
    )
    torch.manual_seed(run.train.seed)
    config = run.model.config()
    network = models.get_model(run.model.name, len(train.classes), **config).to(place)
    state = loop.start(network, run, len(train.labels))
    key = snapshot.key(run, place, [data / "train.pt", data / "val.pt", Path(__file__)])
    with snapshot.kept(_stage.scratch(snapshots), key) as kept:
        done = _resume(state, kept, run.train.epochs)
        with progress.reported(history, run.train.epochs, done) as report:
            try:
                for epoch in loop.fit(state, to_train, to_validate, run):
                    _check(epoch, run.train.lr)
                    done.append(epoch)
                    # A copy, because the tensors change with the next step.
                    state_dict = copy.deepcopy(state.state_dict())
                    kept.put({"state": state_dict, "history": [list(each) for each in done]})
                    report(epoch)
            except _stage.Stopped as stop:
                saved = kept.content["state"]["epoch"] if kept.content else 0
                stop.note = f" after epoch {saved} of {run.train.epochs}"
                stop.note += "; the same run continues from there"
                raise
    description = checkpoint.Description(run.model.name, config, train.classes, train.source)
    checkpoint.save(network, description, model)


def _resume(state: State, kept: Snapshot, epochs: int) -> list[Epoch]:
    """Continue from the snapshot, if there is one; return the epochs that it has."""
    from cifar2.training.loop import Epoch

    if kept.content is None:
        return []
    state.load_state_dict(kept.content["state"])
    print(
        f"continuing after epoch {state.epoch} of {epochs}; to train from the beginning, remove"
        f" {kept.path}",
        file=sys.stderr,
    )
    return [Epoch(*values) for values in kept.content["history"]]


def _check(epoch: Epoch, lr: float) -> None:
    if not math.isfinite(epoch.train_loss + epoch.val_loss):
        raise UserError(
            f"train.lr: at {lr:g} the loss became {epoch.train_loss} (val: {epoch.val_loss}) in"
            f" epoch {epoch.epoch}; try a smaller one, -S train.lr={lr / 10:g}"
        )
