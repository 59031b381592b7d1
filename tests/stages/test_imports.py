"""Which of the modules that take seconds to import a stage imports."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SCRIPTS, run, words
from tests.stages.source import imported_modules, reached_files

SLOW = {"torch", "torchvision", "matplotlib", "dvclive"}


def slow_imports(command: list[str], folder: Path) -> set[str]:
    """Run a Python command; return the slow modules that it imported."""
    python, *arguments = command
    said = run(python, "-X", "importtime", *arguments, cwd=folder)
    return SLOW & set(re.findall(r"^import time: .*\| +(\w+)$", said, re.MULTILINE))


@pytest.mark.parametrize("stage", SCRIPTS)
def test_help_imports_no_slow_module(stage: str) -> None:
    python, script, *_ = words(stage)
    assert slow_imports([python, script, "--help"], ROOT) == set()


@pytest.mark.parametrize(
    ("stage", "modules"),
    [("settings", set()), ("download", set()), ("filter", {"torch"})],
)
def test_stage_on_the_stand_in_imports_no_more_than_torch(
    stage: str, modules: set[str], folder: Path
) -> None:
    assert slow_imports(words(stage), folder) == modules


def test_confusion_draws_without_torch(folder: Path) -> None:
    run_folder = folder / "runs/baseline-1"
    run_folder.mkdir(parents=True)
    shutil.copy(folder / "metrics/accuracy.json", run_folder)
    shutil.copy(folder / "plots/predictions.csv", run_folder)
    assert slow_imports(words("confusion_ten_classes"), folder) == {"matplotlib"}


def test_series_are_read_without_dvclive() -> None:
    command = [sys.executable, "-c", "import cifar2.training.series"]
    assert slow_imports(command, ROOT / "src") == set()


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("matplotlib", {"plot", "surest", "compare", "compare_trials", "confusion_ten_classes"}),
        # `download` has only the names and checksums from the file that can read CIFAR-10.
        ("torchvision", {"filter", "download"}),
    ],
)
def test_slow_module_is_within_reach_of_few_stages(module: str, stages: set[str]) -> None:
    assert stages == {
        stage
        for stage in SCRIPTS
        if any(module in imported_modules(file) for file in reached_files(Path(words(stage)[1])))
    }
