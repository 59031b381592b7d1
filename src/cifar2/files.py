"""Files that appear whole or not at all, and are read with care."""

import os
from pathlib import Path
from typing import Any

from cifar2 import UserError


def write(path: Path, content: bytes) -> None:
    """Write a file, and its folder where it is missing; `path` is never seen half-written.

    Raises:
        OSError: if it can't be written; what lay at `path` before is still there then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with open(part, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> Any:
    """Read what `torch.save` wrote: tensors and plain containers alone, no code is run.

    Raises:
        UserError: if the file is missing or is anything else.
    """
    import torch  # here: to write takes no torch

    try:
        return torch.load(path, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; `dvc repro` makes it") from error
    except OSError:
        raise
    except Exception as error:  # for a damaged file torch raises whatever it runs into
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: is damaged ({reason}); `dvc repro -f` makes it anew") from error
