"""What a user can put right.

    UserError
    ├── FileError           a file that another stage made can't be used
    │   └── MissingFile     it is not there
    └── download.Failure    an address does not have CIFAR-10
        └── NoNetwork       none of the mirrors can be reached

The message is one line that says what is wrong and where. What to type against it depends on who
asks, so the stages add that.
"""

import re
from pathlib import Path


class UserError(Exception):
    """Something that the user can put right; the message is one line."""

    def __init__(self, message: str) -> None:
        # It may quote another library, or a file; a control character must not reach a terminal.
        super().__init__(printable(message))


class FileError(UserError):
    """A file that another stage made can't be used: it is damaged, or does not fit."""

    def __init__(self, path: Path | str, reason: object) -> None:
        super().__init__(f"{path}: {reason}")


class MissingFile(FileError):
    """A file that another stage makes is not there."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path, "no such file")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return (str(error) or type(error).__name__).splitlines()[0]


def printable(text: object) -> str:
    """Return a text with escapes for what would break a line, control a terminal or reorder text,
    and for each byte of a file's name that is not UTF-8."""
    unprintable = r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    # Python keeps the byte xf6 of a name as udcf6.
    return re.sub(unprintable, lambda found: ascii(found[0])[1:-1].replace("udc", "x"), str(text))
