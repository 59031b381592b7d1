"""CIFAR-10 as it is published: its checksums, and reading it."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from cifar2.data import cifar10, dataset, download
from cifar2.errors import FileError, MissingFile

CIFAR10_URL = os.environ.get("CIFAR10_URL")
needs_cifar10 = pytest.mark.skipif(not CIFAR10_URL, reason="CIFAR10_URL is not set")
each_half = pytest.mark.parametrize("train", [True, False], ids=["train", "val"])


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "raw"
    download.fetch(path, CIFAR10_URL)
    return path


def test_md5s_are_those_that_torchvision_has() -> None:
    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    assert dict([*CIFAR10.train_list, *CIFAR10.test_list, meta]) == cifar10.MD5
    assert CIFAR10.base_folder == cifar10.FOLDER


class MakesAFolder:
    """An object whose unpickling makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@each_half
def test_other_files_are_never_unpickled_and_a_missing_one_is_named(
    train: bool, tmp_path: Path
) -> None:
    (tmp_path / cifar10.FOLDER).mkdir()
    for name in cifar10.MD5:
        hostile = pickle.dumps(MakesAFolder(tmp_path / "was unpickled"))
        (tmp_path / cifar10.FOLDER / name).write_bytes(hostile)
    with pytest.raises(FileError, match=f"{cifar10.FOLDER}/data_batch_1: not the official file$"):
        cifar10.read(tmp_path, train)
    assert not (tmp_path / "was unpickled").exists()
    (tmp_path / cifar10.FOLDER / "data_batch_1").unlink()
    with pytest.raises(MissingFile, match=f"{cifar10.FOLDER}/data_batch_1: no such file$"):
        cifar10.read(tmp_path, train)


@needs_cifar10
@each_half
def test_chosen_classes_are_those_of_the_chapters_loop(train: bool, raw: Path) -> None:
    """The chapter loops over torchvision's pairs of an image and its label."""
    theirs = CIFAR10(str(raw), train=train)
    images, labels, names = cifar10.read(raw, train)
    assert images.dtype == np.uint8 and labels.dtype == np.int64 and names == theirs.classes
    whole = dataset.Dataset(torch.from_numpy(images), torch.from_numpy(labels), names, "cifar10")
    for classes in (["airplane", "bird"], ["truck", "cat", "airplane"], theirs.classes):
        ours = dataset.select(whole, classes)
        label_map = {theirs.class_to_idx[name]: index for index, name in enumerate(classes)}
        expected = [
            (pixels, label_map[label])
            for pixels, label in zip(theirs.data, theirs.targets, strict=True)
            if label in label_map
        ]
        assert len(expected) == len(classes) * (5000 if train else 1000)
        assert ours.labels.tolist() == [label for _, label in expected]
        pixels = np.stack([pixels for pixels, _ in expected])
        assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), pixels)
