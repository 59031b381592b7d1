"""Run a stage script and write down what it imports and which settings it reads.

Usage: python tests/trace.py TRACE.json STAGE.py OPTIONS
"""

import contextlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "torchvision", "matplotlib", "dvclive"}
reads: set[str] = set()


class Recorder:
    """Settings that remember which of them were asked for."""

    def __init__(self, settings: BaseModel, prefix: str = "") -> None:
        self._settings, self._prefix = settings, prefix

    def __getattr__(self, key: str) -> Any:
        value = getattr(self._settings, key)
        if isinstance(value, BaseModel):
            return Recorder(value, f"{self._prefix}{key}.")
        reads.add(self._prefix + key)
        return value


def main(trace: Path, script: Path) -> None:
    validate = BaseModel.model_validate.__func__  # type: ignore[attr-defined]
    BaseModel.model_validate = classmethod(  # type: ignore[assignment, method-assign]
        lambda cls, content: Recorder(validate(cls, content))
    )
    sys.path.insert(0, str(script.parent))  # as Python itself does for a script
    with contextlib.suppress(SystemExit):
        runpy.run_path(str(script), run_name="__main__")
    files = {script} | {
        Path(file)
        for module in sys.modules.values()
        if (file := getattr(module, "__file__", None)) and module.__name__ != "__main__"
    }
    imports = [str(file.relative_to(ROOT)) for file in files if is_ours(file)]
    heavy = sorted(HEAVY & set(sys.modules))
    trace.write_text(json.dumps({"imports": imports, "reads": sorted(reads), "heavy": heavy}))


def is_ours(file: Path) -> bool:
    return any(file.is_relative_to(ROOT / folder) for folder in ("src", "stages"))


if __name__ == "__main__":
    _, trace, script, *options = sys.argv
    sys.argv = [script, *options]
    main(Path(trace), Path(script))
