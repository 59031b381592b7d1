"""Folders of pictures of one's own: what is found, what is read, and what is refused."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar2.data import folder
from cifar2.errors import UserError

DRAWN = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


def draw(root: Path, names: Iterable[str]) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(DRAWN + np.uint8(number)).save(root / name)


def test_pictures_are_in_the_order_of_their_names_whatever_their_class(tmp_path: Path) -> None:
    """So those of CIFAR-10 keep its order under their numbers."""
    names = ["Möwe/2.png", "Möwe/b/0.webp", "train/1.jpg", "train/3.png", "train/.x/4.png"]
    draw(tmp_path / "my birds", names)  # `train` is a class here
    (tmp_path / "my birds/__MACOSX/train").mkdir(parents=True)
    (tmp_path / "my birds/train/notes.txt").touch()
    found = folder.find(tmp_path, "my birds", 0.2)
    assert found.classes == ["Möwe", "train"]
    below = [(label, file.name) for label, file in found.parts["train"]]
    assert below == [(1, "1.jpg"), (0, "2.png"), (1, "3.png"), (0, "0.webp")]
    parts, _, sides = folder.read(found, "stretch", 64)
    images, labels = parts["train"]
    assert images.shape == (4, 3, 64, 64) and labels.tolist() == [1, 0, 1, 0] and len(sides) == 4


def test_train_val_and_test_have_the_classes_of_train_and_accents_may_be_apart(
    tmp_path: Path,
) -> None:
    draw(
        tmp_path / "x",
        ["train/Möwe/1.png", "train/b/1.png", "val/b/2.png", "test/Mo\u0308we/3.png"],
    )
    found = folder.find(tmp_path, "x", 0)
    assert found.classes == ["Möwe", "b"]
    assert {part: [n for n, _ in each] for part, each in found.parts.items()} == {
        "train": [0, 1],
        "val": [1],
        "test": [0],
    }


MANY = "a/1.png c0/ c1/ c2/ c3/ c4/ c5/ c6/"
IN_PARTS = "train/a/1.png train/b/1.png"


@pytest.mark.parametrize(
    ("names", "holdout", "said"),
    [
        ("", 0.2, "no pictures in this folder"),
        ("a/1.png", 0.2, "two or more classes are needed, each a folder; here: a"),
        (MANY, 0.2, "classes without a picture: c0, c1, c2, c3, c4, … (7 in all)"),
        ("a/1.png b/1.png B/1.png", 0.2, "classes that differ only in case: B, b"),
        ("a/1.png b\x1b/1.png", 0.2, "not UTF-8, or control characters: b\\x1b"),
        ("a/1.png b/1.png 1.png", 0.2, "in no folder of a class: 1.png"),
        ("a/1.png b/1.png", 0.0, "no folder val, so data.holdout must be above 0"),
        (f"{IN_PARTS} val/c/1.png", 0.0, "classes that train does not have: c"),
        (
            f"{IN_PARTS} valid/a/1.png",
            0.0,
            "parts must be called train, val and test; rename valid",
        ),
        (f"{IN_PARTS} val/a/1.png test/a/1.png", 0.2, "folders, so data.holdout must be 0"),
    ],
)
def test_fault_is_named_before_a_picture_is_read(
    names: str, holdout: float, said: str, tmp_path: Path
) -> None:
    root = tmp_path / "x"
    draw(root, [name for name in names.split() if name[-1] != "/"])
    for name in ["", *(name for name in names.split() if name[-1] == "/")]:
        (root / name).mkdir(exist_ok=True, parents=True)
    with pytest.raises(UserError) as caught:
        folder.find(tmp_path, "x", holdout)
    assert said in str(caught.value)


def test_broken_pictures_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    names = [f"{each}/{number}.png" for each in "ab" for number in range(9)]
    draw(tmp_path / "x", names)
    for name in names[1:8]:
        (tmp_path / "x" / name).write_bytes(b"none")
    with pytest.raises(UserError) as caught:
        folder.read(folder.find(tmp_path, "x", 0.2), "crop", 32)
    said = str(caught.value)
    assert said.startswith(
        "sources/x: 7 of 18 pictures can't be read; mend or remove them: a/1.png: not"
    )
    assert "a/5.png" in said and "a/6.png" not in said and said.endswith(", … (7 in all)")
