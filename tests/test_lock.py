"""The locked versions of all dependencies, beside the direct ones in requirements.txt."""

import importlib.metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def requirements(name: str) -> list[Requirement]:
    """Return the requirements in a file that hold on this system."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line]
    return [each for each in found if each.marker is None or each.marker.evaluate()]


def test_every_dependency_is_locked_at_the_version_that_is_installed() -> None:
    locked = {canonicalize_name(each.name): each for each in requirements("constraints.txt")}
    left = requirements("requirements.txt")
    seen = set()
    while left:
        wanted = left.pop()
        name = canonicalize_name(wanted.name)
        installed = importlib.metadata.distribution(name)
        assert locked[name].specifier.contains(installed.version), name
        for extra in ("", *wanted.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                needed = [Requirement(text) for text in installed.requires or []]
                left += [
                    each
                    for each in needed
                    if each.marker is None or each.marker.evaluate({"extra": extra})
                ]


def test_direct_dependencies_have_the_same_version_in_both_files() -> None:
    locked = {canonicalize_name(each.name): each for each in requirements("constraints.txt")}
    for wanted in requirements("requirements.txt"):
        assert wanted.specifier == locked[canonicalize_name(wanted.name)].specifier, wanted.name


def test_lock_file_is_for_every_system() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert "; sys_platform == 'linux'" in text and "; sys_platform == 'win32'" in text
