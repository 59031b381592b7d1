"""What `compose` writes for each run of the zoo, and what makes it change."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cifar2 import params
from cifar2.errors import UserError
from tests.conftest import ROOT, contents
from tests.stages.source import NETWORKS, NOT_IN_DEPS, PLUMBING_FILES, reached_files
from zoo import compose as compose_stage

# The zoo's settings, with a single seed of each variant.
ZOO = yaml.safe_load((ROOT / "zoo/params.yaml").read_text())
GROUPS = ("quick", "middle", "slow", "ten_classes", "trials")
ZOO |= {group: ZOO[group] | {"seeds": [3]} for group in GROUPS} | {"asked_about_others": []}
RUNS = [f"{variant}-3" for group in GROUPS for variant in ZOO[group]["variants"]]
TRIALS = tuple(f"{variant}-" for variant in ZOO["trials"]["variants"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a copy of what `compose` reads."""
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    write_zoo(tmp_path)
    return tmp_path


def write_zoo(project: Path, **changes: Any) -> None:
    (project / "zoo").mkdir(exist_ok=True)
    (project / "zoo/params.yaml").write_text(yaml.safe_dump(ZOO | changes, sort_keys=False))


def compose(project: Path) -> dict[str, bytes]:
    """Write the settings of all runs; return them by name."""
    names = ("params.yaml", "zoo/params.yaml", "dvc.yaml", "zoo/settings")
    compose_stage.main(*(project / name for name in names))
    return contents(project / "zoo/settings")


def changed(project: Path, edit: Callable[[], object]) -> set[str]:
    """Return the names of the runs' settings that an edit changes."""
    before = compose(project)
    edit()
    after = compose(project)
    assert before.keys() == after.keys()
    return {name for name in settings_of() if before[name] != after[name]}


def comment(*files: Path) -> None:
    for file in files:
        file.write_text(file.read_text() + "# a comment\n")


def settings_of(*variants: str, stages: tuple[str, ...] = ("train", "evaluate")) -> set[str]:
    """Return the names of the settings of variants whose names begin so; by default, of all."""
    runs = [name for name in RUNS if not variants or name.startswith(variants)]
    return {f"{stage}/{name}.yaml" for stage in stages for name in runs}


def test_run_has_settings_for_training_and_for_evaluation(project: Path) -> None:
    """Those for evaluation alone are not in those for training."""
    files = compose(project)
    assert files.keys() == settings_of() | {"ten_classes.yaml", "trials-3.yaml"}
    usual = params.load(project / "params.yaml").train
    folder = project / "zoo/settings"
    training, evaluation = (
        params.load(folder / stage / "strong-3.yaml") for stage in ("train", "evaluate")
    )
    assert (training.model.name, training.train.lr) == ("airbench", 0.2)
    fixed = {"seed": 3, "threads": 1, "device": "cpu"}
    l2 = params.load(folder / "train/l2-3.yaml")
    assert l2.regularization.l2 == 0.001
    assert l2.train == usual.model_copy(update=fixed)
    assert (training.evaluation.mirror, evaluation.evaluation.mirror) == (False, True)


def test_images_are_in_the_settings_for_their_data_and_for_evaluation(project: Path) -> None:
    """So a result on other images than the present ones is of other settings."""
    compose(project)
    folder = project / "zoo/settings"
    for name, run in (("ten_classes", "vgg_ten-3"), ("trials-3", "fast_half-3")):
        of_data = params.load(folder / f"{name}.yaml").data
        evaluation = params.load(folder / f"evaluate/{run}.yaml")
        assert evaluation.data.model_copy(update={"source": of_data.source}) == of_data
        assert evaluation.train.seed == 3
        assert evaluation.evaluation.test == (name == "ten_classes")
    assert (of_data.holdout, of_data.fold) == (ZOO["trials"]["holdout"], 2)


@pytest.mark.parametrize("name", ["baseline-3", "strong-3", "res_deep_shared-3"])
def test_checksums_are_of_the_code_that_the_stages_import(name: str, project: Path) -> None:
    """Beside the settings for evaluation, they are of the code of training, too."""
    files = compose(project)
    reached = {stage: reached_files(ROOT / f"stages/{stage}.py") for stage in ("train", "evaluate")}
    reached["evaluate"] |= reached["train"]
    for stage, imported in reached.items():
        text = files[f"{stage}/{name}.yaml"].decode()
        lines = re.findall(r"^# (\w+)  (.*)$", text, re.M)
        checksums = {ROOT / path: md5 for md5, path in lines}
        assert len(lines) == len(checksums)
        network = ROOT / f"src/cifar2/models/{yaml.safe_load(text)['model']['name']}.py"
        code = imported - NOT_IN_DEPS - NETWORKS | {network, network.with_name("_layers.py")}
        assert {path: md5 for path, md5 in checksums.items() if path not in NOT_IN_DEPS} == {
            path: hashlib.md5(path.read_bytes()).hexdigest() for path in code
        }


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("src/cifar2/training/loop.py", settings_of()),
        ("src/cifar2/report/results.py", settings_of(stages=("evaluate",))),
        ("src/cifar2/models/netres.py", settings_of("res-")),
        ("src/cifar2/report/plotting.py", set()),
    ],
)
def test_comment_in_the_code_changes_the_settings_of_what_uses_it(
    file: str, settings: set[str], project: Path
) -> None:
    assert changed(project, lambda: comment(project / file)) == settings


def test_comments_in_plumbing_and_line_endings_change_no_settings(project: Path) -> None:
    plumbing = [project / file.relative_to(ROOT) for file in PLUMBING_FILES if file]
    file = project / "src/cifar2/training/loop.py"
    text = file.read_text()
    assert changed(project, lambda: comment(*plumbing)) == set()
    assert changed(project, lambda: file.write_text(text, newline="\r\n")) == set()


OF_EVALUATION = settings_of(stages=("evaluate",))


@pytest.mark.parametrize(
    ("group", "key", "value", "settings"),
    [
        ("model", "n_blocks", 5, settings_of("res_deep")),
        ("model", "name", "vgg", set()),  # every variant has its own
        ("train", "threads", 4, set()),  # in the settings that all have in common
        ("data", "source", "synthetic", set()),
        ("evaluation", "test", False, set()),  # without a holdout there is none
        ("data", "holdout", 0.1, OF_EVALUATION - settings_of(*TRIALS)),
        ("data", "classes", ["cat", "dog"], OF_EVALUATION - settings_of("vgg_ten")),
        # Those with a value of their own, or with another optimizer, are left out.
        ("train", "momentum", 0.9, settings_of() - settings_of("fast", "strong", "vgg")),
        ("evaluation", "mirror", True, OF_EVALUATION - settings_of("fast", "strong")),
    ],
)
def test_another_default_changes_the_settings_of_the_runs_that_use_it(
    group: str, key: str, value: object, settings: set[str], project: Path
) -> None:
    def edit() -> None:
        content = yaml.safe_load((project / "params.yaml").read_text())
        content[group][key] = value
        (project / "params.yaml").write_text(yaml.safe_dump(content))

    assert changed(project, edit) == settings


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quick": {"seeds": [1], "variants": {"mine": None}}}, "quick.variants.mine: None is no"),
        ({"slow": {"seeds": [1], "variants": {"mine": {"data": {}}}}}, "mine: data: a variant c"),
    ],
)
def test_wrong_setting_is_named_and_leaves_the_former_ones(
    changes: dict[str, Any], reason: str, project: Path
) -> None:
    before = compose(project)
    write_zoo(project, **changes)
    with pytest.raises(UserError) as caught:
        compose(project)
    assert str(caught.value).startswith(f"{project}/zoo/params.yaml: {reason}")
    assert contents(project / "zoo/settings") == before
