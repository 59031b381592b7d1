"""Check this project on a GPU, and time it beside the chapter's loop there: python -m bench.gpu.

For every network: whether two trainings give the same bytes, in each precision; whether a training
that was stopped ends with the bytes of one that was not; how often an epoch copies between the
GPU and the host; the seconds per epoch of both loops. Then some variants of the zoo, whole.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from bench import chapter
from bench.machine import cpu
from cifar2 import models, params, variants
from cifar2.data import dataset
from cifar2.inference import device, evaluation
from cifar2.params import Params
from cifar2.training import loop

ROOT = Path(__file__).resolve().parent.parent
Labelled = tuple[Tensor, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", help="the device to check (default: cuda)")
    parser.add_argument("--data", type=Path, default=ROOT / "data/cifar2", help="what filter made")
    parser.add_argument("--images", type=int, default=10_000, help="how many to train on")
    parser.add_argument("--epochs", type=int, default=3, help="epochs to count, after one")
    parser.add_argument("--models", nargs="+", default=models.list_models(), help="all by default")
    arguments = parser.parse_args()
    place = device.prepare(arguments.device, threads=2)
    chip = torch.cuda.get_device_name(place) if place.type == "cuda" else cpu()
    print(f"{chip}, torch {torch.__version__}, {arguments.images:,} images")
    train, val = (
        labelled(arguments.data / f"{part}.pt", arguments.images, place)
        for part in ("train", "val")
    )

    check(arguments.models, arguments.device, train, val)
    compare(arguments.models, arguments.epochs, train, val)
    whole_variants(arguments.models, train, val)


def check(names: list[str], place: str, train: Labelled, val: Labelled) -> None:
    print("\nsame bytes twice, and after a stop; copies between host and device in an epoch")
    heads = ("float32", "tf32", "bfloat16", "resumed", "copies")
    print(f"{'network':<11} {' '.join(f'{head:>8}' for head in heads)}")
    for name in names:
        cells = []
        for precision in ("float32", "tf32", "bfloat16"):
            device.prepare(place, threads=2, tf32=precision == "tf32")
            run = settings(name, epochs=2, precision=precision)
            cells.append(said(trained(run, train, val) == trained(run, train, val)))
        device.prepare(place, threads=2)
        run = settings(name, epochs=2)
        cells.append(said(trained(run, train, val) == trained(run, train, val, stop=True)))
        cells.append(str(copies(settings(name, epochs=1), train, val)))
        print(f"{name:<11} {' '.join(f'{cell:>8}' for cell in cells)}", flush=True)


def compare(names: list[str], count: int, train: Labelled, val: Labelled) -> None:
    print("\nseconds per epoch (median)")
    print(f"{'network':<11} {'chapter':>8} {'project':>8} {'ratio':>6} {'bfloat16':>9}")
    for name in names:
        theirs = seconds(chapter_epochs(name, train, val), count)
        ours = seconds(epochs(settings(name), train, val), count)
        half = seconds(epochs(settings(name, precision="bfloat16"), train, val), count)
        print(
            f"{name:<11} {theirs:>8.3f} {ours:>8.3f} {theirs / ours:>6.1f} {half:>9.3f}", flush=True
        )


def whole_variants(names: list[str], train: Labelled, val: Labelled) -> None:
    print("\nthe zoo's variants, whole: seconds of the loop, val accuracy")
    zoo = variants.load(ROOT / "zoo/params.yaml")
    for each in variants.runs(zoo, params.load(ROOT / "params.yaml"), "zoo/params.yaml"):
        variant, _, seed = each.name.rpartition("-")
        chosen = variant == "fast" or (variant in ("baseline", "strong") and seed == "1")
        if chosen and each.settings.model.name in names:
            state = started(each.settings, train)
            start = time.perf_counter()
            list(loop.fit(state, train, val, each.settings))
            took = time.perf_counter() - start
            mirror = each.settings.evaluation.mirror
            logits = evaluation.predict(state.model, val[0], mirror=mirror)
            accuracy = evaluation.accuracy(logits, val[1])
            print(f"{each.name:<11} {took:>7.1f} s  {accuracy:.4f}", flush=True)


def labelled(path: Path, count: int, place: torch.device) -> Labelled:
    images, labels, _, _ = dataset.load(path)
    return dataset.normalize(images[:count].to(place)), labels[:count].to(place)


def settings(name: str, epochs: int = 1000, precision: str = "float32") -> Params:
    """Return the defaults, for a network."""
    run = params.load(ROOT / "params.yaml")
    changes = {"epochs": epochs, "precision": precision}
    return run.model_copy(
        update={
            "model": run.model.model_copy(update={"name": name}),
            "train": run.train.model_copy(update=changes),
        }
    )


def started(run: Params, train: Labelled) -> loop.State:
    torch.manual_seed(run.train.seed)
    model = models.get_model(run.model.name, **run.model.config()).to(train[0].device)
    return loop.start(model, run, len(train[1]))


def trained(run: Params, train: Labelled, val: Labelled, stop: bool = False) -> bytes:
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
    return b"".join(
        value.cpu().contiguous().numpy().tobytes() for value in state.model.state_dict().values()
    )


def copies(run: Params, train: Labelled, val: Labelled) -> int:
    """Return how often an epoch copies between host and device."""
    state = started(run, train)
    activities = [torch.profiler.ProfilerActivity.CPU]
    if train[0].is_cuda:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        list(loop.fit(state, train, val, run))
    kinds = ("Memcpy HtoD", "Memcpy DtoH")
    return sum(each.count for each in profile.key_averages() if each.key.startswith(kinds))


def epochs(run: Params, train: Labelled, val: Labelled) -> Iterator[object]:
    return loop.fit(started(run, train), train, val, run)


def chapter_epochs(name: str, train: Labelled, val: Labelled) -> Iterator[None]:
    """The chapter's loop (section 8.4.3): images on the host, a batch at a time to the device."""
    place = train[0].device
    torch.manual_seed(123)
    model = chapter.get_model(name).to(place)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loaders = []
    for (images, labels), shuffle in ((train, True), (val, False)):
        pairs: Any = [*zip(images.cpu().contiguous(), labels.tolist(), strict=True)]
        loaders.append(torch.utils.data.DataLoader(pairs, batch_size=64, shuffle=shuffle))
    while True:
        moved: Any = [((x.to(place), y.to(place)) for x, y in loader) for loader in loaders]
        chapter.train_epoch(2, model, optimizer, moved[0])
        chapter.validate(model, moved[1])
        yield


def seconds(epoch: Iterator[object], count: int) -> float:
    """Return the median of `count` epochs, after one that is not counted."""
    times = []
    for _ in range(count + 1):
        start = time.perf_counter()
        next(epoch)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def said(same: bool) -> str:
    return "same" if same else "DIFFER"


if __name__ == "__main__":
    main()
