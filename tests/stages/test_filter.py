"""Which images `filter` keeps."""

from pathlib import Path

import filter as filter_stage
import numpy as np
import pytest

from cifar2.data import cifar10, dataset, synthetic
from tests.conftest import write


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a stand-in of few images."""
    monkeypatch.setattr(synthetic, "TRAIN_PER_CLASS", 3)
    monkeypatch.setattr(synthetic, "VAL_PER_CLASS", 2)
    synthetic.write(tmp_path / "raw" / synthetic.FILE)
    return tmp_path / "raw"


def test_chosen_classes_are_kept_and_all_of_val_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.arange(4, dtype=np.uint8).repeat(3 * 32 * 32).reshape(4, 3, 32, 32)
    labels, names = np.array([2, 0, 1, 2]), ["airplane", "bird", "cat"]
    monkeypatch.setattr(cifar10, "read", lambda raw, train: (images, labels, names))
    (tmp_path / "raw").mkdir()
    settings = write(tmp_path / "params.yaml", data__classes=["bird", "airplane"])
    filter_stage.main(settings, tmp_path / "raw", tmp_path / "cifar2", tmp_path / "val.pt")
    whole, val = dataset.load(tmp_path / "val.pt"), dataset.load(tmp_path / "cifar2/val.pt")
    assert (whole.images.numpy() == images).all() and whole.labels.tolist() == [2, 0, 1, 2]
    assert whole[2:] == (names, "cifar10")
    assert val.labels.tolist() == [1, 0] and val[2:] == (["bird", "airplane"], "cifar10")


def test_holdout_makes_val_of_train_images_and_test_of_the_val_images(
    raw: Path, tmp_path: Path
) -> None:
    for name, changes in (("usual", {}), ("held", {"data__holdout": 0.34, "data__fold": 1})):
        settings = write(tmp_path / "params.yaml", **changes)
        filter_stage.main(settings, raw, tmp_path / name, tmp_path / "val.pt")
    usual, held = tmp_path / "usual", tmp_path / "held"
    assert sorted(path.name for path in usual.iterdir()) == ["train.pt", "val.pt"]
    assert sorted(path.name for path in held.iterdir()) == ["test.pt", "train.pt", "val.pt"]
    assert (held / "test.pt").read_bytes() == (usual / "val.pt").read_bytes()
    train, rest, val = map(dataset.load, (usual / "train.pt", held / "train.pt", held / "val.pt"))
    assert (train.images.numpy() == synthetic.read(raw / synthetic.FILE, "train")[0]).all()
    assert train.source == "synthetic"
    expected = dataset.set_apart(train, 0.34, 1)
    assert [rest.images.tolist(), val.images.tolist()] == [x.images.tolist() for x in expected]
