"""A folder of pictures of one's own: a subfolder for each class, or for train and val as well."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from cifar2.data import pictures
from cifar2.errors import UserError, printable
from cifar2.params import BUILT_IN, Fit, did_you_mean

PARTS = ("train", "val", "test")
OTHER_PARTS = {"val", "test", "valid", "validation", "testing"}  # beside train, here or elsewhere
NAMED = 5  # of several faults of a kind, so many are named


Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]  # [N, 3, size, size]; [N]


class Folder(NamedTuple):
    """A folder of pictures, as it was found.

    classes: the names of the folders of the classes, in order.
    parts: the pictures of "train", and of "val" and "test" if they have folders: a label and a file
        each, in the order of the names that the files have within the folders of their classes.
    """

    root: Path
    classes: list[str]
    parts: dict[str, list[tuple[int, Path]]]


def find(sources: Path, name: str, holdout: float) -> Folder:
    """Find the pictures of `sources/name`, and read none.

    Raises:
        UserError: if there is no such folder; if it has no class or only one, a class without a
            picture, one that train does not have, two whose names differ only in case, or pictures
            of no class; or if its parts do not fit `holdout`.
        OSError: if a folder can't be searched.
    """
    root = sources / name
    if not root.is_dir():
        there = [*BUILT_IN, *_folders(sources)]
        hint = did_you_mean(name, there)
        raise UserError(f"data.source: no folder {name!r} in sources/;{hint} there: {_some(there)}")
    inside = {each.lower() for each in _folders(root)}
    in_parts = inside == {"train"} or ("train" in inside and bool(inside & OTHER_PARTS))
    places = {part: root / part for part in _folders(root)} if in_parts else {"train": root}
    if strangers := sorted(places.keys() - set(PARTS)):
        raise _fault(root, f"parts must be called train, val and test; rename {_some(strangers)}")
    found: dict[str, dict[str, list[tuple[str, Path]]]] = {
        part: {_class(each): [] for each in _folders(place)} for part, place in places.items()
    }
    files, errors = pictures.find(root)
    if errors:
        raise errors[0]
    loose = []
    for file in files:
        names = file.relative_to(root).parts
        part, below = (names[0], names[1:]) if in_parts else ("train", names)
        if len(below) < 2:
            loose.append("/".join(names))
        else:
            found[part][_class(below[0])].append(("/".join(below[1:]), file))
    _check(root, found)
    if loose:
        raise _fault(root, f"in no folder of a class: {_some(loose)}")
    if "val" not in places and not holdout:
        raise _fault(root, "no folder val, so data.holdout must be above 0, such as 0.2")
    if places.keys() == set(PARTS) and holdout:
        raise _fault(root, "val and test have folders, so data.holdout must be 0")
    classes = sorted(found["train"])
    parts = {}
    for part in (each for each in PARTS if each in found):
        own = found[part].items()
        rows = [(low, classes.index(each), file) for each, files in own for low, file in files]
        parts[part] = [(label, file) for _, label, file in sorted(rows)]
    return Folder(root, classes, parts)


def _check(root: Path, found: dict[str, dict[str, list[tuple[str, Path]]]]) -> None:
    """Raise UserError for classes that can't be told apart, or that have no pictures."""
    every = sorted({name for classes in found.values() for name in classes})
    folded = [name.casefold() for name in every]
    counts = [(name, len(files)) for classes in found.values() for name, files in classes.items()]
    for fault, names in {
        "classes that differ only in case": [n for n in every if folded.count(n.casefold()) > 1],
        "not UTF-8, or control characters": [name for name in every if printable(name) != name],
        "classes that train does not have": [name for name in every if name not in found["train"]],
        "classes without a picture": [name for name, count in counts if not count],
    }.items():
        if names:
            raise _fault(root, f"{fault}: {_some(names)}")
    if len(every) < 2:
        hint = "; if the classes are in it, move them up" if len(every) == 1 else ""
        what = f"two or more classes are needed, each a folder; here: {_some(every)}"
        raise _fault(root, what + hint)


class Content(NamedTuple):
    """The pictures of a folder, as they were read.

    parts: the images and the labels of each part.
    numbers: from 0 to 1, for each picture of "train". They depend on its pixels alone, at 32×32, so
        that copies have the same; not on `data.size` and `data.fit`.
    sides: the shorter side of every picture, in pixels.
    """

    parts: dict[str, Labelled]
    numbers: NDArray[np.float64]
    sides: list[int]


def read(folder: Folder, fit: Fit, size: int) -> Content:
    """Read all pictures as `cifar2 predict` does.

    Raises:
        UserError: if any can't be read; it says how many, and names the first.
    """
    files = [file for found in folder.parts.values() for _, file in found]
    images = np.empty((len(files), size, size, 3), np.uint8)
    errors, numbers, sides = list[str](), list[float](), list[int]()
    # Threads, because Pillow lets others compute while it decodes.
    with pictures.pillow_warnings(), ThreadPool(os.cpu_count()) as pool:
        done = pool.imap(partial(_read, fit=fit, size=size), files, chunksize=16)
        # disable=None: a bar on a terminal only
        for index, seen in enumerate(tqdm(done, total=len(files), unit="picture", disable=None)):
            if isinstance(seen, str):
                errors.append(seen.replace(f"{folder.root}{os.sep}", ""))
            else:
                images[index], number, side = seen
                numbers.append(number)
                sides.append(side)
    if errors:
        count = f"{len(errors):,} of {len(files):,} pictures can't be read"
        raise _fault(folder.root, f"{count}; mend or remove them: {_some(errors)}")
    parts: dict[str, Labelled] = {}
    for part, found in folder.parts.items():
        own, images = images[: len(found)], images[len(found) :]
        parts[part] = own.transpose(0, 3, 1, 2), np.array([n for n, _ in found], np.int64)
    return Content(parts, np.array(numbers[: len(folder.parts["train"])]), sides)


def _read(file: Path, fit: Fit, size: int) -> tuple[NDArray[np.uint8], float, int] | str:
    """Return what `Content` has of a picture, its pixels [size, size, 3]; or why it can't be read.

    The number is made from the first six bytes of a SHA-256.
    """
    try:
        pixels = _pixels(file, fit, size)
        usual = pixels if (size, fit) == (32, "crop") else _pixels(file, "crop", 32)
        number = int.from_bytes(sha256(usual.tobytes()).digest()[:6]) / 2**48
        with Image.open(file) as image:
            return pixels, number, min(image.size)
    except (UserError, OSError) as error:
        return f"{file}: {error.strerror}" if isinstance(error, OSError) else str(error)


def _pixels(file: Path, fit: Fit, size: int) -> NDArray[np.uint8]:
    return np.array(pictures.resize(pictures.read_in_thread(file, size), fit, size))


def _folders(place: Path) -> list[str]:
    names = sorted(each.name for each in place.iterdir() if each.is_dir())
    return [each for each in names if each[0] != "." and each not in pictures.OF_SYSTEMS]


def _class(name: str) -> str:
    """Return the name of a class; macOS may store an accent as a character of its own."""
    return unicodedata.normalize("NFC", name)


def _fault(root: Path, what: str) -> UserError:
    return UserError(f"sources/{root.name}: {what}")


def _some(names: Sequence[str]) -> str:
    """Return the first names, and how many there are if more."""
    more = f", … ({len(names):,} in all)" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
