"""CIFAR-2 as tensors: the choice of classes, the file, the normalisation."""

from pathlib import Path

import pytest
import torch

from cifar2.data import dataset
from cifar2.errors import FileError, MissingFile, UserError


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


# The choice of classes.


def test_chosen_images_keep_their_order_and_labels_follow_that_of_the_classes() -> None:
    chosen = dataset.select(numbered(2, classes=3), ["c", "a"])
    assert numbers(chosen) == [0, 2, 3, 5]
    assert chosen.labels.tolist() == [1, 0, 1, 0]
    assert chosen.classes == ["c", "a"] and chosen.source == "cifar10"


def test_chosen_images_have_one_memory_layout_whatever_it_was() -> None:
    """Otherwise the same images could be saved as different bytes."""
    data = numbered(2)
    data = data._replace(images=data.images.contiguous(memory_format=torch.channels_last))
    assert dataset.select(data, ["b", "a"]).images.is_contiguous()


def test_class_that_the_data_does_not_have_is_named() -> None:
    with pytest.raises(UserError) as caught:
        dataset.select(numbered(1), ["a", "d"])
    assert str(caught.value) == (
        "data.classes: 'd' is not in the cifar10 data; classes there: a, b"
    )


# The images that are set apart.


def test_share_of_each_class_is_set_apart_and_the_order_is_kept() -> None:
    left, apart = dataset.set_apart(numbered(10), 0.2, 0)
    assert apart.labels.bincount().tolist() == [2, 2]
    assert sorted(numbers(left) + numbers(apart)) == list(range(20))
    for part in (left, apart):
        assert numbers(part) == sorted(numbers(part))
        assert [number % 2 for number in numbers(part)] == part.labels.tolist()
        assert part.classes == ["a", "b"] and part.source == "cifar10"


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


def test_saved_data_set_has_the_documented_keys_and_is_loaded_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.pt"
    dataset.save(numbered(3), path)
    content = torch.load(path, weights_only=True)
    assert list(content) == ["images", "labels", "classes", "dataset"]
    back = dataset.load(path)
    for data in (back, dataset.Dataset(*content.values())):
        assert data.images.equal(numbered(3).images) and data.labels.equal(numbered(3).labels)
        assert data[2:] == (["a", "b"], "cifar10")


def test_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(MissingFile, match=r"x\.pt: no such file$"):
        dataset.load(path)
    for content in (b"", b"junk", b"PK\x03\x04junk", b"\x80\x02."):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"x\.pt: damaged \("):
            dataset.load(path)


IMAGES, LABELS = torch.zeros(6, 3, 32, 32, dtype=torch.uint8), torch.arange(6) % 2
GOOD = {"images": IMAGES, "labels": LABELS, "classes": ["a", "b"], "dataset": "cifar10"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GOOD | {"images": IMAGES.float()}, "images are not uint8 [N, 3, 32, 32]"),
        (GOOD | {"images": IMAGES[..., :9, :9]}, "images are not uint8 [N, 3, 32, 32]"),
        (GOOD | {"labels": LABELS[:5]}, "images are not uint8 [N, 3, 32, 32]"),
        (GOOD | {"labels": LABELS.float()}, "labels are not int64 [N]"),
        (GOOD | {"labels": LABELS[:, None]}, "labels are not int64 [N]"),
        (GOOD | {"images": IMAGES[:0], "labels": LABELS[:0]}, "labels are not int64 [N]"),
        (GOOD | {"labels": LABELS + 1}, "labels are out of range"),
        (GOOD | {"labels": LABELS - 1}, "labels are out of range"),
        ({"images": 1, "labels": 2, "classes": 3, "dataset": 4}, ""),
        ({}, "'images'"),
        ([], ""),
        (None, ""),
    ],
)
def test_other_content_is_not_a_data_set(content: object, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(content, path)
    with pytest.raises(FileError) as caught:
        dataset.load(path)
    assert str(caught.value).startswith(f"{path}: not a data set ({reason}")


# The normalisation.


def test_normalisation_is_that_of_the_chapter_in_channels_last() -> None:
    values = torch.tensor([0, 51, 255], dtype=torch.uint8)
    images = dataset.normalize(values.view(3, 1, 1, 1).repeat(1, 3, 32, 32))
    assert images.shape == (3, 3, 32, 32) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    mean, std = (0.4915, 0.4823, 0.4468), (0.2470, 0.2435, 0.2616)
    expected = [
        [(value - m) / s for m, s in zip(mean, std, strict=True)] for value in (0.0, 0.2, 1.0)
    ]
    torch.testing.assert_close(images[:, :, 5, 5], torch.tensor(expected))


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
