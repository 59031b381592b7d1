"""Files that appear whole or not at all, and are read with care."""

import contextlib
import csv
import io
import os
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cifar2.errors import FileError, MissingFile, first_line


def write(path: Path, content: bytes) -> None:
    """Write a file, and its folder where it is missing; `path` is never seen half-written.

    A symbolic link stays, and the file behind it is written.

    Raises:
        OSError: naming `path`, if it can't be written; the former content is still there then.
    """
    path = _behind_link(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `path` at the end, if nothing fails.

    A symbolic link stays, and the folder behind it is replaced.
    """
    path = _behind_link(path)
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        if path.exists():
            shutil.rmtree(path)
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _behind_link(path: Path) -> Path:
    return path.resolve() if path.is_symlink() else path


@contextlib.contextmanager
def reading(path: Path) -> Iterator[bytes]:
    """Yield what a file holds; say of which file they are if anything about its bytes fails.

    Raises:
        MissingFile: if there is no such file.
        FileError: if it is damaged: the code in the context raised an error.
        OSError: if it can't be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingFile(path) from error
    try:
        yield content
    except Exception as error:  # for a damaged file, torch and others raise many types
        raise FileError(path, f"damaged ({first_line(error)})") from error


def rows(content: bytes, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file, by the names of its columns."""
    return csv.DictReader(content.decode().splitlines(), delimiter=delimiter)


def load(path: Path) -> Any:
    """Read what `torch.save` wrote: tensors and plain containers only, no code is run.

    The tensors are on the CPU, wherever they were saved. Raises as `reading` does.
    """
    import torch  # here, because `write` needs no torch

    with reading(path) as content, warnings.catch_warnings(action="ignore"):
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
