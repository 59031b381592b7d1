"""How a training is reported: DVCLive's series, and a bar on a terminal or lines elsewhere."""

from __future__ import annotations

import contextlib
import datetime
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from cifar2.report import series

if TYPE_CHECKING:
    from cifar2.training.loop import Epoch


@contextlib.contextmanager
def reported(
    history: Path, epochs: int, done: Sequence[Epoch]
) -> Iterator[Callable[[Epoch], None]]:
    """Yield a function that reports an epoch, to be called as each ends.

    Args:
        history: the folder of the series.
        epochs: how many there will be; ten lines or so are printed for them.
        done: those that an earlier process trained. They go into the series, but not on the screen.
    """
    tenth = math.ceil(epochs / 10)
    before, start = len(done), time.monotonic()
    with (
        series.opened(history) as live,
        # disable=None: a bar on a terminal only
        tqdm(total=epochs, initial=before, unit="epoch", disable=None) as bar,
    ):
        for epoch in done:
            series.append(live, epoch)

        def report(epoch: Epoch) -> None:
            series.append(live, epoch)
            bar.set_postfix_str(f"train {epoch.train_accuracy:.4f} val {epoch.val_accuracy:.4f}")
            bar.update()
            if bar.disable and (epoch.epoch in (1, epochs) or epoch.epoch % tenth == 0):
                each = (time.monotonic() - start) / (epoch.epoch - before)
                print(_line(epoch, epochs, each * (epochs - epoch.epoch)), file=sys.stderr)

        yield report


def _line(epoch: Epoch, epochs: int, seconds_left: float) -> str:
    return (
        f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}  epoch {epoch.epoch}/{epochs}"
        f"  train {epoch.train_loss:.4f} {epoch.train_accuracy:.4f}"
        f"  val {epoch.val_loss:.4f} {epoch.val_accuracy:.4f}  {seconds_left:.0f} s left"
    )
