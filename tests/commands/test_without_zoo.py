"""`rm -r zoo tests/zoo` leaves a whole project."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import copy_project, needs_zoo, run

# Those that read what the project consists of.
TESTS = ("tests/stages/test_deps.py", "tests/pages", "tests/commands/test_root.py")


@needs_zoo
@pytest.mark.slow
def test_tests_are_found_and_pass_without_the_zoo(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    shutil.rmtree(project / "zoo")
    shutil.rmtree(project / "tests" / "zoo")
    run("pytest", "--quiet", "--collect-only", "-m", "slow or not slow", cwd=project)
    # Not as a worker of the tests around it, whose clones have the zoo.
    run("pytest", "--quiet", *TESTS, cwd=project, env={"PYTEST_XDIST_WORKER": ""})
