"""`rm -r zoo tests/zoo` leaves a whole project."""

import ast
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, copy_project, needs_zoo, run

# Those that read what the project consists of.
TESTS = ("tests/stages/test_deps.py", "tests/pages", "tests/commands/test_root.py")


@needs_zoo
@pytest.mark.slow
def test_tests_are_found_and_pass_without_the_zoo(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    shutil.rmtree(project / "zoo")
    shutil.rmtree(project / "tests" / "zoo")
    run("pytest", "--quiet", "--collect-only", "-m", "slow or not slow", cwd=project)
    run("pytest", "--quiet", *TESTS, cwd=project)


@pytest.mark.parametrize("folder", ["src", "stages"])
def test_no_module_outside_imports_the_zoo(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", [])]
            names.append(getattr(node, "module", None) or "")
            assert not any(name.split(".")[0] == "zoo" for name in names), path
