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
ZOO |= {group: ZOO[group] | {"seeds": [3]} for group in GROUPS}
ZOO["neither"] = ["baseline-3"]
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
    compose_stage.main(
        project / "params.yaml",
        project / "zoo/params.yaml",
        project / "dvc.yaml",
        project / "zoo/settings",
    )
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
    return {
        f"{stage}/{name}.yaml"
        for stage in stages
        for name in RUNS
        if not variants or name.startswith(variants)
    }


def test_every_run_has_settings_for_training_and_for_evaluation(project: Path) -> None:
    assert compose(project).keys() == settings_of() | {"ten_classes.yaml", "trials-3.yaml"}


def test_settings_of_a_run_are_the_defaults_its_variant_and_its_seed(project: Path) -> None:
    compose(project)
    usual = params.load(project / "params.yaml")
    run = params.load(project / "zoo/settings/train/l2-3.yaml")
    assert run.model.name == "net"
    assert run.regularization.l2 == 0.001
    assert run.train == usual.train.model_copy(update={"seed": 3, "threads": 1})


def test_settings_for_evaluation_alone_are_not_in_those_for_training(project: Path) -> None:
    compose(project)
    training, evaluation = (
        params.load(project / f"zoo/settings/{stage}/strong-3.yaml")
        for stage in ("train", "evaluate")
    )
    assert not training.evaluation.mirror
    assert evaluation.evaluation.mirror


def test_ten_classes_have_settings_for_their_data(project: Path) -> None:
    compose(project)
    data = params.load(project / "zoo/settings/ten_classes.yaml").data
    assert data.classes == ZOO["ten_classes"]["classes"]


def test_trials_have_settings_for_their_data_and_do_not_look_at_test(project: Path) -> None:
    compose(project)
    data = params.load(project / "zoo/settings/trials-3.yaml").data
    assert (data.holdout, data.fold) == (ZOO["trials"]["holdout"], 2)
    run = params.load(project / "zoo/settings/evaluate/fast_half-3.yaml")
    assert (run.data.holdout, run.data.fold, run.train.seed) == (data.holdout, 2, 3)
    assert not run.evaluation.test


@pytest.mark.parametrize("name", ["baseline-3", "vgg-3", "strong-3", "res_deep_shared-3"])
@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_checksums_are_of_the_code_that_the_stage_imports(
    stage: str, name: str, project: Path
) -> None:
    text = compose(project)[f"{stage}/{name}.yaml"].decode()
    checksums = {ROOT / path: md5 for md5, path in re.findall(r"^# (\w+)  (.*)$", text, re.M)}
    of_code = {path: md5 for path, md5 in checksums.items() if path not in NOT_IN_DEPS}
    network = ROOT / f"src/cifar2/models/{yaml.safe_load(text)['model']['name']}.py"
    layers = ROOT / "src/cifar2/models/_layers.py"
    code = reached_files(ROOT / f"stages/{stage}.py") - NOT_IN_DEPS - NETWORKS
    assert of_code == {
        path: hashlib.md5(path.read_bytes()).hexdigest() for path in code | {network, layers}
    }


@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("stages/train.py", settings_of(stages=("train",))),
        ("src/cifar2/training/loop.py", settings_of(stages=("train",))),
        ("src/cifar2/training/augment.py", settings_of(stages=("train",))),
        ("src/cifar2/report/results.py", settings_of(stages=("evaluate",))),
        ("src/cifar2/inference/evaluation.py", settings_of()),
        ("src/cifar2/data/dataset.py", settings_of()),
        ("src/cifar2/models/_layers.py", settings_of()),
        ("src/cifar2/models/netres.py", settings_of("res-")),
        ("src/cifar2/models/netresdeep.py", settings_of("res_deep")),
        ("src/cifar2/report/plotting.py", set()),
        ("stages/filter.py", set()),
    ],
)
def test_comment_in_the_code_changes_the_settings_of_what_uses_it(
    file: str, settings: set[str], project: Path
) -> None:
    assert changed(project, lambda: comment(project / file)) == settings


def test_comments_in_plumbing_change_no_settings(project: Path) -> None:
    plumbing = [project / file.relative_to(ROOT) for file in PLUMBING_FILES if file]
    assert changed(project, lambda: comment(*plumbing)) == set()


def test_line_endings_change_no_settings(project: Path) -> None:
    file = project / "src/cifar2/training/loop.py"
    text = file.read_text()
    assert changed(project, lambda: file.write_text(text, newline="\r\n")) == set()


@pytest.mark.parametrize(
    ("group", "key", "value", "settings"),
    [
        ("model", "n_blocks", 5, settings_of("res_deep")),
        ("model", "name", "vgg", set()),  # every variant has its own
        ("train", "threads", 4, set()),  # in the settings that all have in common
        ("data", "source", "synthetic", set()),
        ("evaluation", "test", False, set()),  # without a holdout there is none
        (
            "data",
            "holdout",
            0.1,
            settings_of(stages=("evaluate",)) - settings_of(*TRIALS),  # for the model cards
        ),
        # Those with a value of their own, or with another optimizer, are left out.
        ("train", "momentum", 0.9, settings_of() - settings_of("fast", "strong", "vgg")),
        (
            "evaluation",
            "mirror",
            True,
            settings_of(stages=("evaluate",)) - settings_of("fast", "strong"),
        ),
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
    ("variant", "reason"),
    [
        ({"data": {"source": "cifar10"}}, "mine: data: a variant can't change the data"),
        (
            {"model": {"nmae": "net"}},
            "mine: model.nmae: unknown setting; did you mean 'name'? settings here: name, n_chans",
        ),
        ({"model": "net"}, "quick.variants.mine.model: 'net' is not allowed; input should be a va"),
        (None, "quick.variants.mine: None is not allowed; input should be a valid dictionary"),
    ],
)
def test_wrong_variant_is_named(variant: object, reason: str, project: Path) -> None:
    write_zoo(project, quick={"seeds": [1], "variants": {"mine": variant}}, neither=[])
    with pytest.raises(UserError) as caught:
        compose(project)
    assert str(caught.value).startswith(f"{project}/zoo/params.yaml: {reason}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("common", None, "common: None is not allowed; input should be a valid dictionary"),
        ("ten_classes", {"seeds": [], "variants": {}}, "ten_classes.classes: missing"),
        ("book", {"width": {"val": 0.9}}, "book.width.train: missing"),
    ],
)
def test_other_wrong_setting_of_the_zoo_is_named(
    key: str, value: object, reason: str, project: Path
) -> None:
    before = compose(project)
    write_zoo(project, **{key: value})
    with pytest.raises(UserError) as caught:
        compose(project)
    assert str(caught.value) == f"{project}/zoo/params.yaml: {reason}"
    assert contents(project / "zoo/settings") == before
