"""Which images `filter` keeps."""

import json
import os
from pathlib import Path

import filter as filter_stage
import numpy as np
import pytest
import torch
from PIL import Image

from cifar2.data import cifar10, dataset, download, pictures, synthetic
from cifar2.errors import UserError
from tests.conftest import write

OWN = {"data__source": "my birds", "data__classes": "all", "data__holdout": 0.25}


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
    places = [tmp_path / name for name in ("raw", "cifar2", "val.pt", "sources", "data.json")]
    filter_stage.main(settings, *places)
    whole, val = dataset.load(tmp_path / "val.pt"), dataset.load(tmp_path / "cifar2/val.pt")
    assert (whole.images.numpy() == images).all() and whole.labels.tolist() == [2, 0, 1, 2]
    assert whole[2:4] == (names, "cifar10")
    assert val.labels.tolist() == [1, 0] and val[2:4] == (["bird", "airplane"], "cifar10")


def test_holdout_makes_val_of_train_images_and_test_of_the_val_images(
    raw: Path, tmp_path: Path
) -> None:
    for name, changes in (("usual", {}), ("held", {"data__holdout": 0.34, "data__fold": 1})):
        settings = write(tmp_path / "params.yaml", **changes)
        places = [tmp_path / each for each in (name, "val.pt", "sources", "data.json")]
        filter_stage.main(settings, raw, *places)
    usual, held = tmp_path / "usual", tmp_path / "held"
    assert sorted(path.name for path in usual.iterdir()) == ["train.pt", "val.pt"]
    assert sorted(path.name for path in held.iterdir()) == ["test.pt", "train.pt", "val.pt"]
    assert (held / "test.pt").read_bytes() == (usual / "val.pt").read_bytes()
    train, rest, val = map(dataset.load, (usual / "train.pt", held / "train.pt", held / "val.pt"))
    assert (train.images.numpy() == synthetic.read(raw / synthetic.FILE, "train")[0]).all()
    assert train.source == "synthetic"
    expected = dataset.set_apart(train, 0.34, 1)
    assert [rest.images.tolist(), val.images.tolist()] == [x.images.tolist() for x in expected]


def test_larger_images_are_those_of_predict_and_facts_count_them(raw: Path, tmp_path: Path) -> None:
    settings = write(tmp_path / "params.yaml", data__size=64)
    paths = [tmp_path / name for name in ("data", "val.pt", "sources", "data.json")]
    filter_stage.main(settings, raw, *paths)
    images, _ = synthetic.read(raw / synthetic.FILE, "val")
    val = dataset.load(tmp_path / "data/val.pt")
    image = Image.fromarray(images[1].transpose(1, 2, 0))
    assert val.images[1].equal(pictures.to_tensor(image, size=64))
    assert len(dataset.load(tmp_path / "val.pt").images) == 4
    facts = json.loads((tmp_path / "data.json").read_text())
    assert facts == {
        "train": {"images": {"airplane": 3, "bird": 3}, "grey": 0, "copies": 0},
        "val": {"images": {"airplane": 2, "bird": 2}, "grey": 0, "copies": 0, "in_train": 0},
    }


def test_folder_s_holdout_goes_by_content_and_its_train_pictures_normalize(tmp_path: Path) -> None:
    """So copies are in one part, and a new picture moves no other."""
    images, _ = synthetic.draw(20, seed=3)
    root = tmp_path / "sources/my birds"
    for number, image in enumerate([*images, images[0], images[1]]):
        path = root / f"{'abc'[number % 3]}/{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)

    def kept(**changes: object) -> tuple[list[bytes], ...]:
        settings = write(tmp_path / "params.yaml", **OWN | changes)
        paths = (tmp_path / name for name in ("raw", "own", "val.pt", "sources", "data.json"))
        (tmp_path / "raw").mkdir(exist_ok=True)
        filter_stage.main(settings, *paths)
        files = ("own/train.pt", "own/val.pt", "val.pt")
        return tuple(
            [each.numpy().tobytes() for each in dataset.load(tmp_path / f).images] for f in files
        )

    parts = [kept(data__fold=fold) for fold in range(4)]
    assert sorted(image for _, val, _ in parts for image in val) == sorted(
        [*map(bytes, [*images, *images[:2]])]
    )
    for train, val, whole in parts:
        assert not {*train} & {*val} and whole == val
    (root / "a/new.png").write_bytes((root / "b/01.png").read_bytes())
    train, val, _ = kept()
    assert {*train} == {*parts[0][0]} and {*val} == {*parts[0][1]}

    small = dataset.load(tmp_path / "own/val.pt")
    kept(data__size=64, data__fit="pad")
    large = dataset.load(tmp_path / "own/val.pt")
    brightness = [each.images.float().mean((1, 2, 3)) for each in (small, large)]
    torch.testing.assert_close(*brightness, rtol=0, atol=2)  # so they are the same pictures
    assert large.preparation[2:] == (64, "pad")

    kept(data__classes=["c", "a"])
    saved = dataset.load(tmp_path / "own/train.pt")
    assert saved[2:4] == (["c", "a"], "my birds")
    pixels = dataset.normalize(saved.images, saved.preparation)
    assert (
        pixels.mean((0, 2, 3)).abs().max() < 1e-3 and (pixels.std((0, 2, 3)) - 1).abs().max() < 1e-3
    )
    assert dataset.load(tmp_path / "val.pt").classes == ["a", "b", "c"]
    with pytest.raises(UserError, match=r"fold 0 of 0\.01 has 0 of the \d+ train images of 'a'"):
        kept(data__holdout=0.01)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("CIFAR10_URL"), reason="needs the images of CIFAR-10")
def test_png_files_of_cifar2_give_its_images_in_its_order(tmp_path: Path) -> None:
    """Their names are CIFAR-10's numbers."""
    download.fetch(tmp_path / "raw", os.environ["CIFAR10_URL"])
    paths = [tmp_path / name for name in ("raw", "data", "val.pt", "sources", "data.json")]
    filter_stage.main(write(tmp_path / "params.yaml"), *paths)
    expected = [dataset.load(tmp_path / f"data/{part}.pt") for part in ("train", "val")]
    for part, data in zip(("train", "val"), expected, strict=True):
        for name in data.classes:
            (tmp_path / "sources/mine" / part / name).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(data.images, data.labels, strict=True)):
            path = tmp_path / "sources/mine" / part / data.classes[label] / f"{number:05}.png"
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    filter_stage.main(
        write(tmp_path / "params.yaml", **OWN | {"data__source": "mine", "data__holdout": 0.0}),
        *paths,
    )
    for part, data in zip(("train", "val"), expected, strict=True):
        own = dataset.load(tmp_path / f"data/{part}.pt")
        assert own.images.equal(data.images) and own.labels.equal(data.labels)
        assert own.classes == data.classes
