"""Data for single stages."""

import shutil
from pathlib import Path

import pytest
import torch

from cifar2.data import dataset


def tiny_data(folder: Path) -> Path:
    """Write 24 random images of two classes, for train and for val."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.arange(24) % 2
    for name in ("train", "val"):
        dataset.save(
            dataset.Dataset(images, labels, ["airplane", "bird"], "cifar10"), folder / f"{name}.pt"
        )
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Give a copy of the finished run."""
    return shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
