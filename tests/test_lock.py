"""The locked versions of all dependencies, beside the direct ones in pyproject.toml."""

import importlib.metadata
import tomllib
from collections.abc import Iterable

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def requirements(texts: Iterable[str], extra: str = "") -> list[Requirement]:
    """Return the requirements that hold on this system, with an extra of who requires them."""
    found, asked = [Requirement(text) for text in texts], {"extra": extra}
    return [each for each in found if each.marker is None or each.marker.evaluate(asked)]


def locked() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = requirements(line for line in lines if not line.startswith("#"))
    return {canonicalize_name(each.name): each for each in found}


def test_every_dependency_is_locked_at_the_version_that_is_installed() -> None:
    lock = locked()
    left = requirements([*PROJECT["dependencies"], *EXTRAS["dev"]])
    seen = set()
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        installed = importlib.metadata.distribution(name)
        assert lock[name].specifier.contains(installed.version), name
        for extra in ("", *wanted.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                left += requirements(installed.requires or [], extra)


def test_lock_file_is_for_every_system() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "; sys_platform == 'linux'" in text and "; sys_platform == 'win32'" in text


def test_makefile_refuses_the_same_python_as_pip() -> None:
    lowest = PROJECT["requires-python"].removeprefix(">=")
    makefile = (ROOT / "Makefile").read_text()
    assert f"sys.version_info < ({', '.join(lowest.split('.'))})" in makefile
    assert f"Python {lowest} or newer" in makefile and f"--python-version {lowest} " in makefile
