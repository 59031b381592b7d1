"""params.yaml: which settings are accepted, and what is said of the others."""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cifar2 import params
from cifar2.errors import UserError
from cifar2.models import get_model, list_models
from cifar2.params import Params
from tests.conftest import ROOT
from tests.unit.settings import OTHERS, settings

DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_bytes())


def complaint(load: Callable[[], object], where: object = "params.yaml") -> str:
    """Return what is said of settings, without where they are."""
    with pytest.raises(UserError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{where}: ")
    return message.removeprefix(f"{where}: ")


# Loading.


def test_default_settings_are_those_of_the_chapter_and_cannot_be_changed() -> None:
    run = params.load(ROOT / "params.yaml")
    assert run.data.classes == ["airplane", "bird"]
    assert (run.model.name, run.model.n_chans1) == ("net", 32)
    assert (run.train.epochs, run.train.lr, run.train.batch_size) == (100, 0.01, 64)
    with pytest.raises(ValidationError, match="frozen"):
        run.train.epochs = 3  # type: ignore[misc]  # read-only, as mypy says


def test_every_setting_in_params_yaml_has_a_comment() -> None:
    lines = (ROOT / "params.yaml").read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if line.startswith("  ") and ":" in line and not line.lstrip().startswith("#"):
            assert "  # " in line or above.lstrip().startswith("#"), line


SCALARS_OF_YAML = [
    *("1e-2", "1E5", "12e03", "1.5e3", ".5", "5.", "+3", "-7", "0x1F", "0o17", "0b11", "1_000"),
    *("010", "0124", "1:30", "190:20:30", "yes", "no", "on", "off", "True", "TRUE", "y", "'3'"),
    *("2001-01-01", ".inf", "-.INF", "abc", "3 4", "0.10"),
]


@pytest.mark.parametrize("text", SCALARS_OF_YAML)
def test_value_is_read_as_dvc_reads_it(text: str, tmp_path: Path) -> None:
    """PyYAML reads 010 as 8, yes as true and 1e-2 as text."""
    path = tmp_path / "x.yaml"
    path.write_text(f"key: {text}\n")
    content = params.read_yaml(path)
    assert content == load_yaml(str(path))
    assert isinstance(content, dict)
    assert type(content["key"]) is type(load_yaml(str(path))["key"])


def test_number_may_be_written_in_several_ways(tmp_path: Path) -> None:
    path, text = tmp_path / "params.yaml", (ROOT / "params.yaml").read_text()
    for written, value in {"1e-3": 0.001, "0010": 10.0, "1": 1.0, "0.10": 0.1}.items():
        path.write_text(text.replace("  lr: 0.01 ", f"  lr: {written} "))
        assert params.load(path).train.lr == value


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model.name", "netresdep", ": unknown model; did you mean 'netresdeep'? models: airbench"),
        ("model.name", "../x", ": unknown model; models: airbench, net, net1, netbn, netdepth, "),
        ("model.n_chans1", 1, " is not allowed; input should be greater than or equal to 2"),
        ("model.shared_blocks", "yes", " is not allowed; input should be a valid boolean"),
        ("model.kernel_size", 4, ": must be odd, so that the convolution keeps height and width"),
        ("model.dropout", 1.0, " is not allowed; input should be less than 1"),
        ("train.epochs", 0, " is not allowed; input should be greater than or equal to 1"),
        ("train.epochs", 2.5, " is not allowed; input should be a valid integer"),
        ("train.epochs", True, " is not allowed; input should be a valid integer"),
        ("train.epochs", "1:30", " is not allowed; input should be a valid integer"),
        ("train.lr", "1e-2", " is not allowed; input should be a valid number"),
        ("train.lr", float("nan"), " is not allowed; input should be a finite number"),
        ("train.lr", -0.1, " is not allowed; input should be greater than 0"),
        ("train.optimizer", "adan", " is not allowed; did you mean 'adam'? allowed: sgd, adam, ad"),
        ("train.nesterov", True, ": needs a train.momentum above 0"),
        ("train.device", "gpu", ": unknown device; devices: auto, cpu, cuda, cuda:N, mps"),
        ("train.seed", None, " is not allowed; input should be a valid integer"),
        ("data.fold", 1, ": needs a data.holdout above 0, such as 0.2"),
        ("data.holdout", 0.6, " is not allowed; "),
        ("data.classes", ["bird"], " is not allowed; list should have at least 2 items"),
        ("data.classes", ["bird", "bird"], ": a class is named twice"),
        ("data.source", "cifar", " is not allowed; did you mean 'cifar10'?"),
        ("augment.crop", 32, " is not allowed; input should be less than or equal to 31"),
        ("regularization.l2", -1, " is not allowed; input should be greater than or equal to 0"),
    ],
)
def test_wrong_value_is_named_with_what_is_allowed(name: str, value: object, message: str) -> None:
    said = complaint(lambda: settings(**{name.replace(".", "__"): value}))
    assert said.startswith(f"{name}: {value!r}{message}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train__epoch": 3}, "train.epoch: unknown setting; did you mean 'epochs'? settings here"),
        (
            {"data__classes": ["cat", "brid"]},
            "data.classes.1: 'brid' is not allowed; did you mean ",
        ),
        (
            {"train__epochs": 0, "train__seed": -1},
            "train.epochs: 0 is not allowed; input should be ",
        ),
        (
            {"data__holdout": 0.2, "data__fold": 5},
            "data.fold: 5: a data.holdout of 0.2 has folds 0 ",
        ),
        (
            {"data__holdout": 0.3, "data__fold": 3},
            "data.fold: 3: a data.holdout of 0.3 has folds 0 ",
        ),
    ],
    ids=["unknown", "in a list", "two", "0.2", "0.3"],
)
def test_wrong_settings_are_named(change: dict[str, Any], message: str) -> None:
    said = complaint(lambda: settings(**change))
    assert said.startswith(message)
    assert said.endswith(" (and 1 more)") == (change.keys() == {"train__epochs", "train__seed"})


@pytest.mark.parametrize("group", DEFAULTS)
def test_missing_setting_is_named(group: str) -> None:
    """None has a default here: params.yaml is the only place with defaults."""
    for key, values in [(key, dict(DEFAULTS[group])) for key in DEFAULTS[group]]:
        del values[key]
        content = DEFAULTS | {group: values}
        said = complaint(partial(params.validate, Params, content, "params.yaml"))
        assert said.startswith(f"{group}.{key}: missing")


def test_misspelt_setting_is_named_and_not_the_one_that_is_missing_for_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text().replace("  momentum: ", "  momentun: "))
    message = "train.momentun: unknown setting; did you mean 'momentum'?"
    assert complaint(lambda: params.load(path), path).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [", "not valid YAML: "),
        ("- a\n- b", "the whole file: ['a', 'b'] is not allowed; "),
        ("", "the whole file: None is not allowed; "),
        ("model:\n  name: net\n", "data: missing (and "),
        ("\x00", "not valid YAML: "),
        ("a: 2001-99-99", "not valid YAML: "),
        ("[" * 100_000, "not valid YAML: "),
        ("a: 1\na: 2", "not valid YAML: line 2: while constructing a mapping found duplicate key"),
    ],
    ids=["cut", "list", "empty", "incomplete", "null byte", "no date", "nested", "twice"],
)
def test_file_without_the_settings_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    assert complaint(lambda: params.load(path), path) == "No such file or directory"
    path.write_text(text)
    assert complaint(lambda: params.load(path), path).startswith(message)


@pytest.mark.parametrize(("holdout", "folds"), [(0.5, 2), (0.2, 5), (0.1, 10), (0.05, 20)])
def test_every_fold_of_a_holdout_is_allowed(holdout: float, folds: int) -> None:
    assert settings(data__holdout=holdout, data__fold=folds - 1).data.fold == folds - 1


# What a run uses.

# The values of settings that a training does not use; in `UNUSUAL` none has it.
FIXED: dict[str, dict[str, Any]] = {
    "data": {"classes": ["airplane", "bird"], "source": "auto", "holdout": 0.0, "fold": 0},
    "model": {
        "n_chans1": 2,
        "n_blocks": 1,
        "dropout": 0.0,
        "shared_blocks": False,
        "kernel_size": 1,
    },
    "train": {"momentum": 0.0, "nesterov": False},
    "evaluation": {"mirror": False, "test": True},
}
UNUSUAL: dict[str, Any] = OTHERS | {
    "data__classes": ["cat", "dog", "frog"],
    "data__source": "synthetic",
    "data__holdout": 0.2,
    "data__fold": 3,
    "train__device": "cuda:1",
    "evaluation__mirror": True,
    "evaluation__test": False,
}


@pytest.mark.parametrize("optimizer", get_args(params.Train.model_fields["optimizer"].annotation))
@pytest.mark.parametrize("name", list_models())
def test_settings_that_a_training_does_not_use_get_a_fixed_value_and_the_others_stay(
    name: str, optimizer: str
) -> None:
    run = settings(**UNUSUAL | {"model__name": name, "train__optimizer": optimizer})
    used = run.model.config()
    assert get_model(name, **used)
    assert run.model.model_dump() == run.model.model_dump(include=run.model.unused()) | used | {
        "name": name
    }
    if optimizer == "sgd":
        used |= {"momentum": 0.8, "nesterov": True}
    expected = run.model_dump()
    for group, values in FIXED.items():
        expected[group] |= {key: value for key, value in values.items() if key not in used}
    fixed = params.of_training(run)
    assert fixed.model_dump() == expected
    assert params.validate(Params, expected, "") == fixed  # they are valid settings


# Whatever a file holds, it is read, or a UserError says what is wrong with it.

ANYTHING = hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
VALUES = SCALARS | st.lists(SCALARS) | st.dictionaries(st.text(max_size=9), SCALARS)


@ANYTHING
@given(content=VALUES.map(repr).map(str.encode) | st.binary() | st.text().map(str.encode))
def test_file_of_any_content_is_a_user_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    complaint(lambda: params.load(path), path)


@ANYTHING
@given(
    place=st.sampled_from([(group, key) for group, keys in DEFAULTS.items() for key in keys]),
    value=VALUES | st.binary(max_size=9) | st.sampled_from(["1e-2", "1e9", "inf", "cuda:7", "vgg"]),
)
def test_any_value_of_a_setting_is_accepted_or_a_user_error(
    place: tuple[str, str], value: object
) -> None:
    group, key = place
    content = DEFAULTS | {group: DEFAULTS[group] | {key: value}}
    try:
        run = params.validate(Params, content, "params.yaml")
    except UserError as error:
        message = str(error)
        assert message.startswith(f"params.yaml: {group}.{key}") and "\n" not in message
    else:
        assert params.validate(Params, run.model_dump(), "the same again") == run
