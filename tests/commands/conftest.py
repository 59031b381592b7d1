"""What several tests of commands read in a clone."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

from tests.conftest import run


def stages_run(said: str) -> list[str]:
    """Return the stages that `dvc repro` or `dvc exp run` says it ran."""
    return re.findall(r"^Running stage '(\w+)':$", said, re.MULTILINE)


def metrics(clone: Path) -> Any:
    return json.loads((clone / "metrics" / "accuracy.json").read_text())


def experiment(clone: Path, *words: str, status: int = 0) -> str:
    """Run `dvc exp run`; a word without a dash is a setting."""
    options = [[word] if word.startswith("-") else ["-S", word] for word in words]
    return run("dvc", "exp", "run", *itertools.chain(*options), cwd=clone, status=status)
