"""What the source of a stage imports and which settings it reads, found without running it."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_type_hints

from cifar2 import PLUMBING
from cifar2.params import Params
from tests.conftest import ROOT

NETWORKS = {path for path in (ROOT / "src/cifar2/models").glob("*.py") if path.stem != "__init__"}


def file_of(module: str) -> Path | None:
    """Return the file of a module of this project; None for another's module."""
    path = ROOT / "src" / module.replace(".", "/")
    places = [ROOT / "stages" / f"{module}.py", path.with_suffix(".py"), path / "__init__.py"]
    return next((place for place in places if place.exists()), None)


def holds_only_a_docstring(file: Path) -> bool:
    return all(isinstance(node, ast.Expr) for node in ast.parse(file.read_text()).body)


PLUMBING_FILES = {file_of(module) for module in PLUMBING}
# The code that no stage depends on, although it imports it.
NOT_IN_DEPS = PLUMBING_FILES | set(
    filter(holds_only_a_docstring, (ROOT / "src").rglob("__init__.py"))
)


def imported_modules(file: Path) -> set[str]:
    """Return the modules that a file imports, also those within functions, with their packages."""
    names = set()
    to_visit: list[ast.AST] = [ast.parse(file.read_text())]
    while to_visit:
        node = to_visit.pop()
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                to_visit += node.orelse
                continue
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                assert node.module and not node.level, f"{file}: a relative import"
                # A name that is imported from a package may be one of its modules.
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        to_visit += ast.iter_child_nodes(node)
    packages = {name.rsplit(".", n)[0] for name in names for n in range(1, name.count(".") + 1)}
    return names | packages


@cache
def reached_files(script: Path) -> frozenset[Path]:
    """Return the project's files that a script consists of: itself, and all that it imports.

    Networks are imported by name, so a script that builds one reaches all of them.
    """
    reached: set[Path] = set()
    to_visit = {script}
    while to_visit:
        file = to_visit.pop()
        reached.add(file)
        found = {path for name in imported_modules(file) if (path := file_of(name))}
        if file not in PLUMBING_FILES and calls(file, "get_model"):
            found |= NETWORKS
        to_visit |= found - reached
    return frozenset(reached)


def calls(file: Path, function: str) -> bool:
    """Tell whether a file calls a function of this name, of whichever module."""
    return any(
        isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == function
        for node in ast.walk(ast.parse(file.read_text()))
    )


def settings_read(file: Path) -> set[str]:
    """Return the settings that a file reads: `group.key`, or `group` where it takes it whole.

    It reads them from an argument that is annotated as `Params`, or from what `params.load` gave.
    """
    tree = ast.parse(file.read_text())
    sources = [r"params\.load\(\w+\)"]
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name, annotation=ast.expr() as annotation):
                if ast.unparse(annotation) in ("Params", "params.Params"):
                    sources.append(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                if ast.unparse(call.func) == "params.load":
                    sources.append(name)
    pattern = rf"\b(?:{'|'.join(sources)})\.(\w+)(?:\.(\w+))?"
    return {
        f"{group}.{key}" if key in fields(group) else group
        for group, key in re.findall(pattern, ast.unparse(tree))
        if group in Params.model_fields
    }


def fields(group: str) -> set[str]:
    """Return the names of the settings in a group."""
    return set(get_type_hints(Params)[group].model_fields)
