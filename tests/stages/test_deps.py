"""What the stages of both pipelines declare in `deps` and `params`, held to their source."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from cifar2 import PLUMBING
from cifar2.models import list_models
from cifar2.params import Params
from cifar2.variants import Zoo
from tests.conftest import ROOT, STAGES, ZOO_STAGES, words
from tests.stages.source import (
    NETWORKS,
    NOT_IN_DEPS,
    calls,
    fields,
    file_of,
    imported_modules,
    reached_files,
    settings_read,
)

EVERY_STAGE: dict[str, dict[str, Any]] = STAGES | ZOO_STAGES
LIBRARY = sorted((ROOT / "src").rglob("*.py"))
# A run of the zoo depends on its settings, which hold checksums of its code (test_compose.py).
ZOO_RUNS = [stage for stage in ZOO_STAGES if stage.startswith(("train_", "evaluate_"))]
# `compose` always runs.
WITH_DEPS = [stage for stage in EVERY_STAGE if stage != "compose"]


def script(stage: str) -> Path:
    return Path(words(stage)[1])


def in_project(stage: str, names: list[Any]) -> set[Path]:
    """Return paths as `dvc.yaml` has them for a stage, whether with options or without."""
    folder = ROOT if stage in STAGES else ROOT / "zoo"
    text = "\n".join(name if isinstance(name, str) else next(iter(name)) for name in names)
    for variables in EVERY_STAGE[stage].get("vars", []):
        for key, value in variables.items():
            text = text.replace(f"${{{key}}}", value)
    text = text.replace("${item.seed}", "${key}")  # the seed alone is the key of filter_trials
    return {(folder / line).resolve() for line in text.splitlines()}


def deps(stage: str) -> set[Path]:
    return in_project(stage, EVERY_STAGE[stage].get("deps", []))


def outs(stage: str) -> set[Path]:
    """Return the outputs of a stage, with its metrics."""
    return in_project(
        stage, EVERY_STAGE[stage].get("outs", []) + EVERY_STAGE[stage].get("metrics", [])
    )


def is_code(path: Path) -> bool:
    return path.is_relative_to(ROOT / "src") or path.is_relative_to(ROOT / "stages")


def code_deps(stage: str) -> set[Path]:
    """Return the files of code that a stage depends on, without the plumbing in its folders."""
    files: set[Path] = set()
    for dep in filter(is_code, deps(stage)):
        if "${model.name}" in dep.name:
            files |= {dep.with_stem(name) for name in list_models()}
        elif dep.is_dir():
            files |= set(dep.rglob("*.py")) - NOT_IN_DEPS
        else:
            files.add(dep)
    return files


@pytest.mark.parametrize("stage", [stage for stage in WITH_DEPS if stage not in ZOO_RUNS])
def test_deps_are_the_imported_modules_without_plumbing(stage: str) -> None:
    """With more, a stage would run needlessly; with fewer, it would not run when it should."""
    named = code_deps(stage)
    if ROOT / "zoo/settings/evaluate" in deps(stage):
        named |= NETWORKS  # their checksums are in these files
    if ROOT / "zoo/settings/evaluate/${key}.yaml" in deps(stage):
        named |= code_deps("evaluate") - {script("evaluate")}  # likewise
    assert named == reached_files(script(stage)) - NOT_IN_DEPS


@pytest.mark.parametrize("stage", ZOO_RUNS)
def test_run_of_the_zoo_depends_on_its_settings_for_its_code(stage: str) -> None:
    main_stage = stage.partition("_")[0]
    assert script(stage) == script(main_stage)
    assert ROOT / "zoo/settings" / main_stage / "${key}.yaml" in deps(stage)
    assert code_deps(stage) == set()


@pytest.mark.parametrize("stage", WITH_DEPS)
def test_other_deps_are_outputs_of_other_stages(stage: str) -> None:
    others = [outs(other) for other in EVERY_STAGE if other != stage]
    outputs = set[Path]().union(*others)
    for dep in deps(stage):
        # An output, a file in one, or a folder of several.
        is_output = any(dep.is_relative_to(out) or out.is_relative_to(dep) for out in outputs)
        assert is_code(dep) or is_output, dep


@pytest.mark.parametrize("stage", WITH_DEPS)
def test_paths_of_a_command_are_deps_or_outputs(stage: str) -> None:
    """The exceptions are the scratch folder, and the settings, which `params` covers."""
    paths = shlex.split(EVERY_STAGE[stage]["cmd"])[3::2]
    assert ("params.yaml" in paths) == ("params" in EVERY_STAGE[stage])
    others = [path for path in paths if path not in ("params.yaml", ".dvc/tmp/snapshots")]
    assert in_project(stage, others) <= deps(stage) | outs(stage)


@pytest.mark.parametrize("stage", WITH_DEPS)
def test_no_stage_has_more_deps_than_one_can_read(stage: str) -> None:
    assert len(EVERY_STAGE[stage]["deps"]) <= 9


@pytest.mark.parametrize("module", sorted(PLUMBING))
def test_plumbing_is_imported_by_a_stage(module: str) -> None:
    assert any(file_of(module) in reached_files(script(stage)) for stage in EVERY_STAGE)


@pytest.mark.parametrize("name", list_models())
def test_network_imports_no_other_network(name: str) -> None:
    """Otherwise a stage would have to depend on both."""
    files = {file_of(module) for module in imported_modules(ROOT / f"src/cifar2/models/{name}.py")}
    assert files & NETWORKS <= {ROOT / "src/cifar2/models/_layers.py"}


def test_only_networks_are_imported_by_name() -> None:
    """The tests above would miss other modules that are not in an import statement."""
    dynamic = [
        path
        for path in [*LIBRARY, *(ROOT / "stages").glob("*.py")]
        if any(calls(path, name) for name in ("import_module", "__import__", "exec", "run_path"))
    ]
    assert dynamic == [file_of("cifar2.models")]


def test_library_imports_no_stage() -> None:
    for path in LIBRARY:
        assert not any(
            (file := file_of(module)) and file.is_relative_to(ROOT / "stages")
            for module in imported_modules(path)
        ), path


def single_settings(names: set[str]) -> set[str]:
    """Return the settings that names of groups, or of settings, stand for."""
    groups = {name for name in names if "." not in name}
    return names - groups | {f"{group}.{key}" for group in groups for key in fields(group)}


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_the_settings_that_are_read(stage: str) -> None:
    """With more, a stage would run needlessly; with fewer, it would not run when it should."""
    files = reached_files(script(stage)) - NOT_IN_DEPS
    read = set[str]().union(*map(settings_read, files))
    if stage == "settings":
        read = set(Params.model_fields)  # `params.load` checks them all
    assert single_settings(set(STAGES[stage].get("params", []))) == single_settings(read)


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_groups_where_all_of_a_group_is_read(stage: str) -> None:
    declared = STAGES[stage].get("params", [])
    groups = {name.partition(".")[0] for name in declared}
    for group in groups - set(declared):
        assert not single_settings({group}) <= set(declared)


def test_comparison_depends_on_all_settings_but_those_of_runs() -> None:
    """Those that all runs have in common are in the settings of each; `neither` names runs."""
    assert set(ZOO_STAGES["compare"]["params"]) == set(Zoo.model_fields) - {
        "common",
        "neither",
        "trials",
    }


@pytest.mark.parametrize("folder", [ROOT, ROOT / "zoo"], ids=["main", "zoo"])
def test_lock_has_for_each_dependency_the_hash_that_its_stage_left(folder: Path) -> None:
    """Without it, a clone that pulls the checkpoints would measure every network again."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"].values()
    left = {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}
    deps = [dep for stage in stages for dep in stage.get("deps", []) if dep["path"] in left]
    assert deps
    assert [dep["path"] for dep in deps if dep.get("md5") != left[dep["path"]]] == []
