"""Measure what a user asks about speed: python -m bench."""

import argparse
import os
import subprocess

import torch

from bench import ROOT, loops
from cifar2 import models


def main() -> None:
    parser = argparse.ArgumentParser("bench", description=__doc__)
    names = models.list_models()
    parser.add_argument("--models", nargs="*", choices=names, default=names, help="all by default")
    parser.add_argument("--epochs", type=int, default=5, help="epochs to count, after one")
    parser.add_argument("--gpu", action="store_true", help="check CUDA, and time it")
    arguments = parser.parse_args()
    if arguments.epochs < 1 or (arguments.gpu and not torch.cuda.is_available()):
        parser.error("--epochs must be 1 or more, and --gpu needs an NVIDIA GPU")
    kernels = torch.backends.cpu.get_cpu_capability()
    print(f"{os.cpu_count()} cores, {kernels} kernels, torch {torch.__version__}", flush=True)
    subprocess.run(["dvc", "repro", "--quiet", "filter"], cwd=ROOT, check=True)
    device = "cuda" if arguments.gpu else "cpu"
    if arguments.gpu:
        loops.same_bytes(arguments.models, device)
    loops.epochs(arguments.models, device, arguments.epochs)


if __name__ == "__main__":
    main()
