"""Measure what a user asks about speed: python -m bench."""

import argparse
import os
import subprocess
from importlib.metadata import version

from bench.machine import ROOT, cpu
from cifar2 import environment, models


def main() -> None:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    names = models.list_models()
    parser.add_argument("--models", nargs="*", choices=names, default=names, help="all by default")
    parser.add_argument("--epochs", type=int, default=5, help="epochs to count, after one")
    parser.add_argument("--gpu", action="store_true", help="check CUDA as well, and time it")
    arguments = parser.parse_args()
    environment.prepare()  # as the stages do, before torch is imported
    from bench import loops

    print(f"{cpu()}, {os.cpu_count()} cores, torch {version('torch')}", flush=True)
    subprocess.run(["dvc", "repro", "--quiet", "filter"], cwd=ROOT, check=True)
    train, val = loops.load(ROOT / "data/cifar2", "cuda" if arguments.gpu else "cpu")
    if arguments.gpu:
        loops.on_a_gpu(arguments.models, train, val)
    loops.beside_the_chapter(arguments.models, arguments.epochs, train, val)
    if not arguments.gpu:
        loops.beside_other_work(arguments.models, arguments.epochs)


if __name__ == "__main__":
    main()
