"""What `_stage.run` promises of every stage: arguments, errors, exit status."""

import os
import sys
from pathlib import Path
from textwrap import indent

import pytest

from tests.conftest import ROOT, SCRIPTS, run, words, write


@pytest.mark.parametrize("stage", SCRIPTS)
def test_help_names_every_path(stage: str) -> None:
    python, script, *options = words(stage)
    said = run(python, script, "--help", cwd=ROOT)
    for option in options[::2]:
        assert f"{option} PATH" in said


@pytest.mark.parametrize("stage", SCRIPTS)
def test_stage_finds_its_modules_where_python_leaves_out_the_script_s_folder(stage: str) -> None:
    python, script, *_ = words(stage)
    run(python, script, "--help", cwd=ROOT, env={"PYTHONSAFEPATH": "1"})


def test_threads_of_openmp_do_not_spin_unless_the_user_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = toy(tmp_path, "import os; print(os.environ.get('OMP_WAIT_POLICY'))")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert run(*command, cwd=tmp_path) == "PASSIVE\n"
    assert run(*command, cwd=tmp_path, env={"OMP_WAIT_POLICY": "ACTIVE"}) == "ACTIVE\n"
    assert run(*command, cwd=tmp_path, env={"GOMP_SPINCOUNT": "9"}) == "None\n"


def test_missing_argument_is_named(tmp_path: Path) -> None:
    python, script, *_ = words("settings")
    said = run(python, script, "--settings", "params.yaml", cwd=tmp_path, status=2)
    assert said.endswith("settings.py: error: the following arguments are required: --checked\n")


@pytest.mark.parametrize("stage", ["settings", "download", "filter", "train", "evaluate"])
def test_wrong_setting_is_one_line_and_status_2(stage: str, tmp_path: Path) -> None:
    write(tmp_path / "params.yaml", model__name="netresdep")
    said = run(*words(stage), cwd=tmp_path, status=2)
    assert said.startswith(
        f"{stage}: params.yaml: model.name: 'netresdep': unknown model; did you mean 'netresdeep'?"
    )
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == ["params.yaml"]


def test_missing_input_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    write(tmp_path / "params.yaml")
    said = run(*words("filter"), cwd=tmp_path, status=2)
    assert said == "filter: data/raw: no such file; `dvc repro` makes it\n"


def test_missing_input_of_the_zoo_is_made_by_another_command(tmp_path: Path) -> None:
    said = run(*words("confusion_ten_classes"), cwd=tmp_path, status=2)
    assert said == "confusion: runs/baseline-1/accuracy.json: no such file; `make zoo` makes it\n"


def test_missing_settings_are_named(tmp_path: Path) -> None:
    said = run(*words("settings"), cwd=tmp_path, status=2)
    assert said == "settings: params.yaml: No such file or directory\n"


def test_stage_runs_the_library_beside_it(tmp_path: Path) -> None:
    """Queued experiments run in copies of the project, which must run their own code."""
    for name in ("stages", "src"):
        run("cp", "-r", ROOT / name, tmp_path, cwd=ROOT)
    module = tmp_path / "src" / "cifar2" / "params.py"
    module.write_text(module.read_text() + "\nprint('the copy is imported')\n")
    write(tmp_path / "params.yaml")
    script = tmp_path / "stages" / "settings.py"
    command = (sys.executable, script, "--settings", "params.yaml", "--checked", "checked")
    said = run(*command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "src")})
    assert said == "the copy is imported\n"


def toy(folder: Path, main: str) -> list[str]:
    """Write a stage whose `main` consists of the given lines; return the command that runs it."""
    script = folder / "toy.py"
    script.write_text(
        f"import sys, time\n"
        f"sys.path.insert(0, {str(ROOT / 'stages')!r})\n"
        f"import _stage\n"
        f"from cifar2.errors import FileError, MissingFile, UserError\n"
        f"def main():\n"
        f"{indent(main, '    ')}\n"
        f"_stage.run(main, 'A toy.', missing='make it', damaged='mend it')\n"
    )
    return [sys.executable, str(script)]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("UserError('too few')", "toy: too few"),
        ("FileError('a.json', 'damaged')", "toy: a.json: damaged; mend it"),
        ("MissingFile('a.json')", "toy: a.json: no such file; make it"),
        ("OSError(28, 'No space left', 'a.json')", "toy: a.json: No space left"),
        ("OSError(28, 'No space left')", "toy: writing: No space left"),
        (
            "OSError('Cannot call rmtree on a symbolic link')",
            "toy: Cannot call rmtree on a symbolic link",
        ),
    ],
)
def test_user_s_error_is_one_line_and_status_2(error: str, line: str, tmp_path: Path) -> None:
    assert run(*toy(tmp_path, f"raise {error}"), cwd=tmp_path, status=2) == f"{line}\n"


def test_bug_is_a_traceback_and_status_1(tmp_path: Path) -> None:
    said = run(*toy(tmp_path, "raise ValueError('a bug')"), cwd=tmp_path, status=1)
    assert said.startswith("Traceback") and said.endswith("Error: a bug\n")


def test_success_is_silent_and_status_0(tmp_path: Path) -> None:
    assert run(*toy(tmp_path, "pass"), cwd=tmp_path) == ""
