"""The golden curves: what every network's loss does on a small fixed set, so that no change in the
numbers passes unseen.

After a change that is meant to alter them: python -m tests.golden
"""

import json
from pathlib import Path
from typing import Any

import torch

from bench.machine import cpu
from cifar2 import dataset, training
from cifar2.models import get_model, list_models

FILE = Path(__file__).parent / "golden.json"


def machine() -> dict[str, str]:
    """Return what decides in which order float32 sums are taken."""
    capability = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "cpu": cpu(), "capability": capability}


def curves(name: str) -> dict[str, Any]:
    """Return the train and val losses of five steps, and of two epochs, of a network."""
    return {
        "steps": _losses(name, images=16, epochs=5),
        "epochs": _losses(name, images=200, epochs=2),
    }


def _losses(name: str, images: int, epochs: int) -> list[list[float]]:
    """Train on `images` drawn ones, 16 a step, with a mark by which their classes differ."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(images) % 2
    pixels[:, 0, 8:16, 8:16] //= 1 + labels.to(torch.uint8).view(-1, 1, 1)
    data = dataset.normalize(pixels), labels
    torch.manual_seed(0)
    state = training.start(get_model(name), lr=0.001, seed=0)
    fit = training.fit(state, data, data, epochs=epochs, batch_size=16, l2=0.001)
    losses = [[epoch.train_loss, epoch.val_loss] for epoch in fit]
    torch.set_num_threads(threads)
    return losses


def main() -> None:
    golden = {"machine": machine(), "losses": {name: curves(name) for name in list_models()}}
    FILE.write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
