"""Data for single stages, and how to run one in this process."""

import importlib
import shutil
from pathlib import Path

import pytest
import torch

from cifar2.data import dataset
from tests.conftest import words


def tiny_data(folder: Path) -> Path:
    """Write 24 random images of two classes, for train and for val."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 3, 32, 32), dtype=torch.uint8, generator=generator)
    data = dataset.Dataset(images, torch.arange(24) % 2, ["airplane", "bird"], "cifar10")
    for name in ("train", "val"):
        dataset.save(data, folder / f"{name}.pt")
    return folder


def main(stage: str, folder: Path) -> None:
    """Run a stage in this process, with the paths of dvc.yaml in a folder."""
    options = words(stage)[3:]
    names = [option.removeprefix("--").replace("-", "_") for option in options[::2]]
    paths = {name: folder / path for name, path in zip(names, options[1::2], strict=True)}
    importlib.import_module(stage).main(**paths)


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Give a copy of the finished run."""
    return shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
