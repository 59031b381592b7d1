"""The stand-in, the choice of classes, the files."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from cifar2 import UserError, checkpoint, cifar10, dataset, files, synthetic
from cifar2.models import get_model

CIFAR10_URL = os.environ.get("CIFAR10_URL")
needs_cifar10 = pytest.mark.skipif(not CIFAR10_URL, reason="CIFAR10_URL is not set")


def test_the_stand_in_is_the_same_on_every_machine(tmp_path: Path) -> None:
    start = time.process_time()
    path = tmp_path / "raw" / synthetic.FILE
    synthetic.write(path)
    assert time.process_time() - start < 10
    digest = hashlib.md5()
    for name, count in (("train", 10_000), ("val", 2_000)):
        images, labels = synthetic.read(path, name)
        assert images.shape == (count, 3, 32, 32) and images.dtype == np.uint8
        assert np.bincount(labels).tolist() == [count // 2, count // 2]
        digest.update(images.tobytes() + labels.tobytes())
    assert digest.hexdigest() == "917d9267fdfe299b9d8f887c61212245"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY"])
def test_a_damaged_stand_in_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / synthetic.FILE).write_bytes(content)
    with pytest.raises(UserError, match=r"synthetic.npz: is not the stand-in \(.*download`$"):
        synthetic.read(tmp_path / synthetic.FILE, "val")


def some_data() -> dataset.Dataset:
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).expand(6, 3, 32, 32)
    return dataset.Dataset(images, torch.tensor([2, 0, 1, 2, 0, 1]), ["a", "b", "c"], "cifar10")


def test_classes_are_chosen_in_the_images_order_and_labelled_in_ours() -> None:
    chosen = dataset.select(some_data(), ["c", "a"])
    assert chosen.images[:, 0, 0, 0].tolist() == [0, 1, 3, 4]
    assert chosen.labels.tolist() == [0, 1, 0, 1]
    assert chosen.classes == ["c", "a"]
    assert dataset.select(some_data(), ["a", "b", "c"]).images.equal(some_data().images)


def test_a_class_that_the_data_does_not_have() -> None:
    with pytest.raises(
        UserError, match=r"data\.classes: 'd' is not in the cifar10 data, which has"
    ):
        dataset.select(some_data(), ["a", "d"])


def test_a_data_set_comes_back_as_it_was(tmp_path: Path) -> None:
    dataset.save(some_data(), tmp_path / "x.pt")
    back = dataset.load(tmp_path / "x.pt")
    assert back.images.equal(some_data().images) and back.labels.equal(some_data().labels)
    assert back[2:] == some_data()[2:]
    content = torch.load(tmp_path / "x.pt", weights_only=True)
    assert set(content) == {"images", "labels", "classes", "dataset"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (some_data()._replace(images=torch.zeros(6, 3, 32, 32)), "images are not uint8"),
        (some_data()._replace(images=torch.zeros(6, 3, 9, 9, dtype=torch.uint8)), "images are not"),
        (some_data()._replace(labels=torch.zeros(5, dtype=torch.int64)), "images are not uint8"),
        (some_data()._replace(labels=torch.zeros(6)), "labels are not int64"),
        (some_data()._replace(labels=torch.arange(6)), "labels are out of range"),
        (some_data()._replace(labels=torch.arange(6) - 4), "labels are out of range"),
    ],
)
def test_a_wrong_data_set_is_named(wrong: dataset.Dataset, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    dataset.save(wrong, path)
    with pytest.raises(UserError) as caught:
        dataset.load(path)
    assert str(caught.value).startswith(f"{path}: is no data set ({reason}")


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", b"\x80\x02."])
def test_a_damaged_data_set_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.pt: is damaged \("):
        dataset.load(tmp_path / "x.pt")


def test_normalisation_is_the_chapter_s() -> None:
    images = torch.full((1, 3, 32, 32), 51, dtype=torch.uint8)
    pixel = dataset.normalize(images)[0, :, 5, 5]
    expected = [(0.2 - m) / s for m, s in zip(dataset.MEAN, dataset.STD, strict=True)]
    torch.testing.assert_close(pixel, torch.tensor(expected))


def test_a_file_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "file"
    files.write(path, b"before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        files.write(path, b"after")
    assert path.read_bytes() == b"before"
    assert list(path.parent.iterdir()) == [path]


def test_a_network_comes_back_as_it_was(tmp_path: Path) -> None:
    network = get_model("netresdeep", 3, n_blocks=2, shared_blocks=True)
    config = {"n_blocks": 2, "shared_blocks": True}
    card = checkpoint.Card("netresdeep", config, ["a", "b", "c"], "cifar10")
    checkpoint.save(network, card, tmp_path / "model.pt")
    back, back_card = checkpoint.load(tmp_path / "model.pt")
    images = torch.randn(2, 3, 32, 32)
    assert back(images).equal(network.eval()(images))
    assert back_card == card
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert state.keys() == network.state_dict().keys()


@pytest.mark.parametrize("damage", ["model.pt", "model.json", "absent", "name", "number"])
def test_a_damaged_network_is_named(damage: str, tmp_path: Path) -> None:
    card = checkpoint.Card("net", {}, ["a", "b"], "cifar10")
    network = get_model("net")
    if damage == "number":
        torch.nn.init.constant_(network.get_parameter("fc1.bias"), float("nan"))
    checkpoint.save(network, card, tmp_path / "model.pt")
    if damage == "name":
        text = (tmp_path / "model.json").read_text().replace('"net"', '"vgg"')
        (tmp_path / "model.json").write_text(text)
    elif damage == "absent":
        (tmp_path / "model.json").unlink()
    elif damage != "number":
        (tmp_path / damage).write_bytes(b"junk")
    wanted = (
        r"model\.pt: is (no trained network|damaged) \(|model\.json: no such file; `dvc repro -f"
    )
    with pytest.raises(UserError, match=wanted):
        checkpoint.load(tmp_path / "model.pt")


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "raw"
    cifar10.fetch(path, CIFAR10_URL)
    return path


@needs_cifar10
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("classes", [["airplane", "bird"], ["truck", "cat", "airplane"], None])
def test_real_classes_against_torchvision(
    train: bool, classes: list[str] | None, raw: Path
) -> None:
    """Against the chapter's way: a loop over torchvision's (image, label) pairs."""
    from torchvision.datasets import CIFAR10

    theirs = CIFAR10(str(raw), train=train)
    images, labels, names = cifar10.read(raw, train)
    whole = dataset.Dataset(torch.from_numpy(images), torch.from_numpy(labels), names, "cifar10")
    classes = classes or theirs.classes
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


@needs_cifar10
def test_a_damaged_batch_is_named_and_never_unpickled(raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / cifar10.FOLDER
    folder.mkdir()
    for file in (raw / cifar10.FOLDER).iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "data_batch_2").unlink()
    with pytest.raises(UserError, match="data_batch_2: no such file; `dvc repro -f download`"):
        cifar10.read(tmp_path, train=True)
    (folder / "data_batch_2").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(UserError, match="data_batch_2: is not the official file"):
        cifar10.read(tmp_path, train=True)
