"""What the stages declare in `deps` and `params`, held to their source."""

from pathlib import Path

import pytest
import yaml

from cifar2.params import Params
from tests.conftest import ROOT, STAGES, needs_zoo
from tests.stages import source

LIBRARY = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = sorted((ROOT / "stages").glob("*.py"))


@pytest.mark.parametrize("name", STAGES)
def test_deps_are_the_imported_modules_without_plumbing(name: str) -> None:
    """With more, a stage would run needlessly; with fewer, it would not run when it should."""
    reached = source.reached_files(ROOT / f"stages/{name}.py")
    assert source.code(STAGES[name], ROOT) == reached - source.NOT_IN_DEPS


@pytest.mark.parametrize("name", STAGES)
def test_other_deps_are_outputs_and_a_command_has_no_other_paths(name: str) -> None:
    """The exceptions: the scratch folder, settings, which `params` covers, sources and weights."""
    made = {each: source.paths(stage, "outs", "metrics") for each, stage in STAGES.items()}
    before = list(STAGES)[: list(STAGES).index(name)]
    deps = source.paths(STAGES[name], "deps")
    own = ("src/", "stages/", "sources", "weights/")
    deps = {path for path in deps if not path.startswith(own)}
    assert deps <= {path for each in before for path in made[each]}
    paths = set(STAGES[name]["cmd"].split()[4::2])
    # `download` only waits for the check, and a description lies beside its weights.
    implied = {"data/checked", "models/model.json"}
    assert (
        paths - {"params.yaml", ".dvc/tmp/snapshots", "sources", "weights"}
        <= deps | made[name]
        <= paths | implied
    )


@pytest.mark.parametrize("name", STAGES)
def test_params_are_the_settings_that_are_read(name: str) -> None:
    """With more, a stage would run needlessly; with fewer, it would not run when it should."""
    declared = set(STAGES[name]["params"])
    files = source.reached_files(ROOT / f"stages/{name}.py") - source.NOT_IN_DEPS
    read = set[str]().union(*map(source.settings_read, files))
    if name == "settings":
        read = set(Params.model_fields)  # `params.load` checks them all
    assert single_settings(declared) == single_settings(read)
    for group in {each.partition(".")[0] for each in declared} - declared:
        assert not single_settings({group}) <= declared, "name the group, since it is read whole"


def single_settings(names: set[str]) -> set[str]:
    """Return the settings that names of groups, or of settings, stand for."""
    groups = {name for name in names if "." not in name}
    return names - groups | {f"{group}.{key}" for group in groups for key in source.fields(group)}


def test_plumbing_is_imported_and_nothing_else_is_hidden() -> None:
    """The tests above would miss modules that are not in an import statement."""
    reached = set[Path]().union(*map(source.reached_files, SCRIPTS))
    assert {path for path in source.PLUMBING_FILES if path not in reached} == set()
    ways = {"import_module", "__import__", "exec", "run_path"}
    dynamic = [path for path in [*LIBRARY, *SCRIPTS] if source.called(path) & ways]
    # These import networks, and stages.
    assert dynamic == [source.file_of("cifar2.models"), source.file_of("_stage")]


def test_imports_go_one_way() -> None:
    """The library imports no stage, neither imports the zoo, and no network imports another."""
    for path in [*LIBRARY, *SCRIPTS]:
        imported = {source.file_of(module) for module in source.imported_modules(path)} - {None}
        homes = {file.relative_to(ROOT).parts[0] for file in imported if file}
        assert homes <= ({"src"} if path in LIBRARY else {"src", "stages"}), path
        if path in source.NETWORKS:  # otherwise a stage would have to depend on both
            assert imported & source.NETWORKS <= {ROOT / "src/cifar2/models/_layers.py"}, path


def test_stages_write_files_through_the_module_for_it() -> None:
    """So each file appears whole or not at all (tests/unit/test_files.py).

    The exceptions are the parts of a download, which is verified, and the series, which grow.
    """
    of_zoo = [path for path in ROOT.glob("zoo/*.py") if "\nHELP" in path.read_text()]
    files = set[Path]().union(*map(source.reached_files, SCRIPTS + of_zoo))
    allowed = [source.file_of(f"cifar2.{n}") for n in ("files", "data.download", "report.series")]
    assert {path for path in files if source.writes_files(path)} == set(allowed)


@pytest.mark.parametrize("folder", [ROOT, pytest.param(ROOT / "zoo", marks=needs_zoo)])
def test_lock_has_for_each_dependency_the_hash_that_its_stage_left(folder: Path) -> None:
    """Without it, a clone that pulls the checkpoints would measure every network again."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"].values()
    left = {out["path"]: out["md5"] for stage in stages for out in stage["outs"]}
    deps = [dep for stage in stages for dep in stage.get("deps", []) if dep["path"] in left]
    assert deps
    assert [dep["path"] for dep in deps if dep.get("md5") != left[dep["path"]]] == []
