"""The golden curves: the losses of every network on a few fixed images.

A change in the numbers does not pass unseen. After a change that is meant to alter them, write them
anew with `python -m tests.golden`.
"""

import contextlib
import json
import platform
from pathlib import Path

import torch

from cifar2.data import dataset
from cifar2.models import list_models
from cifar2.training import loop
from tests.unit.settings import build, plain

FILE = Path(__file__).parent / "golden.json"
PARTS = {"steps": (16, 5), "epochs": (200, 2)}  # numbers of images and of epochs


def cpu() -> str:
    """Return the CPU's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, str]:
    """Return what decides the order in which float32 sums are taken."""
    capability = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "cpu": cpu(), "capability": capability}


def losses(name: str, part: str) -> list[list[float]]:
    """Train a network, and return its train and val loss after each epoch.

    The images are random, with a dark square on those of the second class.
    """
    images, epochs = PARTS[part]
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(images) % 2
    pixels[:, 0, 8:16, 8:16] //= 1 + labels.to(torch.uint8).view(-1, 1, 1)
    data = dataset.normalize(pixels), labels
    run = plain(
        train__epochs=epochs, train__lr=0.001, train__batch_size=16, regularization__l2=0.001
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    state = loop.start(build(name), run, images)
    curve = [[epoch.train_loss, epoch.val_loss] for epoch in loop.fit(state, data, data, run)]
    torch.set_num_threads(threads)
    return curve


def main() -> None:
    curves = {name: {part: losses(name, part) for part in PARTS} for name in list_models()}
    FILE.write_text(json.dumps({"machine": machine(), "losses": curves}, indent=2) + "\n")


if __name__ == "__main__":
    main()
