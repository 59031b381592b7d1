"""What is measured: the chapter's loop, this project's, epochs beside other work, and bytes."""

import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from bench import chapter
from bench.machine import ROOT
from cifar2 import models, params
from cifar2.data import dataset
from cifar2.inference import device
from cifar2.report import series
from cifar2.training import loop

Labelled = tuple[Tensor, Tensor]
PRECISIONS = ("float32", "tf32", "bfloat16")
# What runs beside an epoch. Each prints a line when it is under way.
OTHERS = [
    "print(flush=True)",
    "print(flush=True)\nwhile True: pass",
    "from bench import loops\nfor _ in loops.short_epochs({!r}): print(flush=True)",
]


def load(folder: Path, place: str) -> list[Labelled]:
    """Return the normalised images and the labels of train and of val."""
    parts = [dataset.load(folder / f"{name}.pt") for name in ("train", "val")]
    return [(dataset.normalize(part.images.to(place)), part.labels.to(place)) for part in parts]


def settings(name: str, **train: Any) -> params.Params:
    """Return the default settings for a network, with changes to the group `train`."""
    run = params.load(ROOT / "params.yaml")
    model = run.model.model_copy(update={"name": name})
    return run.model_copy(update={"model": model, "train": run.train.model_copy(update=train)})


def started(run: params.Params, train: Labelled) -> loop.State:
    tf32 = run.train.precision == "tf32"
    device.prepare(str(train[0].device), threads=run.train.threads, tf32=tf32)
    torch.manual_seed(run.train.seed)
    model = models.get_model(run.model.name, 2, **run.model.config()).to(train[0].device)
    return loop.start(model, run, len(train[1]))


def project_epochs(run: params.Params, train: Labelled, val: Labelled) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder, series.opened(Path(folder)) as live:
        for epoch in loop.fit(started(run, train), train, val, run):
            series.append(live, epoch)
            yield


def chapter_epochs(run: params.Params, train: Labelled, val: Labelled) -> Iterator[None]:
    """The chapter's loop (section 8.4.3): images on the host, a batch at a time to the device."""
    place = train[0].device
    torch.manual_seed(run.train.seed)
    model = chapter.get_model(run.model.name).to(place)
    optimizer = torch.optim.SGD(model.parameters(), lr=run.train.lr)
    loaders = []
    for (images, labels), shuffle in ((train, True), (val, False)):
        pairs: Any = [*zip(images.cpu().contiguous(), labels.tolist(), strict=True)]
        loaders.append(DataLoader(pairs, run.train.batch_size, shuffle))
    for _ in range(run.train.epochs):
        moved = [((x.to(place), y.to(place)) for x, y in loader) for loader in loaders]
        chapter.train_epoch(model, optimizer, moved[0])
        chapter.validate(model, moved[1])
        yield


def seconds(epochs: Iterator[object]) -> float:
    """Return how long the next epoch takes; at its end, either loop has waited for a GPU."""
    start = time.perf_counter()
    next(epochs)
    return time.perf_counter() - start


def beside_the_chapter(names: list[str], count: int, train: Labelled, val: Labelled) -> None:
    """Time epochs of both loops, in turn, so that a noisy machine hits both."""
    print("\nseconds per epoch: training, validation, logging (median, range)")
    print(f"{'network':<11} {'chapter':>22} {'project':>22} {'ratio':>6}")
    for name in names:
        run = settings(name, epochs=1 + count)
        both = chapter_epochs(run, train, val), project_epochs(run, train, val)
        times = [[seconds(epochs) for epochs in both] for _ in range(1 + count)]
        loops = [sorted(each) for each in zip(*times[1:], strict=True)]
        theirs, ours = (statistics.median(each) for each in loops)
        ranges = [f"({each[0]:.3f}-{each[-1]:.3f})" for each in loops]
        print(f"{name:<11} {theirs:8.3f} {ranges[0]} {ours:8.3f} {ranges[1]} {theirs / ours:6.2f}")


def beside_other_work(names: list[str], count: int) -> None:
    """Time short epochs alone, beside a busy process, and beside another training."""
    print("\nan epoch of 20 steps beside other work, in ms, and how many times alone")
    print(f"{'network':<11} {'alone':>6} {'busy process':>14} {'another training':>17}")
    for name in names:
        epochs = short_epochs(name)
        times = []
        for program in OTHERS:
            command = [sys.executable, "-c", program.format(name)]
            with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as other:
                assert other.stdout and other.stdout.readline()
                times.append(statistics.median([seconds(epochs) for _ in range(1 + count)][1:]))
                other.kill()
        cells = [f"{1e3 * each:.0f} ({each / times[0]:.1f})" for each in times[1:]]
        print(f"{name:<11} {1e3 * times[0]:6.0f} {cells[0]:>14} {cells[1]:>17}")


def short_epochs(name: str) -> Iterator[None]:
    """Train on random images, for 20 steps an epoch."""
    run = settings(name, epochs=100_000)
    images = torch.randint(256, (20 * run.train.batch_size, 3, 32, 32), dtype=torch.uint8)
    train = dataset.normalize(images), torch.arange(len(images)) % 2
    return project_epochs(run, train, (train[0][:100], train[1][:100]))


def on_a_gpu(names: list[str], train: Labelled, val: Labelled) -> None:
    print("\nsame bytes twice, and after a stop")
    print("network      float32     tf32 bfloat16  resumed")
    for name in names:
        runs = [settings(name, epochs=2, precision=each) for each in PRECISIONS]
        same = [trained(run, train, val) == trained(run, train, val) for run in runs]
        same.append(trained(runs[0], train, val) == trained(runs[0], train, val, stop=True))
        print(f"{name:<11}", *(f"{'same' if each else 'DIFFER':>8}" for each in same))


def trained(run: params.Params, train: Labelled, val: Labelled, stop: bool = False) -> bytes:
    """Return the bytes of a network's weights; stopped after its first epoch, and resumed."""
    state = started(run, train)
    if stop:
        next(loop.fit(state, train, val, run))
        saved = io.BytesIO()
        torch.save(state.state_dict(), saved)
        saved.seek(0)
        state = started(run, train)
        torch.manual_seed(0)  # whatever another process did
        state.load_state_dict(torch.load(saved, map_location="cpu", weights_only=True))
    list(loop.fit(state, train, val, run))
    weights = state.model.state_dict().values()
    return b"".join(each.cpu().contiguous().numpy().tobytes() for each in weights)
