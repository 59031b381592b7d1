"""What the source of a stage imports, reads and depends on, found without running it."""

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from cifar2 import PLUMBING
from cifar2.params import Params
from tests.conftest import ROOT

Stage = dict[str, Any]  # as it stands in dvc.yaml
# Calls that write a file, and not into a buffer.
WRITING = re.compile(
    r"\bopen\([^()]*'[rbt]*[wax+]|\.(write_bytes|write_text|tofile|touch|rename|extract(all)?)\("
    r"|\bos\.(replace|rename)\(|\bshutil\.(copy|move)|\bLive\("
    r"|\.savefig\((?!buffer)|\b(np|torch)\.save\w*\((?!.*\bbuffer\b)"
)
NETWORKS = {path for path in (ROOT / "src/cifar2/models").glob("*.py") if path.stem != "__init__"}


@cache
def parsed(file: Path) -> ast.Module:
    """Return the syntax tree of a file, without what only a type checker reads."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return tree


def file_of(module: str) -> Path | None:
    """Return the file of a module of this project; None for another's module."""
    name = module.replace(".", "/")
    places = [
        ROOT / folder / file
        for folder in ("stages", "src", ".")  # the last for the modules of the zoo
        for file in (f"{name}.py", f"{name}/__init__.py")
    ]
    return next((place for place in places if place.exists()), None)


PLUMBING_FILES = {file_of(module) for module in PLUMBING}
# The code that no stage depends on, although it imports it: the plumbing, files of packages that
# hold only a docstring, and that of the zoo, which sets the path.
NOT_IN_DEPS = PLUMBING_FILES | set(ROOT.glob("zoo/__init__.py"))
NOT_IN_DEPS |= {
    path
    for path in (ROOT / "src").rglob("__init__.py")
    if all(isinstance(node, ast.Expr) for node in parsed(path).body)
}


def imported_modules(file: Path) -> set[str]:
    """Return the modules that a file imports, also those within functions, with their packages."""
    names = set()
    for node in ast.walk(parsed(file)):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                assert node.module and not node.level, f"{file}: a relative import"
                # A name that is imported from a package may be one of its modules.
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
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
        if file not in PLUMBING_FILES and "get_model" in called(file):
            found |= NETWORKS
        to_visit |= found - reached
    return frozenset(reached)


def called(file: Path) -> set[str]:
    """Return the names of the functions that a file calls, of whichever module."""
    calls = [node for node in ast.walk(parsed(file)) if isinstance(node, ast.Call)]
    return {ast.unparse(call.func).split(".")[-1] for call in calls}


def writes_files(file: Path) -> bool:
    """Tell whether a file writes files itself, and not through `cifar2.files`."""
    calls = [ast.unparse(node) for node in ast.walk(parsed(file)) if isinstance(node, ast.Call)]
    return any(WRITING.search(call) for call in calls)


def settings_read(file: Path) -> set[str]:
    """Return the settings that a file reads: `group.key`, or `group` where it takes it whole.

    It reads them from an argument that is annotated as `Params`, or from what `params.load` gave.
    """
    sources = [r"params\.load\(\w+\)"]
    for node in ast.walk(parsed(file)):
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
        for group, key in re.findall(pattern, ast.unparse(parsed(file)))
        if group in Params.model_fields
    }


def fields(group: str) -> set[str]:
    """Return the names of the settings in a group."""
    return set(get_type_hints(Params)[group].model_fields)


def script(stage: Stage) -> Path:
    """Return the module that a stage runs, by `python stages NAME …`."""
    python, stages, name, *_ = shlex.split(stage["cmd"])
    file = file_of(name)
    assert python == "python" and Path(stages).name == "stages" and file
    return file


def paths(stage: Stage, *keys: str) -> set[str]:
    """Return the paths in a stage's `deps`, `outs` or `metrics`, without their options."""
    entries = [entry for key in keys for entry in stage.get(key, [])]
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


def code(stage: Stage, folder: Path) -> set[Path]:
    """Return the files of code that a stage depends on, without the plumbing in their folders."""
    files: set[Path] = set()
    for dep in [(folder / path).resolve() for path in paths(stage, "deps")]:
        if dep.name == "${model.name}.py":
            files |= {path for path in NETWORKS if not path.stem.startswith("_")}
        elif dep.suffix == ".py":
            files.add(dep)
        elif dep.is_relative_to(ROOT / "src"):
            files |= set(dep.rglob("*.py")) - NOT_IN_DEPS
    return files
