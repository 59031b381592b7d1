"""The drawn stand-in: the same bytes everywhere, and read with care."""

import hashlib
from pathlib import Path
from typing import Any

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
    assert digest.hexdigest() == "ceaefcdbb553b3a0eb98edc40ef35eb7"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"val_images": np.zeros((5, 3, 32, 32), np.uint8)}, "images are not uint8"),
        ({"val_labels": np.array([0, 1, 2, 1])}, "labels are not int64 0 or 1"),
        ({"val_labels": np.array([0, 1, 0, 1], dtype=object)}, "Object arrays cannot be loaded"),
    ],
    ids=["number", "third class", "pickled"],
)
def test_other_content_is_not_the_stand_in(
    change: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / synthetic.FILE
    images, labels = synthetic.draw(2, seed=0)
    good: dict[str, Any] = {"val_images": images, "val_labels": labels}
    np.savez(path, **good)
    assert synthetic.read(path, "val")[1].tolist() == [0, 1, 0, 1]
    np.savez(path, **good | change)
    with pytest.raises(FileError, match=rf"synthetic\.npz: not the stand-in \({reason}"):
        synthetic.read(path, "val")
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(FileError, match=r"synthetic\.npz: not the stand-in \([^\n]*$"):
        synthetic.read(path, "val")
