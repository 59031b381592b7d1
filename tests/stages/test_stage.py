"""What the dispatcher promises of every stage: arguments, errors, exit status, imports."""

import importlib
import inspect
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import indent
from types import SimpleNamespace

import _stage
import pytest

from cifar2 import environment
from cifar2.errors import FileError, MissingFile, UserError
from tests.conftest import ROOT, STAGES, run, words, write

RunStage = Callable[..., str]


def toy(folder: Path, main: str) -> list[str]:
    """Copy the stages and add one whose `main` has the given lines; return the command for it."""
    for name in ("stages", "src"):
        shutil.copytree(ROOT / name, folder / name)
    source = f"import os, sys, time\nHELP = {{}}\ndef main():\n{indent(main, '    ')}\n"
    (folder / "stages/toy.py").write_text(source)
    return [sys.executable, str(folder / "stages"), "toy"]


@pytest.fixture
def run_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[RunStage]:
    """Give a function that runs a stage in an empty folder, and returns what it prints."""
    handlers = {number: signal.getsignal(number) for number in _stage.STOP_SIGNALS}
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)

    def run_stage(*words: str, status: int = 2) -> str:
        with pytest.raises(SystemExit) as end:
            _stage.run(words)
        assert end.value.code == status
        return "".join(capsys.readouterr())

    yield run_stage
    for number, handler in handlers.items():
        signal.signal(number, handler)


# Those of the zoo, too, where it is there.
MODULES = [*STAGES, *(f"zoo.{p.stem}" for p in ROOT.glob("zoo/*.py") if "\nHELP" in p.read_text())]


@pytest.mark.parametrize("name", MODULES)
def test_help_names_every_path(name: str, run_stage: RunStage) -> None:
    stage = importlib.import_module(name)
    parameters = inspect.signature(stage.main).parameters
    assert list(stage.HELP) == list(parameters)
    said = run_stage(name, "--help", status=0)
    for path, parameter in parameters.items():
        option = f"--{path.replace('_', '-')} PATH"
        assert option in said and (f"[{option}]" in said) == (parameter.default is None)


def test_wrong_arguments_are_named(run_stage: RunStage) -> None:
    assert run_stage("evalute").startswith("usage: python stages {")
    assert run_stage() == run_stage("_stage")
    said = run_stage("settings", "--settings", "params.yaml")
    assert said.endswith(
        "settings: error: the following arguments are required: --checked, --sources, --weights\n"
    )
    words = ["--settings", "s.yaml", "--raw", "data/raw", "--data", "data", "--whole-val", "v.pt"]
    words += ["--sources", "sources", "--facts", "f.json"]
    assert run_stage("filter", *words).startswith("filter: --raw must not be --data or lie in it: ")


RUN_STAGES = f"""
import contextlib, json, sys
sys.path[:0] = {[str(ROOT / folder) for folder in ("stages", "src", ".")]}
import _stage
from cifar2.data import synthetic
synthetic.TRAIN_PER_CLASS = synthetic.VAL_PER_CLASS = 2
for words in json.loads(sys.argv[1]):
    with contextlib.suppress(SystemExit):
        _stage.run(words)
    slow = "dvclive", "matplotlib", "torch", "torchvision"
    print("after", words[0], *(name for name in slow if name in sys.modules))
"""


def test_slow_modules_are_imported_by_the_stages_that_need_them(tmp_path: Path) -> None:
    """Run them one after the other in a process, and look at what is imported after each.

    The process is that of a notebook, of a user whose settings of matplotlib are damaged.
    """
    write(tmp_path / "params.yaml", data__source="synthetic", train__epochs=1)
    (tmp_path / "damaged").write_bytes(b"font.size: \xff")
    env = {"MPLBACKEND": "module://not.there", "MATPLOTLIBRC": str(tmp_path / "damaged")}
    commands = [[name, "--help"] for name in MODULES] + [words(name)[2:] for name in STAGES]
    said = run(sys.executable, "-c", RUN_STAGES, json.dumps(commands), cwd=tmp_path, env=env)
    lines = [line for line in said.splitlines() if line.startswith("after ")]
    names = [*MODULES, "settings", "download", "filter torch", "train dvclive torch"]
    names += ["evaluate dvclive torch", "plot dvclive matplotlib torch"]
    assert lines == [f"after {name}" for name in names], said
    assert (tmp_path / "models/README.md").exists()


def test_stage_runs_the_library_beside_it_with_threads_that_sleep(tmp_path: Path) -> None:
    """Queued experiments run in copies of the project, which must run their own code."""
    command = toy(tmp_path, "import cifar2; print(cifar2.__file__, os.environ['OMP_WAIT_POLICY'])")
    env = {"PYTHONPATH": str(ROOT / "src"), "PYTHONSAFEPATH": "1", "OMP_DYNAMIC": "true"}
    said = run(*command, cwd=ROOT, env=env)
    assert said == f"{tmp_path / 'src/cifar2/__init__.py'} PASSIVE\n"


def test_missing_package_is_one_line_but_not_a_module_of_this_project(tmp_path: Path) -> None:
    # -S: without packages, as where the environment is not active.
    said = run(sys.executable, "-S", ROOT / "stages", "settings", cwd=tmp_path, status=2)
    assert said == f"No module named 'psutil' in {sys.executable}: activate the environment\n"
    assert "Traceback" in run(*toy(tmp_path, "import cifar2.none"), cwd=tmp_path, status=1)


@pytest.mark.parametrize("chosen", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "9"}])
def test_threads_wait_as_the_user_says_and_are_not_limited(
    chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer threads than it was told, PyTorch hangs, or computes wrong gradients."""
    limits = {"OMP_THREAD_LIMIT": "1", "OMP_DYNAMIC": "true"}
    monkeypatch.setattr(os, "environ", chosen | limits)
    environment.prepare()
    assert os.environ.items() >= chosen.items() and os.environ.keys().isdisjoint(limits)


@pytest.mark.parametrize(
    ("error", "line", "more"),
    [
        (UserError("too few"), "too few", {}),
        (FileError("a.csv", "damaged"), "a.csv: damaged; `dvc repro -f` makes it again", {}),
        (FileError("a.csv", "damaged"), "a.csv: damaged; mend it", {"DAMAGED": "mend it"}),
        (MissingFile("a.csv"), "a.csv: no such file; `dvc repro` makes it", {}),
        (MissingFile("a.csv"), "a.csv: no such file; make it", {"MISSING": "make it"}),
        (OSError(28, "No space left", "a.csv"), "a.csv: No space left", {}),
        (OSError(28, "No space left"), "writing: No space left", {}),
        (OSError("Cannot call rmtree on a link"), "Cannot call rmtree on a link", {}),
    ],
)
def test_user_s_error_is_one_line_and_status_2(
    error: Exception, line: str, more: dict[str, str], run_stage: RunStage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def main() -> None:
        raise error

    monkeypatch.setitem(sys.modules, "zoo.toy", SimpleNamespace(main=main, HELP={}, **more))
    assert run_stage("zoo.toy") == f"toy: {line}\n"


def test_bug_is_a_traceback(run_stage: RunStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zoo.toy", SimpleNamespace(main=lambda: 1 / 0, HELP={}))
    with pytest.raises(ZeroDivisionError):
        _stage.run(["zoo.toy"])
