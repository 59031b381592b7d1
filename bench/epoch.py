"""Time epochs of a network on random images, in a process of its own; print their seconds.

OpenMP reads its variables once, when torch is imported, so each value takes a process.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from cifar2 import models, params
from cifar2.data import dataset
from cifar2.inference import device
from cifar2.training import loop

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    device.prepare("cpu", threads=arguments.threads)
    settings = params.load(ROOT / "params.yaml")
    run = settings.train.model_copy(update={"epochs": arguments.epochs})
    settings = settings.model_copy(update={"train": run})
    images = torch.randint(256, (arguments.images, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(arguments.images) % 2
    state = loop.start(models.get_model(arguments.name), settings, arguments.images)
    data = (dataset.normalize(images), labels)
    seconds = []
    start = time.perf_counter()
    for _ in loop.fit(state, data, (data[0][:100], labels[:100]), settings):
        now = time.perf_counter()
        seconds.append(now - start)
        start = now
        if len(seconds) == 1:
            print("under way", flush=True)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
