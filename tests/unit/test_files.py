"""Files that appear whole or not at all, and how damaged ones are read."""

import errno
import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cifar2 import files
from cifar2.errors import FileError, MissingFile
from tests.conftest import contents


class TouchesAFile:
    """An object whose unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


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
    path = tmp_path / "file"
    files.write(path, b"before")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError) as caught:
        files.write(path, b"after")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert contents(tmp_path) == {"file": b"before"}


def test_folder_replaces_the_former_one_whole_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder"
    (path.parent / ".folder.part").mkdir(parents=True)
    (path.parent / ".folder.part" / "left by a killed process").touch()
    with files.folder(path) as part:
        (part / "old").touch()
        assert not path.exists()
    assert contents(tmp_path) == {"new/folder/old": b""}
    with files.folder(path) as part:
        (part / "new").write_bytes(b"content")
        assert os.listdir(path) == ["old"]
    assert contents(tmp_path) == {"new/folder/new": b"content"}
    with pytest.raises(KeyboardInterrupt), files.folder(path) as part:
        (part / "newer").touch()
        raise KeyboardInterrupt
    assert contents(tmp_path) == {"new/folder/new": b"content"}
    assert os.listdir(path.parent) == ["folder"]


@pytest.mark.parametrize("exists", [True, False])
def test_what_is_behind_a_link_is_replaced_and_the_link_stays(exists: bool, tmp_path: Path) -> None:
    """A user may have the data on another disk."""
    disk = tmp_path / "disk"
    if exists:
        (disk / "folder").mkdir(parents=True)
        (disk / "folder" / "old").touch()
        (disk / "file").touch()
    for name in ("file", "folder"):
        (tmp_path / name).symlink_to(disk / name)
    files.write(tmp_path / "file", b"content")
    with files.folder(tmp_path / "folder") as part:
        (part / "new").touch()
    assert (tmp_path / "file").is_symlink() and (tmp_path / "folder").is_symlink()
    assert contents(disk) == {"file": b"content", "folder/new": b""}
    assert sorted(os.listdir(tmp_path)) == ["disk", "file", "folder"]


# Reading


def test_tensors_are_loaded_and_what_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    torch.save({"x": torch.arange(3)}, tmp_path / "x.pt")
    assert files.load(tmp_path / "x.pt")["x"].tolist() == [0, 1, 2]
    with pytest.raises(MissingFile, match=r"y\.pt: no such file$"):
        files.load(tmp_path / "y.pt")
    with pytest.raises(IsADirectoryError):
        files.load(tmp_path)


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


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(start=b"", rest=b"")
@example(start=b"", rest=b"junk")
@example(start=b"PK\x03\x04", rest=b"junk")
@example(start=b"\x80\x02", rest=b".")
@given(start=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02"]), rest=st.binary(max_size=500))
def test_file_of_any_bytes_is_damaged_in_one_line(
    start: bytes, rest: bytes, tmp_path: Path
) -> None:
    (tmp_path / "x.pt").write_bytes(start + rest)
    with pytest.raises(FileError, match=r"x\.pt: damaged \(.+\)$") as caught:
        files.load(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)
