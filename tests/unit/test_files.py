"""Files that appear whole or not at all, and how damaged ones are read."""

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifar2 import files
from cifar2.errors import FileError, MissingFile, UserError


class TouchesAFile:
    """An object whose unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


# Writing a file.


def test_file_is_written_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    files.write(tmp_path / "new" / "folder" / "file", b"content")
    assert (tmp_path / "new" / "folder" / "file").read_bytes() == b"content"
    assert os.listdir(tmp_path / "new" / "folder") == ["file"]


def test_file_is_complete_on_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    files.write(path, b"before")
    seen = []
    fsync = os.fsync

    def look(descriptor: int) -> None:
        fsync(descriptor)
        seen.append((path.read_bytes(), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fsync", look)
    files.write(path, b"afterwards")
    assert seen == [(b"before", len(b"afterwards"))]
    assert path.read_bytes() == b"afterwards"


def test_failed_write_leaves_the_former_content_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    files.write(path, b"before")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError):
        files.write(path, b"after")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_failed_write_names_the_file_and_not_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError) as caught:
        files.write(tmp_path / "file", b"content")
    assert caught.value.filename == str(tmp_path / "file")
    assert caught.value.errno == errno.ENOSPC


# Writing a folder.


def test_folder_appears_at_the_end_with_its_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder"
    with files.folder(path) as part:
        (part / "file").write_bytes(b"content")
        assert not path.exists()
    assert (path / "file").read_bytes() == b"content"
    assert os.listdir(tmp_path / "new") == ["folder"]


def test_folder_replaces_the_former_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    with files.folder(path) as part:
        (part / "new").touch()
        assert os.listdir(path) == ["old"]
    assert os.listdir(path) == ["new"]


def test_failure_leaves_the_former_folder_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(KeyboardInterrupt), files.folder(path) as part:
        (part / "new").touch()
        raise KeyboardInterrupt
    assert os.listdir(path) == ["old"]
    assert os.listdir(tmp_path) == ["folder"]


def test_part_of_a_killed_process_is_not_in_the_next_folder(tmp_path: Path) -> None:
    (tmp_path / ".folder.part").mkdir()
    (tmp_path / ".folder.part" / "left").touch()
    with files.folder(tmp_path / "folder") as part:
        (part / "new").touch()
    assert os.listdir(tmp_path / "folder") == ["new"]


# Links.


def test_file_behind_a_link_is_written_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "file")
    files.write(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "file").read_bytes() == b"content"


@pytest.mark.parametrize("exists", [True, False])
def test_folder_behind_a_link_is_replaced_and_the_link_stays(exists: bool, tmp_path: Path) -> None:
    """A user may have the data on another disk."""
    disk = tmp_path / "disk"
    if exists:
        disk.mkdir()
        (disk / "old").touch()
    (tmp_path / "link").symlink_to(disk)
    with files.folder(tmp_path / "link") as part:
        (part / "new").touch()
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(disk) == ["new"]
    assert sorted(os.listdir(tmp_path)) == ["disk", "link"]


# Reading.


def test_saved_tensors_are_loaded(tmp_path: Path) -> None:
    torch.save({"x": torch.arange(3)}, tmp_path / "x.pt")
    assert files.load(tmp_path / "x.pt")["x"].tolist() == [0, 1, 2]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"x\.pt: no such file$"):
        files.load(tmp_path / "x.pt")


def test_file_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        files.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", b"\x80\x02."])
def test_damaged_file_is_named_in_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(FileError, match=r"x\.pt: damaged \(.+\)$") as caught:
        files.load(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_code_in_a_file_is_never_run(form: str, tmp_path: Path) -> None:
    hostile = TouchesAFile(tmp_path / "was run")
    if form == "torch":
        torch.save(hostile, tmp_path / "x.pt")
    else:
        (tmp_path / "x.pt").write_bytes(pickle.dumps(hostile, protocol=2))
    with pytest.raises(FileError, match=r"x\.pt: damaged \("):
        files.load(tmp_path / "x.pt")
    assert not (tmp_path / "was run").exists()


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02"]), rest=st.binary(max_size=500))
def test_file_of_any_bytes_is_a_user_error(start: bytes, rest: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(start + rest)
    with pytest.raises(UserError):
        files.load(tmp_path / "x.pt")
