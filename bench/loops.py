"""What is measured: both ways to train, and whether a GPU gives the same bytes.

Everything runs as a process of its own, as users start it.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen, run
from typing import IO, Any

import yaml

from bench import ROOT
from cifar2 import params

SCRATCH = tempfile.TemporaryDirectory()
PRECISIONS = ("float32", "tf32", "bfloat16")


def stage(name: str, **train: Any) -> list[str]:
    """Return the words after `python` that train a network by the stage `train`, in a new folder.

    The last one is the file of the network.

    Args:
        train: settings of this group; the others are those of params.yaml.
    """
    settings = params.load(ROOT / "params.yaml").model_dump(mode="json")
    settings["model"]["name"], settings["train"] = name, settings["train"] | train
    folder = Path(tempfile.mkdtemp(dir=SCRATCH.name))
    (folder / "settings").write_text(yaml.safe_dump(settings))
    names = ("settings", "history", "snapshots", "model")
    places = [word for each in names for word in (f"--{each}", f"{folder / each}")]
    return ["stages", "train", "--data", "data/cifar2", *places]


@contextlib.contextmanager
def started(words: list[str]) -> Iterator[IO[str]]:
    """Run Python, and stop it at the end of the context; yield what it prints."""
    command = [sys.executable, *words]
    with Popen(command, cwd=ROOT, stdout=PIPE, stderr=STDOUT, text=True) as process:
        assert process.stdout
        yield process.stdout
        process.terminate()


def epochs_of(lines: IO[str]) -> Iterator[float]:
    """Yield the time of each line about an epoch."""
    return (time.perf_counter() for line in lines if "epoch" in line)


def seconds(words: list[str], count: int, beside: list[str] | None = None) -> float:
    """Return the mean time of an epoch, of `count` after the first, beside another process."""
    with contextlib.ExitStack() as stack:
        if beside:
            next(epochs_of(stack.enter_context(started(beside))))  # it is under way
        times = [*epochs_of(stack.enter_context(started(words)))]
    return (times[-1] - times[0]) / count


def epochs(names: list[str], device: str, count: int) -> None:
    """Time epochs of both ways to train, and of ours beside another training of its kind.

    They run in turn, so that a noisy machine hits all three.
    """
    print("\nseconds per epoch, median and range of three; at the end, in times of the project's")
    titles = f"{'chapter':>22}{'project':>22}{'beside a training':>22}"
    print(f"{'network':<11}{titles}{'chapter':>9}{'beside':>8}")
    for name in names:
        rounds = []
        for _ in range(3):
            chapter = ["-m", "bench.chapter", name, device, str(1 + count)]
            ours = [stage(name, device=device, epochs=n) for n in (1 + count, 1 + count, 100_000)]
            ways = (chapter, None), (ours[0], None), (ours[1], ours[2])
            rounds.append([seconds(words, count, other) for words, other in ways])
        columns = [sorted(each) for each in zip(*rounds, strict=True)]
        cells = "".join(f" {each[1]:7.3f} ({each[0]:.3f}-{each[2]:.3f})" for each in columns)
        ratios = [columns[i][1] / columns[1][1] for i in (0, 2)]
        print(f"{name:<11}{cells}  {ratios[0]:7.2f}  {ratios[1]:6.2f}", flush=True)


def same_bytes(names: list[str], device: str) -> None:
    """Check that a network gets the same weights twice, and after a stop."""
    print("\nsame bytes twice, and after a stop")
    print("network    " + "".join(f"{each:>9}" for each in (*PRECISIONS, "resumed")))
    for name in names:
        weights = []
        for precision in PRECISIONS:
            both = [stage(name, device=device, epochs=4, precision=precision) for _ in range(2)]
            weights.append([weights_of(words) for words in both])
        stopped = stage(name, device=device, epochs=4)
        with started(stopped) as lines:
            next(epochs_of(lines))
        weights.append([weights[0][0], weights_of(stopped)])
        cells = "".join(f"{'same' if one == two else 'DIFFER':>9}" for one, two in weights)
        print(f"{name:<11}{cells}", flush=True)


def weights_of(words: list[str]) -> bytes:
    """Train to the end; return the content of the network's file."""
    run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
    return Path(words[-1]).read_bytes()
