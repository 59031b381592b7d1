"""What `compose` writes for each run of the zoo, and what makes it change."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cifar2 import params
from tests.conftest import ROOT, contents
from zoo import compose as compose_stage

# The zoo's settings, with a single seed of each variant.
ZOO = yaml.safe_load((ROOT / "zoo/params.yaml").read_text())
GROUPS = ("quick", "middle", "slow")
ZOO |= {group: ZOO[group] | {"seeds": [3]} for group in GROUPS} | {"asked_about_others": []}
ZOO["folds"]["variants"] = ["fast"]
RUNS = [f"{variant}-3" for group in GROUPS for variant in ZOO[group]["variants"]]
ON_FOLDS = {f"evaluate/{variant}-folds.yaml" for variant in ["fast", *ZOO["trials"]["variants"]]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a copy of what `compose` reads."""
    for name in ("src", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "zoo").mkdir()
    shutil.copy(ROOT / "zoo/folds.py", tmp_path / "zoo")
    (tmp_path / "zoo/params.yaml").write_text(yaml.safe_dump(ZOO, sort_keys=False))
    return tmp_path


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


def settings_of(*variants: str, stages: tuple[str, ...] = ("train", "evaluate")) -> set[str]:
    """Return the names of the settings of variants whose names begin so; by default, of all."""
    every = {f"{stage}/{name}.yaml" for stage in ("train", "evaluate") for name in RUNS} | ON_FOLDS
    starts = tuple(f"{stage}/{name}" for stage in stages for name in variants or [""])
    return {name for name in every if name.startswith(starts)}


def test_run_has_settings_for_training_and_for_evaluation(project: Path) -> None:
    """Those for evaluation alone, such as the images, are not in those for training."""
    files = compose(project)
    assert files.keys() == settings_of()
    folder = project / "zoo/settings"
    strong = [params.load(folder / stage / "strong-3.yaml") for stage in ("train", "evaluate")]
    assert [(each.model.name, each.train.lr) for each in strong] == 2 * [("airbench", 0.2)]
    assert [each.evaluation.mirror for each in strong] == [False, True]
    fixed = {"seed": 3, "threads": 1, "device": "cpu"}
    l2, usual = params.load(folder / "train/l2-3.yaml"), params.load(project / "params.yaml")
    assert l2.regularization.l2 == 0.001
    assert l2.train == usual.train.model_copy(update=fixed)
    for variant, seeds, test in (("fast", 4, True), ("fast_half", 1, False)):
        content = yaml.safe_load(files[f"evaluate/{variant}-folds.yaml"])
        assert content.pop("folds") == {"folds": 5, "seeds": seeds}
        run = params.validate(params.Params, content, variant)
        assert (run.model.name, run.train.seed, run.evaluation.test) == ("netstem", 1, test)


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("src/cifar2/training/loop.py", settings_of()),
        ("src/cifar2/report/results.py", settings_of(stages=("evaluate",))),
        ("src/cifar2/models/netres.py", settings_of("res-")),
        ("src/cifar2/report/plotting.py", set()),
        ("src/cifar2/snapshot.py", set()),
        ("zoo/folds.py", ON_FOLDS),
    ],
)
def test_comment_in_the_code_changes_the_settings_of_what_uses_it(
    file: str, settings: set[str], project: Path
) -> None:
    path = project / file
    assert changed(project, lambda: path.write_text(f"{path.read_text()}# more\n")) == settings
    assert changed(project, lambda: path.write_text(path.read_text(), newline="\r\n")) == set()


OF_EVALUATION = settings_of(stages=("evaluate",))


@pytest.mark.parametrize(
    ("group", "key", "value", "settings"),
    [
        ("model", "n_blocks", 5, settings_of("res_deep")),
        ("model", "name", "vgg", set()),  # every variant has its own
        ("train", "threads", 4, set()),  # in the settings that all have in common
        ("evaluation", "test", False, set()),  # without a holdout there is none
        ("data", "holdout", 0.1, OF_EVALUATION - ON_FOLDS),
        ("data", "classes", ["cat", "dog"], OF_EVALUATION),
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
