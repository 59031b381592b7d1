"""Files that appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from cifar2 import files
from tests.conftest import contents


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
