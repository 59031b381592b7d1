"""Train the chosen architecture, from the start or from where the same run was stopped."""

from __future__ import annotations

import copy
import datetime
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _stage

from cifar2 import UserError, device, models, params

if TYPE_CHECKING:
    from dvclive import Live

    from cifar2 import training


def main(settings: Path, data: Path, model: Path, history: Path, snapshots: Path) -> None:
    run = params.load(settings)
    place = device.resolve(run.train.device)
    import torch
    from tqdm import tqdm

    from cifar2 import checkpoint, dataset, snapshot, training

    train, val = dataset.load(data / "train.pt"), dataset.load(data / "val.pt")
    torch.set_num_threads(run.train.threads)
    torch.manual_seed(run.train.seed)
    torch.backends.cuda.matmul.allow_tf32 = run.train.precision == "tf32"
    torch.backends.cudnn.allow_tf32 = run.train.precision == "tf32"
    options = {
        "n_chans1": run.model.n_chans1,
        "n_blocks": run.model.n_blocks,
        "dropout": run.model.dropout,
        "shared_blocks": run.model.shared_blocks,
    }
    config = {key: options[key] for key in models.config_keys(run.model.name)}
    network = models.get_model(run.model.name, len(train.classes), **config).to(place)
    start: dict[str, Any] = {
        "lr": run.train.lr,
        "seed": run.train.seed,
        "optimizer": run.train.optimizer,
        "momentum": run.train.momentum,
        "nesterov": run.train.nesterov,
        "weight_decay": run.regularization.weight_decay,
        "schedule": run.train.schedule,
        "steps": run.train.epochs * math.ceil(len(train.labels) / run.train.batch_size),
    }
    loop: dict[str, Any] = {
        "epochs": run.train.epochs,
        "batch_size": run.train.batch_size,
        "l2": run.regularization.l2,
        "label_smoothing": run.regularization.label_smoothing,
        "flip": run.augment.flip,
        "crop": run.augment.crop,
        "bfloat16": run.train.precision == "bfloat16",
    }
    state = training.start(network, **start)

    # A snapshot belongs to all that the result depends on.
    chip = torch.cuda.get_device_name(place) if place.type == "cuda" else place.type
    machine = [str(place), chip, run.train.threads, run.train.precision]
    versions = [torch.__version__, torch.backends.cpu.get_cpu_capability()]
    facts = {"model": [run.model.name, config], "start": start, "loop": loop}
    key = snapshot.key(
        facts | {"machine": machine, "versions": versions},
        [data / "train.pt", data / "val.pt", *_code()],
    )
    epochs = run.train.epochs
    done: list[training.Epoch] = []
    with (
        snapshot.kept(snapshots, key) as kept,
        _live(history) as live,
        tqdm(total=epochs, unit="epoch", disable=None) as bar,  # None: on a terminal alone
    ):
        if kept.content is not None:
            state.load_state_dict(kept.content["state"])
            done = [training.Epoch(*figures) for figures in kept.content["history"]]
            bar.update(len(done))
            print(
                f"going on after epoch {state.epoch} of {epochs}; to train afresh, remove"
                f" {kept.path}",
                file=sys.stderr,
            )
        for epoch in done:
            log(live, epoch)
        start_time, first, tenth = time.monotonic(), state.epoch, math.ceil(epochs / 10)
        try:
            for epoch in training.fit(
                state,
                (dataset.normalize(train.images.to(place)), train.labels.to(place)),
                (dataset.normalize(val.images.to(place)), val.labels.to(place)),
                **loop,
            ):
                _check(epoch, run.train.lr)
                done.append(epoch)
                state_dict = copy.deepcopy(state.state_dict())
                kept.put({"state": state_dict, "history": [list(each) for each in done]})
                log(live, epoch)
                bar.set_postfix_str(
                    f"train {epoch.train_accuracy:.4f} val {epoch.val_accuracy:.4f}"
                )
                bar.update()
                if bar.disable and (epoch.epoch in (1, epochs) or epoch.epoch % tenth == 0):
                    each = (time.monotonic() - start_time) / (epoch.epoch - first)
                    print(_line(epoch, epochs, each * (epochs - epoch.epoch)), file=sys.stderr)
        except _stage.Stopped as stop:
            saved = kept.content["state"]["epoch"] if kept.content else 0
            stop.note = f" after epoch {saved} of {epochs}; the same run again goes on from there"
            raise

    card = checkpoint.Card(run.model.name, config, train.classes, train.source)
    checkpoint.save(network, card, model)


def _code() -> list[Path]:
    """Return the files that this stage is made of."""
    modules = [sys.modules[name] for name in sorted(sys.modules) if name.startswith("cifar2")]
    ours = [module.__file__ for module in modules if module.__file__]
    return [Path(__file__), Path(_stage.__file__), *map(Path, ours)]


def _live(history: Path) -> Live:
    """Open the series that `dvc plots` and the editors show, also while the run goes on."""
    from dvclive import Live
    from scmrepo.exceptions import SCMError

    try:
        # dvc.yaml, which declares the series, is ours to write.
        return Live(str(history), save_dvc_exp=False, dvcyaml=None, report=None)
    except SCMError as error:
        raise UserError(f"DVCLive: {error}; make a first commit with `git commit`") from error


def log(live: Live, epoch: training.Epoch) -> None:
    """Add an epoch to the series; their step is the epoch's number."""
    live.step = epoch.epoch
    live.log_metric("train/loss", epoch.train_loss)
    live.log_metric("train/accuracy", epoch.train_accuracy)
    live.log_metric("val/loss", epoch.val_loss)
    live.log_metric("val/accuracy", epoch.val_accuracy)
    live.next_step()


def _check(epoch: training.Epoch, lr: float) -> None:
    if not math.isfinite(epoch.train_loss + epoch.val_loss):
        raise UserError(
            f"train.lr: at {lr:g} the loss became {epoch.train_loss} (val: {epoch.val_loss}) in"
            f" epoch {epoch.epoch}; try a smaller one, -S train.lr={lr / 10:g}"
        )


def _line(epoch: training.Epoch, epochs: int, seconds_left: float) -> str:
    return (
        f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}  epoch {epoch.epoch}/{epochs}"
        f"  train {epoch.train_loss:.4f} {epoch.train_accuracy:.4f}"
        f"  val {epoch.val_loss:.4f} {epoch.val_accuracy:.4f}  {seconds_left:.0f} s left"
    )


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file",
        data="the folder of train.pt and val.pt",
        model="where to write the state_dict; what it takes to use it goes beside it as .json",
        history="the folder to write the series per epoch to",
        snapshots="the scratch folder from which a run that was stopped goes on",
    )
