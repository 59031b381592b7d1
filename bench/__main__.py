"""Measure on the CPU what a user asks about speed: python -m bench."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import yaml

from bench.machine import ROOT, cpu
from cifar2 import environment, models

# The zoo's stages as `python -m zoo train` names them, with commands that take no time.
ZOO = """\
stages:
  compose:
    cmd: mkdir settings && cd settings && for n in $(seq COUNT); do echo $n > constant-$n.yaml; done
    always_changed: true
    outs: [settings: {cache: false}]
  train_quick:
    matrix: {variant: "${quick.variants}", seed: "${quick.seeds}"}
    cmd: mkdir -p models/${key} && cp settings/${key}.yaml models/${key}/model.pt
    deps: ["settings/${key}.yaml"]
    outs: ["models/${key}/model.pt"]
  compare: {cmd: echo > results.csv, outs: [results.csv]}
  compare_trials: {cmd: echo > trials.csv, outs: [trials.csv]}
"""


def main() -> None:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    names = models.list_models()
    parser.add_argument("--models", nargs="*", choices=names, default=names, help="all by default")
    parser.add_argument("--epochs", type=int, default=5, help="epochs to count, after one")
    parser.add_argument("--runs", type=int, nargs="*", default=[100], help="of the zoo; 100")
    arguments = parser.parse_args()
    environment.prepare()  # as the stages do, before torch is imported
    from bench import loops

    print(f"{cpu()}, {os.cpu_count()} cores, torch {version('torch')}")
    with tempfile.TemporaryDirectory() as folder:
        pipeline(Path(folder))
        train, val = loops.load(Path(folder) / "data/cifar2", "cpu")
    loops.beside_the_chapter(arguments.models, arguments.epochs, train, val)
    loops.beside_other_work(arguments.models, arguments.epochs)
    if not (ROOT / "zoo").exists():
        return
    loops.train_variants(arguments.models, train, val)
    print("\nmany runs of the zoo, each of no time\n  runs    first     memory    again")
    for count in arguments.runs:
        with tempfile.TemporaryDirectory() as folder:
            write_zoo(Path(folder), count)
            first, memory = train_zoo(Path(folder))
            again, _ = train_zoo(Path(folder))
        print(f"{count:>6} {first:6.1f} s {memory:6.0f} MiB {again:6.1f} s")


def copy(folder: Path, *names: str) -> None:
    """Copy parts of this project; to DVC, the copy is without Git and has run nothing."""
    (folder / ".dvc").mkdir(parents=True)
    subprocess.run(["cp", "-r", *names, folder], cwd=ROOT, check=True)
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")


def pipeline(folder: Path) -> None:
    """Time `dvc repro` at the defaults, from an empty cache."""
    copy(folder, "src", "stages", "weights", "dvc.yaml", "params.yaml")
    start, repro, pipe = time.perf_counter(), "dvc repro 2>&1", subprocess.PIPE
    with subprocess.Popen(repro, shell=True, cwd=folder, stdout=pipe, text=True) as process:
        lines = [(line, time.perf_counter()) for line in process.stdout or ()]
    if process.returncode:
        sys.exit("".join(line for line, _ in lines))
    ends = [(int(n[1]), at) for line, at in lines if (n := re.search(r"  epoch (\d+)/", line))]
    (_, first), (epochs, last) = ends[0], ends[-1]  # nothing says when the first one began
    loop = (last - first) * epochs / max(epochs - 1, 1)
    print(f"\ndvc repro {time.perf_counter() - start:.1f} s, its training loop {loop:.1f} s")


def write_zoo(folder: Path, count: int) -> None:
    """Write a copy of this project whose zoo has so many runs."""
    copy(folder, "src", "stages", "params.yaml")
    (folder / "dvc.yaml").write_text("stages: {filter: {cmd: echo}}\n")
    zoo = folder / "zoo"
    copy(zoo, *(f"zoo/{path.name}" for path in (ROOT / "zoo").glob("*.py")))
    (zoo / "dvc.yaml").write_text(ZOO.replace("COUNT", str(count)))
    content = yaml.safe_load((ROOT / "zoo/params.yaml").read_bytes()) | {"asked_about_others": []}
    for group in ("quick", "middle", "slow", "ten_classes", "trials"):
        content[group] |= {"seeds": [], "variants": {}}
    content["quick"] = {"seeds": list(range(1, count + 1)), "variants": {"constant": {}}}
    (zoo / "params.yaml").write_text(yaml.safe_dump(content))


def train_zoo(folder: Path) -> tuple[float, float]:
    """Bring the zoo up to date; return the seconds it took and the peak memory in MiB."""
    command = [sys.executable, "-m", "zoo", "train", "--jobs", "2"]
    start, peak = time.perf_counter(), 0
    with open(folder / "log", "wb") as log:
        process = psutil.Popen(command, cwd=folder, stdout=log, stderr=log)
        while process.poll() is None:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.05)
    if process.returncode:
        sys.exit((folder / "log").read_text())
    return time.perf_counter() - start, peak / 2**20


if __name__ == "__main__":
    main()
