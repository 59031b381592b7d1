"""CIFAR-2 as tensors: the choice of classes, the file, the normalisation."""

from pathlib import Path

import pytest
import torch

from cifar2.data import dataset
from cifar2.errors import FileError, MissingFile, UserError


def some_data() -> dataset.Dataset:
    """Return six images, each of one value all over, its index."""
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1).repeat(1, 3, 32, 32)
    return dataset.Dataset(images, torch.tensor([2, 0, 1, 2, 0, 1]), ["a", "b", "c"], "cifar10")


# The choice of classes.


def test_chosen_images_keep_their_order_and_labels_follow_that_of_the_classes() -> None:
    chosen = dataset.select(some_data(), ["c", "a"])
    assert chosen.images[:, 0, 0, 0].tolist() == [0, 1, 3, 4]
    assert chosen.labels.tolist() == [0, 1, 0, 1]
    assert chosen.classes == ["c", "a"]
    assert chosen.source == "cifar10"


def test_choice_of_all_classes_in_their_order_changes_nothing() -> None:
    chosen = dataset.select(some_data(), ["a", "b", "c"])
    assert chosen.images.equal(some_data().images)
    assert chosen.labels.equal(some_data().labels)


def test_chosen_images_have_one_memory_layout_whatever_it_was() -> None:
    """Otherwise the same images could be saved as different bytes."""
    data = some_data()
    data = data._replace(images=data.images.contiguous(memory_format=torch.channels_last))
    assert dataset.select(data, ["c", "a"]).images.is_contiguous()


def test_class_that_the_data_does_not_have_is_named() -> None:
    with pytest.raises(UserError) as caught:
        dataset.select(some_data(), ["a", "d"])
    assert str(caught.value) == (
        "data.classes: 'd' is not in the cifar10 data; classes there: a, b, c"
    )


# The images that are set apart.


def numbered(per_class: int, classes: int = 2) -> dataset.Dataset:
    """Return images whose first two values are their index; the classes take turns."""
    count = per_class * classes
    images = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(count) // 256
    images[:, 0, 0, 1] = torch.arange(count) % 256
    names = ["a", "b", "c"][:classes]
    return dataset.Dataset(images, torch.arange(count) % classes, names, "cifar10")


def numbers(data: dataset.Dataset) -> list[int]:
    return [256 * int(image[0, 0, 0]) + int(image[0, 0, 1]) for image in data.images]


def test_share_of_each_class_is_set_apart_and_the_order_is_kept() -> None:
    left, apart = dataset.set_apart(numbered(10), 0.2, 0)
    assert apart.labels.bincount().tolist() == [2, 2]
    assert left.labels.bincount().tolist() == [8, 8]
    assert sorted(numbers(left) + numbers(apart)) == list(range(20))
    assert numbers(left) == sorted(numbers(left)) and numbers(apart) == sorted(numbers(apart))
    assert [number % 2 for number in numbers(apart)] == apart.labels.tolist()
    assert apart.classes == ["a", "b"] and left.source == "cifar10"


@pytest.mark.parametrize(("share", "folds"), [(0.2, 5), (0.1, 10), (0.25, 4), (0.5, 2)])
def test_folds_share_no_image_and_together_have_all(share: float, folds: int) -> None:
    parts = [numbers(dataset.set_apart(numbered(333), share, fold)[1]) for fold in range(folds)]
    assert sorted(number for part in parts for number in part) == list(range(666))
    assert max(map(len, parts)) - min(map(len, parts)) <= 2


def test_what_is_set_apart_is_always_the_same() -> None:
    """Otherwise two experiments with the same settings could not be compared."""
    assert numbers(dataset.set_apart(numbered(10), 0.2, 3)[1]) == [0, 1, 16, 17]


def test_what_is_set_apart_of_a_class_does_not_depend_on_the_other_classes() -> None:
    apart = dataset.set_apart(numbered(10, classes=3), 0.2, 1)[1]
    alone = dataset.set_apart(dataset.select(numbered(10, classes=3), ["b"]), 0.2, 1)[1]
    assert numbers(alone) == [number for number in numbers(apart) if number % 3 == 1]


@pytest.mark.parametrize(
    ("per_class", "share", "fold", "count"), [(10, 0.01, 0, 0), (1, 0.5, 1, 1)]
)
def test_class_of_which_a_part_has_no_image_is_an_error(
    per_class: int, share: float, fold: int, count: int
) -> None:
    with pytest.raises(UserError) as caught:
        dataset.set_apart(numbered(per_class), share, fold)
    assert str(caught.value) == (
        f"data.holdout: fold {fold} of {share} has {count} of the {per_class} train images of 'a'"
    )


# The file.


def test_saved_data_set_is_loaded_as_it_was(tmp_path: Path) -> None:
    dataset.save(some_data(), tmp_path / "new" / "x.pt")
    back = dataset.load(tmp_path / "new" / "x.pt")
    assert back.images.equal(some_data().images) and back.labels.equal(some_data().labels)
    assert back[2:] == some_data()[2:]


def test_file_has_the_documented_keys(tmp_path: Path) -> None:
    dataset.save(some_data(), tmp_path / "x.pt")
    content = torch.load(tmp_path / "x.pt", weights_only=True)
    assert set(content) == {"images", "labels", "classes", "dataset"}
    assert content["classes"] == ["a", "b", "c"] and content["dataset"] == "cifar10"


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"x\.pt: no such file$"):
        dataset.load(tmp_path / "x.pt")


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", b"\x80\x02."])
def test_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(FileError, match=r"x\.pt: damaged \("):
        dataset.load(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (some_data()._replace(images=torch.zeros(6, 3, 32, 32)), "images are not uint8"),
        (some_data()._replace(images=torch.zeros(6, 3, 9, 9, dtype=torch.uint8)), "images are not"),
        (some_data()._replace(labels=torch.zeros(5, dtype=torch.int64)), "images are not uint8"),
        (some_data()._replace(labels=torch.zeros(6)), "labels are not int64"),
        (some_data()._replace(labels=torch.zeros(6, 1, dtype=torch.int64)), "labels are not int64"),
        (some_data()._replace(labels=torch.arange(6)), "labels are out of range"),
        (some_data()._replace(labels=torch.arange(6) - 4), "labels are out of range"),
        (
            some_data()._replace(
                images=torch.zeros(0, 3, 32, 32, dtype=torch.uint8),
                labels=torch.zeros(0, dtype=torch.int64),
            ),
            "labels are not int64",
        ),
    ],
    ids=["type", "size", "number", "labels' type", "2d", "too high", "negative", "empty"],
)
def test_other_tensors_are_not_a_data_set(
    wrong: dataset.Dataset, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.pt"
    dataset.save(wrong, path)
    with pytest.raises(FileError) as caught:
        dataset.load(path)
    assert str(caught.value).startswith(f"{path}: not a data set ({reason}")


@pytest.mark.parametrize(
    "content", [[], None, {}, {"images": 1, "labels": 2, "classes": 3, "dataset": 4}]
)
def test_other_content_is_not_a_data_set(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(FileError, match=r"x\.pt: not a data set \("):
        dataset.load(tmp_path / "x.pt")


# The normalisation.


def test_normalisation_is_that_of_the_chapter() -> None:
    images = torch.full((1, 3, 32, 32), 51, dtype=torch.uint8)
    pixel = dataset.normalize(images)[0, :, 5, 5]
    mean, std = (0.4915, 0.4823, 0.4468), (0.2470, 0.2435, 0.2616)
    expected = [(0.2 - m) / s for m, s in zip(mean, std, strict=True)]
    torch.testing.assert_close(pixel, torch.tensor(expected))


def test_normalised_images_keep_their_shape_and_are_channels_last() -> None:
    images = dataset.normalize(some_data().images)
    assert images.shape == (6, 3, 32, 32) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    means = images.mean(dim=(1, 2, 3))
    assert (means[1:] > means[:-1]).all()  # each image is brighter than the one before


@pytest.mark.parametrize(
    ("images", "kind"),
    [
        (torch.rand(2, 3, 32, 32), "float32 [2, 3, 32, 32]"),  # as torchvision's ToTensor gives
        (torch.zeros(2, 3, 32, 32, dtype=torch.int64), "int64 [2, 3, 32, 32]"),
        (torch.zeros(3, 32, 32, dtype=torch.uint8), "uint8 [3, 32, 32]"),
        (torch.zeros(2, 4, 32, 32, dtype=torch.uint8), "uint8 [2, 4, 32, 32]"),  # RGBA
        (torch.zeros(2, 1, 32, 32, dtype=torch.uint8), "uint8 [2, 1, 32, 32]"),  # grey
        (torch.zeros(2, 3, 64, 64, dtype=torch.uint8), "uint8 [2, 3, 64, 64]"),
        (torch.zeros(2, 32, 32, 3, dtype=torch.uint8), "uint8 [2, 32, 32, 3]"),  # as Pillow gives
    ],
)
def test_images_of_another_kind_are_an_error(images: torch.Tensor, kind: str) -> None:
    with pytest.raises(ValueError) as caught:
        dataset.normalize(images)
    assert str(caught.value) == (f"images must be uint8 [N, 3, 32, 32], 0 to 255; these are {kind}")
