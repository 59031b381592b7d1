"""Measure on the CPU what a user asks about speed: python -m bench."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from bench.machine import ROOT, cpu
from cifar2 import environment, models


def main() -> None:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    names = models.list_models()
    parser.add_argument("--models", nargs="*", choices=names, default=names, help="all by default")
    parser.add_argument("--epochs", type=int, default=5, help="epochs to count, after one")
    arguments = parser.parse_args()
    environment.prepare()  # as the stages do, before torch is imported
    from bench import loops

    print(f"{cpu()}, {os.cpu_count()} cores, torch {version('torch')}")
    with tempfile.TemporaryDirectory() as folder:
        pipeline(Path(folder))
        train, val = loops.load(Path(folder) / "data/cifar2", "cpu")
    loops.beside_the_chapter(arguments.models, arguments.epochs, train, val)
    loops.beside_other_work(arguments.models, arguments.epochs)


def pipeline(folder: Path) -> None:
    """Time `dvc repro` at the defaults, in a copy without Git that has run nothing."""
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    names = ("src", "stages", "weights", "dvc.yaml", "params.yaml")
    subprocess.run(["cp", "-r", *names, folder], cwd=ROOT, check=True)
    start = time.perf_counter()
    done = subprocess.run(["dvc", "repro"], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    print(f"\ndvc repro {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
