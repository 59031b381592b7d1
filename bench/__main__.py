"""Measure this project beside the chapter's own way, in one run; print tables, write JSON.

Both loops take the same data, weights, batch size and threads, and an epoch of the one is followed
by an epoch of the other, so that a noisy machine hits both.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor, nn
from torch.utils.benchmark import Timer
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "stages"))

import compose  # as every stage, it puts this project's library first on the path
import evaluate
import train as train_stage

from bench import chapter
from bench.machine import cpu
from cifar2 import models, openmp, params
from cifar2.data import dataset
from cifar2.inference import device, evaluation
from cifar2.training import loop, series

ROOT = Path(__file__).resolve().parent.parent
BATCH_SIZE, LR, SEED = 64, 0.01, 123
STAGES = ("download", "filter", "train", "evaluate", "plot")

Labelled = tuple[Tensor, Tensor]


class Command(NamedTuple):
    """How a command went: wall time in seconds, peak memory in MiB, what it printed."""

    seconds: float
    mebibytes: float
    output: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--models",
        nargs="+",
        choices=models.list_models(),
        metavar="NAME",
        default=models.list_models(),
        help="which networks; all by default",
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=5,
        metavar="N",
        help="epochs to count of each loop, after one to warm up; other things are timed as often",
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="CPU threads")
    parser.add_argument(
        "--json",
        type=Path,
        default=ROOT / "bench" / "results.json",
        metavar="PATH",
        help="where to write the figures",
    )
    arguments = parser.parse_args()
    device.prepare("cpu", threads=arguments.threads)
    machine = {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print("  ".join(f"{key} {value}" for key, value in machine.items()))
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        project: dict[str, Any] = {"pipeline": pipeline(clone)}
        project["commands"] = commands(clone, Path(scratch) / "one", arguments.epochs)
        train, val = (dataset.load(clone / f"data/cifar2/{name}.pt") for name in ("train", "val"))
        project["loops"] = loops(arguments.models, arguments.epochs, train, val, arguments.threads)
        if {"net", "airbench"} & set(project["loops"]):
            project["variants"] = variants(clone, project["loops"], arguments.threads)
        project["data"] = data(clone, val, arguments.epochs)
        project["stages"] = stages(clone)
        project["growth"] = growth(clone, train, val, arguments.epochs)
    project["neighbours"] = neighbours(arguments.models, arguments.threads)
    arguments.json.write_bytes(
        (json.dumps({"machine": machine} | project, indent=2) + "\n").encode()
    )


# Runs a command and adds a line with its peak memory in KiB. A child of this process, which is
# large, would have this one's peak from its birth.
MEASURE = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


def run(*words: str | Path, cwd: Path) -> Command:
    """Run a command as a user does; its Python is the one that runs this."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, *map(str, words)],
        cwd=cwd,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed:\n{done.stdout}")
    output, kibibytes = done.stdout.rstrip().rpartition("\n")[::2]
    return Command(seconds, int(kibibytes) / 1024, output)


def pipeline(clone: Path) -> dict[str, float]:
    """Time `dvc repro` at the defaults, in a copy of the project, and the training loop in it."""
    section("the default pipeline, with an empty DVC cache")
    outputs = {".venv", "data", "models", "cache", "tmp"}
    top = {str(folder) for each in (ROOT, ROOT / "zoo") for folder in (each, each / ".dvc")}
    shutil.copytree(ROOT, clone, ignore=lambda at, names: outputs & set(names) if at in top else [])
    said = run("dvc", "repro", "--force", cwd=clone)
    lines = re.findall(r"^(\S+ \S+)  epoch (\d+)/\d+", said.output, re.MULTILINE)
    (first, _), (last, epochs) = lines[0], lines[-1]
    start, end = (time.mktime(time.strptime(at, "%Y-%m-%d %H:%M:%S")) for at in (first, last))
    loop = (end - start) * int(epochs) / (int(epochs) - 1)
    result = {"repro": said.seconds, "loop": loop, "rest": said.seconds - loop}
    print("dvc repro {repro:.1f} s = training loop {loop:.1f} s + {rest:.1f} s".format(**result))
    return result


def loops(
    names: list[str], epochs: int, train: dataset.Dataset, val: dataset.Dataset, threads: int
) -> dict[str, Any]:
    section("seconds per epoch: training, validation, logging (median, range)")
    print(
        f"{'model':<11} {'chapter':>22} {'this project':>22} {'ratio':>6} {'images/s':>9}"
        f" {'floor':>6} {'/floor':>6}"
    )
    result = {}
    for name in names:
        theirs, ours = side_by_side(name, epochs, train, val)
        floor = convolutions_and_products(name, len(train.labels), len(val.labels), threads)
        ours_median = statistics.median(ours)
        row = {
            "chapter": theirs,
            "project": ours,
            "ratio": statistics.median(theirs) / ours_median,
            "images_per_second": len(train.labels) / ours_median,
            "floor": floor,
            "to_floor": ours_median / floor,
        }
        result[name] = row
        print(
            f"{name:<11} {spread(theirs):>22} {spread(ours):>22} {row['ratio']:>6.2f}"
            f" {row['images_per_second']:>9.0f} {floor:>6.2f} {row['to_floor']:>6.2f}",
            flush=True,
        )
    return result


def side_by_side(
    name: str, epochs: int, train: dataset.Dataset, val: dataset.Dataset
) -> tuple[list[float], list[float]]:
    """Return the seconds of each counted epoch of the chapter's loop and of ours, in turn."""
    theirs: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        chapters = chapter_epochs(name, train, val)
        projects = project_epochs(name, epochs + 1, train, val, Path(folder))
        for _ in range(epochs + 1):
            theirs.append(seconds(lambda: next(chapters)))
            ours.append(seconds(lambda: next(projects)))
    return theirs[1:], ours[1:]


def chapter_epochs(name: str, train: dataset.Dataset, val: dataset.Dataset) -> Iterator[None]:
    train_pairs, val_pairs = pairs(train), pairs(val)
    torch.manual_seed(SEED)
    model = chapter.get_model(name)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    epoch = 0
    while True:
        epoch += 1
        with contextlib.redirect_stdout(io.StringIO()):
            chapter.train_epoch(epoch, model, optimizer, loader(train_pairs, shuffle=True))
            chapter.validate(model, loader(val_pairs))
        yield


def variants(clone: Path, rows: dict[str, Any], threads: int) -> dict[str, Any]:
    """Time the zoo's fast variant beside 100 epochs of the chapter's net, and its strong one."""
    section("the zoo's variants: the whole train stage, all imported")
    settings = clone / "zoo/settings"
    compose.main(clone / "params.yaml", clone / "zoo/params.yaml", clone / "dvc.yaml", settings)
    result: dict[str, Any] = {}
    if "net" in rows:
        result["fast"] = variant("fast", settings, clone, threads)
        chapter_run = 100 * statistics.median(rows["net"]["chapter"])
        ratio = chapter_run / statistics.median(result["fast"]["seconds"])
        result["fast"] |= {"chapter": chapter_run, "ratio": ratio}
        print(
            f"  100 times the chapter's median epoch of net: {chapter_run:.0f} s, {ratio:.1f} times"
            " as long"
        )
    if "airbench" in rows:
        result["strong"] = variant("strong", settings, clone, threads)
    return result


def variant(name: str, settings: Path, clone: Path, threads: int) -> dict[str, Any]:
    """Train and evaluate a variant with each of its seeds."""
    data = clone / "data/cifar2"
    times, accuracies = [], []
    for run_settings in sorted((settings / "train").glob(f"{name}-*.yaml")):
        to_evaluate = settings / "evaluate" / run_settings.name
        for path in (run_settings, to_evaluate):
            content = yaml.safe_load(path.read_bytes())
            content["train"] |= {"device": "cpu", "threads": threads}
            path.write_text(yaml.safe_dump(content))
        with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stderr(io.StringIO()):
            out = Path(scratch)
            model, accuracy = out / "model.pt", out / "accuracy.json"
            start = time.perf_counter()
            train_stage.main(run_settings, data, model, out / "history", out / "snapshots")
            times.append(time.perf_counter() - start)
            evaluate.main(to_evaluate, data, model, accuracy, out / "predictions.csv")
            accuracies.append(json.loads(accuracy.read_bytes())["val"]["accuracy"])
    print(
        f"{name}: {spread(times)} s, seeds: {len(times)}; mean val accuracy, mirrored as its"
        f" settings say: {statistics.mean(accuracies):.4f}",
        flush=True,
    )
    return {"seconds": times, "val_accuracies": accuracies}


def pairs(images: dataset.Dataset) -> list[tuple[Tensor, int]]:
    """Return what `chapter.cifar2` gives: normalised images, each a tensor of its own."""
    normalized = dataset.normalize(images.images)
    return [(x.contiguous(), y) for x, y in zip(normalized, images.labels.tolist(), strict=True)]


def loader(pairs: list[tuple[Tensor, int]], shuffle: bool = False) -> chapter.Loader:
    return DataLoader(pairs, batch_size=BATCH_SIZE, shuffle=shuffle)  # type: ignore[arg-type]


def project_epochs(
    name: str, epochs: int, train: dataset.Dataset, val: dataset.Dataset, folder: Path
) -> Iterator[None]:
    torch.manual_seed(SEED)
    with series.opened(folder) as live:
        for epoch in fit(models.get_model(name), epochs, labelled(train), labelled(val)):
            series.append(live, epoch)
            yield


def labelled(images: dataset.Dataset) -> Labelled:
    return dataset.normalize(images.images), images.labels


def fit(model: nn.Module, epochs: int, train: Labelled, val: Labelled) -> Iterator[series.Epoch]:
    settings = params.load(ROOT / "params.yaml")
    changes = {"epochs": epochs, "lr": LR, "batch_size": BATCH_SIZE, "seed": SEED}
    settings = settings.model_copy(update={"train": settings.train.model_copy(update=changes)})
    state = loop.start(model, settings, len(train[1]))
    return loop.fit(state, train, val, settings)


def convolutions_and_products(name: str, train: int, val: int, threads: int) -> float:
    """Return the floor of an epoch in seconds: what its convolutions and matrix products take.

    Each distinct layer is timed alone, forward and backward at the training batch, forward at
    the validation batch, in the memory format that is the faster for it. Fixed filters are no layer
    and are left out.
    """
    total = 0.0
    for batch_size, count, backward in (
        (BATCH_SIZE, train, True),
        (evaluation.BATCH_SIZE, val, False),
    ):
        known: dict[tuple[str, torch.Size, bool], float] = {}
        for layer, shape, needs_grad in layer_calls(name, batch_size, backward):
            key = (repr(layer), shape, needs_grad)
            if key not in known:
                known[key] = layer_seconds(layer, shape, backward, needs_grad, threads)
            total += known[key] * count / batch_size
    return total


def layer_calls(
    name: str, batch_size: int, training: bool
) -> list[tuple[nn.Module, torch.Size, bool]]:
    """Return the convolutions and linear layers of a forward pass, with their inputs' shapes, and
    whether these need a gradient.
    """
    calls = []

    def note(layer: nn.Module, inputs: tuple[Tensor], _: Tensor) -> None:
        calls.append((layer, inputs[0].shape, inputs[0].requires_grad))

    model = models.get_model(name).train(training)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    model(torch.zeros(batch_size, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    return calls


def layer_seconds(
    layer: nn.Module, shape: torch.Size, backward: bool, needs_input_grad: bool, threads: int
) -> float:
    formats = [torch.contiguous_format]
    if isinstance(layer, nn.Conv2d):
        formats.append(torch.channels_last)
    times = []
    for memory_format in formats:
        x = torch.randn(shape).contiguous(memory_format=memory_format)
        x.requires_grad_(backward and needs_input_grad)
        output = layer(x)
        wanted = [t for t in (x, *layer.parameters()) if t.requires_grad]
        if backward:
            statement = "torch.autograd.grad(layer(x), wanted, grad)"
        else:
            statement = "with torch.no_grad(): layer(x)"
        names = {"layer": layer, "x": x, "wanted": wanted, "grad": torch.randn_like(output)}
        timer = Timer(statement, globals=names | {"torch": torch}, num_threads=threads)
        times.append(timer.blocked_autorange(min_run_time=0.2).median)
    return min(times)


def data(clone: Path, val: dataset.Dataset, repeats: int) -> dict[str, float]:
    section("data and evaluation")
    result = {}
    if val.source == "cifar10":
        raw = str(clone / "data/raw")
        result["filter_chapter"] = seconds(
            lambda: [chapter.cifar2(raw, train) for train in (True, False)]
        )
    result["filter_stage"] = run(*stage("filter", clone), cwd=clone).seconds
    images = torch.cat([val.images] * 6)
    model = models.get_model("net")
    theirs = loader(pairs(val._replace(images=images, labels=val.labels.repeat(6))))
    normalized = dataset.normalize(images)
    times: dict[str, list[float]] = {"evaluation_chapter": [], "evaluation": []}
    for _ in range(repeats):
        times["evaluation_chapter"].append(seconds(lambda: chapter.validate(model, theirs)))
        times["evaluation"].append(
            seconds(lambda: evaluation.predict(model, normalized, mirror=False))
        )
    result |= {key: statistics.median(value) for key, value in times.items()}
    if "filter_chapter" in result:
        print(
            f"filter: chapter, its images alone {result['filter_chapter']:.2f} s;"
            f" the whole stage {result['filter_stage']:.2f} s"
        )
    print(
        f"net on {len(images)} images: chapter {result['evaluation_chapter']:.2f} s;"
        f" this project {result['evaluation']:.2f} s"
    )
    return result


def stage(name: str, clone: Path) -> list[str]:
    """Return the command that dvc.yaml has for a stage, which is to do its work from the start."""
    shutil.rmtree(clone / ".dvc/tmp/snapshots", ignore_errors=True)
    command: str = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"][name]["cmd"]
    return shlex.split(command)


# Runs a stage's `main` twice in one process: the second time, all is imported.
TWICE = """
import shutil, sys, time
sys.path.insert(0, "stages")
import {stage}
from pathlib import Path
paths = dict(zip([o[2:].replace("-", "_") for o in sys.argv[1::2]], map(Path, sys.argv[2::2])))
{stage}.main(**paths)
shutil.rmtree(paths.get("snapshots", "none"), ignore_errors=True)
start = time.perf_counter()
{stage}.main(**paths)
print("seconds", time.perf_counter() - start)
"""


def stages(clone: Path) -> dict[str, Any]:
    section("stages: wall time, work (the same again, all imported), start-up; training 2 epochs")
    set_epochs(clone, 2)
    result = {}
    for name in STAGES:
        whole = run(*stage(name, clone), cwd=clone)
        _, _, *options = stage(name, clone)
        again = run("python", "-c", TWICE.format(stage=name), *options, cwd=clone)
        work = float(again.output.split()[-1])
        result[name] = {
            "wall": whole.seconds,
            "work": work,
            "start_up": whole.seconds - work,
            "peak_mebibytes": whole.mebibytes,
        }
        print(
            f"{name:<9} {whole.seconds:>6.2f} s = {work:>6.2f} + {whole.seconds - work:>5.2f}"
            f"   peak memory {whole.mebibytes:>5.0f} MiB"
        )
    help_seconds = run("python", "stages/train.py", "--help", cwd=clone).seconds
    print(f"python stages/train.py --help: {help_seconds:.2f} s")
    return result | {"help": help_seconds}


def set_epochs(clone: Path, epochs: int) -> None:
    path = clone / "params.yaml"
    path.write_text(re.sub(r"epochs: \d+", f"epochs: {epochs}", path.read_text()))


def commands(clone: Path, one: Path, repeats: int) -> dict[str, Any]:
    """Time what a user types most, with nothing to do, beside a pipeline of a single line."""
    section("DVC's commands when nothing changed, in turn (median, range)")
    one.mkdir()
    run("git", "init", "--quiet", cwd=one)
    run("dvc", "init", "--quiet", cwd=one)
    text = "stages: {one: {cmd: 'echo {} > metrics.json', metrics: [metrics.json]}}\n"
    (one / "dvc.yaml").write_text(text)
    for folder in (one, clone):
        run("dvc", "repro", cwd=folder)
        run("git", "add", "--all", cwd=folder)
        identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
        run("git", *identity, "commit", "--quiet", "--allow-empty", "--message=run", cwd=folder)
    result: dict[str, Any] = {}
    for words in (["repro"], ["metrics", "diff"], ["exp", "show"]):
        ours, theirs = [], []
        for _ in range(repeats):
            ours.append(run("dvc", *words, cwd=clone).seconds)
            theirs.append(run("dvc", *words, cwd=one).seconds)
        ratio = statistics.median(ours) / statistics.median(theirs)
        name = " ".join(["dvc", *words])
        result[name] = {"project": ours, "one_line": theirs, "ratio": ratio}
        print(f"{name:<16} {spread(ours):>18}   one line {spread(theirs):>18}   ratio {ratio:.2f}")
    return result


# A process that computes without a pause, and another training.
BUSY = [sys.executable, "-c", "while True: pass"]


def neighbours(names: list[str], threads: int) -> dict[str, Any]:
    """Time epochs alone, beside a busy process and beside another training, in turn.

    "before" is what OpenMP does by itself, "after" with the variable that the stages set for it.
    """
    section("an epoch of 20 steps beside other work: before and after, in ms; how many times alone")
    print(f"{'model':<11} {'alone':>17} {'busy process':>22} {'another training':>24} {'cost':>6}")
    environments = {
        "before": {name: "" for name in openmp.SLEEPING},
        "after": openmp.SLEEPING,
    }
    result: dict[str, Any] = {}
    for name in names:
        row: dict[str, dict[str, float]] = {each: {} for each in environments}
        for beside in ("nothing", "busy process", "training"):
            for each, environment in environments.items():
                row[each][beside] = epoch_seconds_beside(beside, name, threads, environment)
        result[name] = row
        before, after = row["before"], row["after"]
        alone = f"{before['nothing'] * 1e3:.0f} {after['nothing'] * 1e3:.0f}"
        cells = [
            f"{before[beside] * 1e3:.0f} {after[beside] * 1e3:.0f}"
            f" ({before[beside] / before['nothing']:.1f} {after[beside] / after['nothing']:.1f})"
            for beside in ("busy process", "training")
        ]
        cost = after["nothing"] / before["nothing"] - 1
        print(f"{name:<11} {alone:>17} {cells[0]:>22} {cells[1]:>24} {cost:>+6.1%}", flush=True)
    return result


def epoch_seconds_beside(
    beside: str, name: str, threads: int, environment: dict[str, str]
) -> float:
    """Return the median of some epochs, of 20 steps each, in a process of its own."""
    env = os.environ | environment
    env = {key: value for key, value in env.items() if value}
    options = ["--images", str(20 * BATCH_SIZE), "--threads", str(threads)]
    epoch = [sys.executable, "-m", "bench.epoch", name, *options, "--epochs"]
    commands = {"nothing": [], "busy process": BUSY, "training": [*epoch, "100000"]}
    with contextlib.ExitStack() as stack:
        if command := commands[beside]:
            other = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE)
            stack.callback(other.wait)
            stack.callback(other.kill)
            if beside == "training":
                assert other.stdout is not None
                other.stdout.readline()  # until it is under way
        done = subprocess.run(
            [*epoch, "6"], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True
        )
    return statistics.median(json.loads(done.stdout.splitlines()[-1])[2:])


def growth(
    clone: Path, train: dataset.Dataset, val: dataset.Dataset, repeats: int
) -> dict[str, Any]:
    section("growth")

    def part(count: int) -> tuple[Labelled, Labelled]:
        images, labels = labelled(train)
        val_images, val_labels = labelled(val)
        return (images[:count], labels[:count]), (
            val_images[: count // 5],
            val_labels[: count // 5],
        )

    def epoch_seconds(name: str, count: int, **config: int) -> float:
        epochs = fit(models.get_model(name, **config), 1 + repeats, *part(count))
        return statistics.median([seconds(lambda: next(epochs)) for _ in range(1 + repeats)][1:])

    result: dict[str, Any] = {"images": {}, "n_blocks": {}, "epochs": {}}
    for count in (2_500, 5_000, 10_000):
        took = epoch_seconds("net", count)
        result["images"][count] = took
        print(
            f"net, {count:>6} images: {took:.3f} s an epoch, {took / count * 1e6:.1f} µs an image"
        )
    for n_blocks in (5, 10, 20):
        took = epoch_seconds("netresdeep", 2_500, n_blocks=n_blocks)
        result["n_blocks"][n_blocks] = took
        print(
            f"netresdeep, 2500 images, {n_blocks:>2} blocks: {took:.2f} s an epoch,"
            f" {took / n_blocks * 1e3:.0f} ms a block"
        )
    for epochs in (2 * repeats, 4 * repeats, 8 * repeats):
        set_epochs(clone, epochs)
        whole = run(*stage("train", clone), cwd=clone)
        result["epochs"][epochs] = {"wall": whole.seconds, "peak_mebibytes": whole.mebibytes}
        print(
            f"train stage, {epochs:>2} epochs: {whole.seconds:.1f} s,"
            f" peak memory {whole.mebibytes:.0f} MiB"
        )
    return result


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spread(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} ({min(times):.2f}-{max(times):.2f})"


def section(title: str) -> None:
    print(f"\n{title}", flush=True)


if __name__ == "__main__":
    main()
