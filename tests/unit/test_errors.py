"""The errors that a user can put right, and how the library's own and others' are told."""

from pathlib import Path

import pytest

from cifar2.errors import FileError, MissingFile, UserError, first_line


def test_file_error_names_the_file_and_the_reason() -> None:
    assert str(FileError(Path("a/b.pt"), ValueError("too short"))) == "a/b.pt: too short"


def test_missing_file_is_caught_as_a_file_error_and_as_a_user_error() -> None:
    for kind in (FileError, UserError):
        with pytest.raises(kind, match=r"^a/b\.pt: no such file$"):
            raise MissingFile(Path("a/b.pt"))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one"), "one"),
        (ValueError("one\ntwo"), "one"),
        (EOFError(), "EOFError"),
        (KeyError("val"), "'val'"),
    ],
)
def test_first_line_of_an_error_is_never_empty(error: Exception, line: str) -> None:
    assert first_line(error) == line
