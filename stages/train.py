"""Train the chosen architecture, from freshly drawn weights."""

from __future__ import annotations

import datetime
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import _stage

from cifar2 import UserError, device, models, params

if TYPE_CHECKING:
    from dvclive import Live

    from cifar2 import training


def main(settings: Path, data: Path, model: Path, history: Path) -> None:
    run = params.load(settings)
    place = device.resolve(run.train.device)
    import torch
    from dvclive import Live
    from scmrepo.exceptions import SCMError
    from tqdm import tqdm

    from cifar2 import checkpoint, dataset, training

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

    try:
        # DVCLive writes the series that `dvc plots` and the editors show while the run goes on;
        # dvc.yaml, which declares them, is ours to write.
        live = Live(str(history), save_dvc_exp=False, dvcyaml=None, report=None)
    except SCMError as error:
        raise UserError(f"DVCLive: {error}; make a first commit with `git commit`") from error
    epochs = run.train.epochs
    start = time.monotonic()
    # disable=None: a bar on a terminal, lines elsewhere
    with live, tqdm(total=epochs, unit="epoch", disable=None) as bar:
        for epoch in training.fit(
            network,
            (dataset.normalize(train.images.to(place)), train.labels.to(place)),
            (dataset.normalize(val.images.to(place)), val.labels.to(place)),
            epochs=epochs,
            lr=run.train.lr,
            batch_size=run.train.batch_size,
            l2=run.regularization.l2,
            seed=run.train.seed,
            bfloat16=run.train.precision == "bfloat16",
        ):
            log(live, epoch)
            bar.set_postfix_str(f"train {epoch.train_accuracy:.4f} val {epoch.val_accuracy:.4f}")
            bar.update()
            if bar.disable and (epoch.epoch in (1, epochs) or epoch.epoch % 10 == 0):
                left = (time.monotonic() - start) / epoch.epoch * (epochs - epoch.epoch)
                print(
                    f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}  epoch {epoch.epoch}/{epochs}"
                    f"  train {epoch.train_loss:.4f} {epoch.train_accuracy:.4f}"
                    f"  val {epoch.val_loss:.4f} {epoch.val_accuracy:.4f}  {left:.0f} s left",
                    file=sys.stderr,
                )

    card = checkpoint.Card(run.model.name, config, train.classes, train.source)
    checkpoint.save(network, card, model)


def log(live: Live, epoch: training.Epoch) -> None:
    """Add an epoch to the series; their step is the epoch's number."""
    live.step = epoch.epoch
    live.log_metric("train/loss", epoch.train_loss)
    live.log_metric("train/accuracy", epoch.train_accuracy)
    live.log_metric("val/loss", epoch.val_loss)
    live.log_metric("val/accuracy", epoch.val_accuracy)
    live.next_step()


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file",
        data="the folder of train.pt and val.pt",
        model="where to write the state_dict; what it takes to use it goes beside it as .json",
        history="the folder to write the series per epoch to",
    )
