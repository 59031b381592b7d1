"""What the stages of the zoo declare in `deps` and `params`, held to their source."""

from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, STAGES
from tests.stages import source
from zoo.variants import Zoo

FOLDER = ROOT / "zoo"
# It checks the zoo's settings, as `cifar2.params` does the project's.
NOT_IN_DEPS = source.NOT_IN_DEPS | {FOLDER / "variants.py"}


def read() -> dict[str, source.Stage]:
    """Return the stages, each with its own variables put in."""
    stages: dict[str, Any] = yaml.safe_load((FOLDER / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        written = yaml.safe_dump(stage)
        for variables in stage.get("vars", []):
            for key, value in variables.items():
                written = written.replace(f"${{{key}}}", value)
        stages[name] = yaml.safe_load(written)
    return stages


ZOO = read()
# A run depends on its settings, which hold checksums of its code (test_compose.py).
RUNS = [name for name in ZOO if name.startswith(("train_", "evaluate_", "folds_"))]
# `compose` always runs.
OTHERS = [name for name in ZOO if name not in (*RUNS, "compose")]


@pytest.mark.parametrize("name", OTHERS)
def test_deps_are_the_imported_modules_without_plumbing(name: str) -> None:
    """With more, a stage would run needlessly; with fewer, it would not run when it should."""
    deps = source.code(ZOO[name], FOLDER)
    if "settings/evaluate" in source.paths(ZOO[name], "deps"):
        deps |= source.NETWORKS  # their checksums are in these files
    assert deps == source.reached_files(source.script(ZOO[name])) - NOT_IN_DEPS


@pytest.mark.parametrize("name", RUNS)
def test_run_depends_on_its_settings_for_its_code(name: str) -> None:
    main_stage, script = name.partition("_")[0], source.script(ZOO[name])
    if main_stage == "folds":  # it calls one stage, and evaluates as the other
        known = (source.reached_files(source.script(STAGES[n])) for n in ("train", "evaluate"))
        assert source.reached_files(script) - NOT_IN_DEPS - set().union(*known) == {script}
        main_stage = "evaluate"
    else:
        assert script == source.script(STAGES[main_stage])
    assert f"settings/{main_stage}/${{key}}.yaml" in source.paths(ZOO[name], "deps")
    assert source.code(ZOO[name], FOLDER) == set()


@pytest.mark.parametrize("name", [*RUNS, *OTHERS])
def test_other_deps_are_outputs_and_a_command_has_no_other_paths(name: str) -> None:
    """The exceptions are the scratch folder, the settings, which `params` covers, and the zoo's."""
    own = source.paths(ZOO[name], "outs", "metrics")
    others = [stage for each, stage in ZOO.items() if each != name]
    made = {(FOLDER / path) for stage in others for path in source.paths(stage, "outs", "metrics")}
    made |= {ROOT / path for stage in STAGES.values() for path in source.paths(stage, "outs")}
    deps = source.paths(ZOO[name], "deps")
    for dep in [(FOLDER / path).resolve() for path in deps if not path.endswith(".py")]:
        # It is an output, a file in one, or a folder of several.
        assert any(dep.is_relative_to(out) or out.is_relative_to(dep) for out in made), dep
    paths = set(ZOO[name]["cmd"].split()[4::2])
    assert bool({"params.yaml", "."} & paths) == ("params" in ZOO[name])
    assert paths - {"params.yaml", ".", ".dvc/tmp/snapshots"} <= deps | own


def test_comparison_depends_on_all_settings_but_those_of_runs() -> None:
    """Those that all runs have in common are in the settings of each."""
    of_runs = {"common", "asked_about_others"}
    assert set(ZOO["compare"]["params"]) == set(Zoo.model_fields) - of_runs
