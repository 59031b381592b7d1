"""CIFAR-10: which files it consists of, and how they are read.

Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images* (2009).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cifar2.errors import FileError, MissingFile

FOLDER = "cifar-10-batches-py"

# The MD5s that the authors publish (torchvision's CIFAR10 has them too).
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}


def read(root: Path, train: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]]:
    """Read `root`/cifar-10-batches-py through torchvision, once each file is verified.

    Returns:
        The images, uint8 [N, 3, 32, 32] in CIFAR-10's order; their labels, int64 [N]; and the ten
        names that the labels stand for.

    Raises:
        MissingFile: if a file is not there.
        FileError: if a file is not the official one.
    """
    from torchvision.datasets import CIFAR10  # here, because it takes seconds

    for name, expected in MD5.items():  # torchvision does not say which file is wrong
        path = root / FOLDER / name
        if not path.exists():
            raise MissingFile(path)
        if hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != expected:
            raise FileError(path, "not the official file")
    data = CIFAR10(str(root), train=train)
    return data.data.transpose(0, 3, 1, 2), np.array(data.targets), data.classes
