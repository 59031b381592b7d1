"""The drawn stand-in: the same bytes everywhere, and read with care."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from cifar2.data import synthetic
from cifar2.errors import FileError


def test_stand_in_has_the_same_bytes_on_every_machine(tmp_path: Path) -> None:
    path = tmp_path / "raw" / synthetic.FILE
    synthetic.write(path)
    digest = hashlib.md5()
    for name, count in (("train", 10_000), ("val", 2_000)):
        images, labels = synthetic.read(path, name)
        assert images.shape == (count, 3, 32, 32) and images.dtype == np.uint8
        assert labels.dtype == np.int64
        assert np.bincount(labels).tolist() == [count // 2, count // 2]
        digest.update(images.tobytes() + labels.tobytes())
    assert digest.hexdigest() == "917d9267fdfe299b9d8f887c61212245"


def test_pickled_content_is_not_the_stand_in(tmp_path: Path) -> None:
    path = tmp_path / synthetic.FILE
    images, labels = synthetic.draw(2, seed=0)
    np.savez(path, val_images=images, val_labels=labels.astype(object))
    with pytest.raises(FileError, match=r"not the stand-in \(Object arrays cannot be loaded"):
        synthetic.read(path, "val")
