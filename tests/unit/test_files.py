"""Files that appear whole or not at all, and how damaged ones are read."""

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch

from cifar2 import files
from cifar2.errors import FileError
from tests.conftest import contents

# Writing


def test_file_is_complete_on_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "new" / "folder" / "file"
    files.write(path, b"before")
    seen = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        fsync(descriptor)
        seen.append((path.read_bytes(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", look)
    files.write(path, b"afterwards")
    assert seen == [(b"before", len(b"afterwards"))]
    assert contents(tmp_path) == {"new/folder/file": b"afterwards"}


def test_failed_write_names_the_file_and_leaves_the_former_content_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    files.write(path, b"before")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'$"):
        files.write(path, b"after")
    assert contents(tmp_path) == {"file": b"before"}


def test_folder_replaces_the_former_one_whole_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder"
    (path.parent / ".folder.part").mkdir(parents=True)
    (path.parent / ".folder.part" / "left by a killed process").touch()
    with files.folder(path) as part:
        (part / "old").touch()
        assert not path.exists()
    with files.folder(path) as part:
        (part / "new").write_bytes(b"content")
        assert os.listdir(path) == ["old"]
    with pytest.raises(KeyboardInterrupt), files.folder(path) as part:
        (part / "newer").touch()
        raise KeyboardInterrupt
    assert contents(tmp_path) == {"new/folder/new": b"content"}
    assert os.listdir(path.parent) == ["folder"]


def test_what_is_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    """A user may have the data on another disk."""
    disk = tmp_path / "disk"
    for name in ("file", "folder"):
        (tmp_path / name).symlink_to(disk / name)
    for content in ("first", "second"):  # at first there is nothing behind the links
        files.write(tmp_path / "file", content.encode())
        with files.folder(tmp_path / "folder") as part:
            (part / content).touch()
        assert (tmp_path / "file").is_symlink() and (tmp_path / "folder").is_symlink()
        assert contents(disk) == {"file": content.encode(), f"folder/{content}": b""}
    assert sorted(os.listdir(tmp_path)) == ["disk", "file", "folder"]


# Reading


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        (
            "torch",
            r"a whole pickled network or object \(\w+.mkdir\), whose loading could run code; ",
        ),
        ("pickle", "a whole pickled "),
        (b"\x80\x02c\x1b[31mevil\nNet\n.", r"a whole pickled .* \(\\x1b\[31mevil\.Net\), "),
        (b"<!DOCTYPE html>", "damaged, or a file of pickle, of safetensors"),
        *((form, r"damaged \(") for form in (b"", b"junk", b"PK\x03\x04junk", b"\x80\x02.")),
    ],
)
def test_file_of_another_kind_is_named_in_one_line_and_no_code_in_it_is_run(
    form: str | bytes, reason: str, tmp_path: Path
) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "was run"),)

    path = tmp_path / "x.pt"
    if form == "torch":
        torch.save(Hostile(), path)
    else:
        path.write_bytes(form if isinstance(form, bytes) else pickle.dumps(Hostile(), 2))
    with pytest.raises(FileError, match=rf"x\.pt: {reason}.+$") as caught:
        files.load(path)
    assert str(caught.value).isprintable()
    assert os.listdir(tmp_path) == ["x.pt"]
