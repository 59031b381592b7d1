"""What the dispatcher promises of every stage: arguments, errors, exit status, times, imports."""

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

from cifar2 import openmp
from cifar2.errors import FileError, MissingFile, UserError
from tests.conftest import ROOT, STAGES, contents, run, words, write
from tests.stages.source import imported_modules, reached_files

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
    assert said.endswith("settings: error: the following arguments are required: --checked\n")


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


def test_help_and_the_first_stages_import_few_slow_modules(tmp_path: Path) -> None:
    """Run them one after the other in a process, and look at what is imported after each."""
    write(tmp_path / "params.yaml", data__source="synthetic")
    commands = [[name, "--help"] for name in MODULES]
    commands += [words(name)[2:] for name in ("settings", "download", "filter")]
    said = run(sys.executable, "-c", RUN_STAGES, json.dumps(commands), cwd=tmp_path)
    lines = [line for line in said.splitlines() if line.startswith("after ")]
    names = [*MODULES, "settings", "download", "filter torch"]
    assert lines == [f"after {name}" for name in names]
    assert (tmp_path / "data/cifar2/train.pt").exists()


@pytest.mark.parametrize(
    ("module", "stages"),
    # `download` has only the names and checksums from the file that can read CIFAR-10.
    [("matplotlib", {"plot"}), ("torchvision", {"filter", "download"})],
)
def test_slow_module_is_within_reach_of_few_stages(module: str, stages: set[str]) -> None:
    files = {name: reached_files(ROOT / "stages" / f"{name}.py") for name in STAGES}
    assert {n for n in files if any(module in imported_modules(f) for f in files[n])} == stages


def test_stage_runs_the_library_beside_it_with_threads_that_sleep(tmp_path: Path) -> None:
    """Queued experiments run in copies of the project, which must run their own code."""
    command = toy(tmp_path, "import cifar2; print(cifar2.__file__, os.environ['OMP_WAIT_POLICY'])")
    env = {"PYTHONPATH": str(ROOT / "src"), "PYTHONSAFEPATH": "1", "OMP_DYNAMIC": "true"}
    said = run(*command, cwd=ROOT, env=env)
    assert said == f"{tmp_path / 'src/cifar2/__init__.py'} PASSIVE\n"


@pytest.mark.parametrize("chosen", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "9"}])
def test_threads_wait_as_the_user_says(
    chosen: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", chosen | {"OMP_THREAD_LIMIT": "1"})
    openmp.prepare()
    assert os.environ == chosen


@pytest.mark.parametrize("stage", STAGES)
def test_wrong_setting_is_one_line_and_status_2(
    stage: str, tmp_path: Path, run_stage: RunStage
) -> None:
    write(tmp_path / "params.yaml", model__name="netresdep")
    said = run_stage(*words(stage)[2:])
    assert said.startswith(
        f"{stage}: params.yaml: model.name: 'netresdep': unknown model; did you mean 'netresdeep'?"
    )
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == ["params.yaml"]


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


def test_success_is_silent_and_a_bug_is_a_traceback(
    run_stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zoo.toy", SimpleNamespace(main=lambda: None, HELP={}))
    assert run_stage("zoo.toy", status=0) == ""
    monkeypatch.setitem(sys.modules, "zoo.toy", SimpleNamespace(main=lambda: 1 / 0, HELP={}))
    with pytest.raises(ZeroDivisionError):
        _stage.run(["zoo.toy"])


PIPELINE = """\
stages:
  first:
    outs: [cached, {kept: {persist: true}}]
  second:
    outs: [{table.csv: {cache: false}}, {missing.csv: {cache: false}}, {series: {cache: false}}]
    metrics: [{accuracy.json: {cache: false}}]
"""
TRACKED = {"params.yaml", "dvc.lock", "table.csv", "series/train/loss.tsv", "accuracy.json"}


@pytest.mark.parametrize("under_dvc", [True, False])
def test_under_dvc_a_stage_first_sets_back_the_times_of_what_git_tracks(
    under_dvc: bool, tmp_path: Path, run_stage: RunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git takes a file of the same size and time for unchanged. The stage here even fails."""
    for name in [*TRACKED, "cached", "kept"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    utime, refused = os.utime, Path("accuracy.json")  # as if it were another user's

    def refuse(path: Path, times: tuple[float, float]) -> None:
        if path == refused:
            raise PermissionError
        utime(path, times=times)

    if under_dvc:
        monkeypatch.setenv("DVC_STAGE", "settings")
        monkeypatch.setattr(_stage, "_dvc", lambda: None)
        monkeypatch.setattr(os, "utime", refuse)
    before = {name: (tmp_path / name).stat().st_mtime for name in contents(tmp_path)}
    run_stage(*words("settings")[2:])
    for name, time in before.items():
        tracked = under_dvc and name in TRACKED - {str(refused)}
        assert (tmp_path / name).stat().st_mtime == pytest.approx(time - 3600 * tracked), name
        assert name == "dvc.yaml" or (tmp_path / name).read_text() == name
