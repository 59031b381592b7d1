"""params.yaml: which settings are accepted, and what is said of the others."""

import itertools
import typing
from pathlib import Path
from typing import Any

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
from tests.conftest import ROOT, write
from tests.unit.settings import OTHERS, settings

DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_bytes())
OPTIMIZERS = typing.get_args(params.Train.model_fields["optimizer"].annotation)


def complaint(path: Path) -> str:
    """Return what is said of a settings file, without its name."""
    with pytest.raises(UserError) as caught:
        params.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


# Loading.


def test_default_settings_are_those_of_the_chapter() -> None:
    run = params.load(ROOT / "params.yaml")
    assert run.data.classes == ["airplane", "bird"]
    assert (run.model.name, run.model.n_chans1) == ("net", 32)
    assert (run.train.epochs, run.train.lr, run.train.batch_size) == (100, 0.01, 64)


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


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("0010", 10.0), ("1", 1.0), ("0.10", 0.1)]
)
def test_number_may_be_written_in_several_ways(text: str, value: float, tmp_path: Path) -> None:
    settings_text = (ROOT / "params.yaml").read_text()
    assert "  lr: 0.01 " in settings_text
    (tmp_path / "params.yaml").write_text(settings_text.replace("  lr: 0.01 ", f"  lr: {text} "))
    assert params.load(tmp_path / "params.yaml").train.lr == value


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("lr: 0.01 ", "lr: 1:30 ", "train.lr: '1:30' is not allowed; input should be a valid num"),
        ("lr: 0.01 ", "lr: '1e-2' ", "train.lr: '1e-2' is not allowed; input should be a valid "),
        ("flip: false ", "flip: yes ", "augment.flip: 'yes' is not allowed; input should be a "),
        ("epochs: 100 ", "epochs: 1:30 ", "train.epochs: '1:30' is not allowed; input should be "),
    ],
)
def test_text_that_looks_like_a_value_is_not_one(
    before: str, after: str, message: str, tmp_path: Path
) -> None:
    text = (ROOT / "params.yaml").read_text()
    assert before in text
    (tmp_path / "params.yaml").write_text(text.replace(before, after))
    assert complaint(tmp_path / "params.yaml").startswith(message)


def test_settings_cannot_be_changed_after_loading() -> None:
    run = settings()
    with pytest.raises(ValidationError, match="frozen"):
        run.train.epochs = 3  # type: ignore[misc]  # read-only, as mypy says


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model__name": "netresdep"},
            "model.name: 'netresdep': unknown model; did you mean 'netresdeep'? models: airbench, "
            "net, net1, netbn, netdepth, netdropout, netres, netresdeep, netstem, netwidth, vgg",
        ),
        ({"model__name": "../x"}, "model.name: '../x': unknown model; models: airbench, net, net1"),
        ({"model__n_chans1": 1}, "model.n_chans1: 1 is not allowed; input should be greater than"),
        ({"model__shared_blocks": "yes"}, "model.shared_blocks: 'yes' is not allowed; input"),
        (
            {"model__kernel_size": 4},
            "model.kernel_size: 4: must be odd, so that the convolution keeps height and width",
        ),
        ({"model__dropout": 1.0}, "model.dropout: 1.0 is not allowed; input should be less than 1"),
        (
            {"train__epoch": 3},
            "train.epoch: unknown setting; did you mean 'epochs'? settings here: device, epochs, ",
        ),
        ({"train__epochs": 0}, "train.epochs: 0 is not allowed; input should be greater than or"),
        ({"train__epochs": 2.5}, "train.epochs: 2.5 is not allowed; input should be a valid int"),
        ({"train__epochs": True}, "train.epochs: True is not allowed; input should be a valid"),
        ({"train__lr": "fast"}, "train.lr: 'fast' is not allowed; input should be a valid number"),
        ({"train__lr": float("nan")}, "train.lr: nan is not allowed; input should be a finite"),
        ({"train__lr": -0.1}, "train.lr: -0.1 is not allowed; input should be greater than 0"),
        (
            {"train__optimizer": "adan"},
            "train.optimizer: 'adan' is not allowed; did you mean 'adam'? allowed: sgd, adam, ad",
        ),
        ({"train__nesterov": True}, "train.nesterov: True: needs a train.momentum above 0"),
        ({"data__fold": 1}, "data.fold: 1: needs a data.holdout above 0, such as 0.2"),
        (
            {"data__holdout": 0.2, "data__fold": 5},
            "data.fold: 5: a data.holdout of 0.2 has folds 0 to 4",
        ),
        (
            {"data__holdout": 0.3, "data__fold": 3},
            "data.fold: 3: a data.holdout of 0.3 has folds 0 to 2",
        ),
        ({"data__holdout": 0.6}, "data.holdout: 0.6 is not allowed; "),
        ({"augment__crop": 32}, "augment.crop: 32 is not allowed; input should be less than or"),
        (
            {"train__device": "gpu"},
            "train.device: 'gpu': unknown device; devices: auto, cpu, cuda, cuda:N, mps",
        ),
        ({"train__seed": None}, "train.seed: None is not allowed; input should be a valid integer"),
        (
            {"data__classes": ["airplane", "brid"]},
            "data.classes.1: 'brid' is not allowed; did you mean 'bird'? allowed: airplane, ",
        ),
        ({"data__classes": ["bird"]}, "data.classes: ['bird'] is not allowed; list should have at"),
        (
            {"data__classes": ["bird", "bird"]},
            "data.classes: ['bird', 'bird']: a class is named twice",
        ),
        ({"data__source": "cifar"}, "data.source: 'cifar' is not allowed; did you mean 'cifar10'?"),
        ({"regularization__l2": -1}, "regularization.l2: -1 is not allowed; input should be"),
        (
            {"train__epochs": 0, "train__seed": -1},
            "train.epochs: 0 is not allowed; input should be greater than or equal to 1 (and 1 mor",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_wrong_value_is_named_with_what_is_allowed(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    assert complaint(write(tmp_path / "params.yaml", **change)).startswith(message)


def test_missing_setting_is_named(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("  momentum:")]
    (tmp_path / "params.yaml").write_text("\n".join(lines))
    assert complaint(tmp_path / "params.yaml") == "train.momentum: missing"


def test_misspelt_setting_is_named_and_not_the_one_that_is_missing_for_it(tmp_path: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("  momentum: ", "  momentun: "))
    message = "train.momentun: unknown setting; did you mean 'momentum'?"
    assert complaint(tmp_path / "params.yaml").startswith(message)


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
    ids=[
        "cut off",
        "list",
        "empty",
        "incomplete",
        "null byte",
        "impossible date",
        "deeply nested",
        "twice",
    ],
)
def test_file_without_the_settings_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert complaint(path).startswith(message)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    assert complaint(tmp_path / "params.yaml") == "No such file or directory"


# What a run uses.

# No setting has its fixed value here, and `of_training` has to set all that are unused.
UNUSUAL: dict[str, Any] = {
    "data__classes": ["cat", "dog", "frog"],
    "data__source": "synthetic",
    "data__holdout": 0.2,
    "data__fold": 3,
    "model__n_chans1": 9,
    "model__n_blocks": 7,
    "model__dropout": 0.3,
    "model__shared_blocks": True,
    "model__kernel_size": 5,
    "train__momentum": 0.8,
    "train__nesterov": True,
    "evaluation__mirror": True,
    "evaluation__test": False,
}


@pytest.mark.parametrize("name", list_models())
def test_network_takes_its_config_and_no_unused_setting(name: str) -> None:
    model = settings(**UNUSUAL, model__name=name).model
    assert get_model(name, **model.config())
    assert model.config() == model.model_dump(include=set(model.config()))
    assert set(model.config()) | model.unused() | {"name"} == set(params.Model.model_fields)
    for key in model.unused():
        with pytest.raises(TypeError):
            get_model(name, **{key: getattr(model, key)})


def test_kernel_of_three_is_left_out_of_the_config() -> None:
    """Otherwise model.json, and so the recorded hash of every network, would change."""
    assert settings(model__name="netbn", model__kernel_size=3).model.config() == {"n_chans1": 32}


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("net", {"kernel_size": 5}),
        ("netwidth", {"n_chans1": 9, "kernel_size": 5}),
        ("net1", {"n_chans1": 9, "dropout": 0.3, "kernel_size": 5}),
        (
            "netresdeep",
            {"n_chans1": 9, "n_blocks": 7, "shared_blocks": True, "kernel_size": 5},
        ),
        ("vgg", {}),
    ],
)
def test_settings_that_a_network_does_not_take_get_a_fixed_value(
    name: str, used: dict[str, object]
) -> None:
    fixed = {
        "n_chans1": 2,
        "n_blocks": 1,
        "dropout": 0.0,
        "shared_blocks": False,
        "kernel_size": 1,
    }
    run = params.of_training(settings(**UNUSUAL, model__name=name))
    assert run.model.model_dump() == {"name": name} | fixed | used


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_momentum_gets_a_fixed_value_where_the_optimizer_has_none(optimizer: str) -> None:
    run = params.of_training(settings(**UNUSUAL, train__optimizer=optimizer))
    used = optimizer == "sgd"
    assert (run.train.momentum, run.train.nesterov) == ((0.8, True) if used else (0.0, False))


@pytest.mark.parametrize(("holdout", "folds"), [(0.5, 2), (0.2, 5), (0.1, 10), (0.05, 20)])
def test_every_fold_of_a_holdout_is_allowed(holdout: float, folds: int) -> None:
    assert settings(data__holdout=holdout, data__fold=folds - 1).data.fold == folds - 1


def test_data_and_evaluation_get_fixed_values() -> None:
    run = params.of_training(settings(**UNUSUAL))
    assert run.data == params.Data(classes=["airplane", "bird"], source="auto", holdout=0.0, fold=0)
    assert run.evaluation == params.Evaluation(mirror=False, test=True)


def test_settings_that_a_training_uses_stay() -> None:
    sgd = {"model__name": "netresdeep", "train__optimizer": "sgd", "train__device": "cuda:1"}
    run = settings(**OTHERS | sgd)
    used = params.of_training(run)
    assert used.train == run.train
    assert used.regularization == run.regularization
    assert used.augment == run.augment


def test_fixed_values_are_valid_settings() -> None:
    for name, optimizer in itertools.product(list_models(), OPTIMIZERS):
        run = settings(**UNUSUAL, model__name=name, train__optimizer=optimizer)
        fixed = params.of_training(run)
        assert params.validate(params.Params, fixed.model_dump(), "") == fixed


def test_every_setting_that_can_be_unused_has_a_fixed_value_and_no_other_has_one() -> None:
    run = settings()
    can_be_unused = {
        "data": set(params.Data.model_fields),
        "model": {
            key
            for name in list_models()
            for key in run.model.model_copy(update={"name": name}).unused()
        },
        "train": {
            key
            for optimizer in OPTIMIZERS
            for key in run.train.model_copy(update={"optimizer": optimizer}).unused()
        },
        "regularization": set(),
        "augment": set(),
        "evaluation": set(params.Evaluation.model_fields),
    }
    have_a_value = {
        group: {
            key
            for key, field in type(getattr(run, group)).model_fields.items()
            if any(isinstance(each, params.Unused) for each in field.metadata)
        }
        for group in params.Params.model_fields
    }
    assert have_a_value == can_be_unused


# Whatever a file holds, it is read, or a UserError says what is wrong with it.

ANYTHING = hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=9)
    | st.dates()
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=10,
)


@ANYTHING
@given(content=TREES.map(repr).map(str.encode) | st.binary() | st.text().map(str.encode))
def test_file_of_any_content_is_a_user_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    complaint(tmp_path / "params.yaml")


@ANYTHING
@given(
    place=st.sampled_from([(group, key) for group, keys in DEFAULTS.items() for key in keys]),
    value=SCALARS | TREES | st.sampled_from(["1e-2", "1e9", "inf", "cuda:7", "vgg"]),
)
def test_any_value_of_a_setting_is_accepted_or_a_user_error(
    place: tuple[str, str], value: object
) -> None:
    group, key = place
    content = DEFAULTS | {group: DEFAULTS[group] | {key: value}}
    try:
        run = params.validate(params.Params, content, "params.yaml")
    except UserError as error:
        message = str(error)
        assert message.startswith(f"params.yaml: {group}.{key}") and "\n" not in message
    else:
        assert params.validate(params.Params, run.model_dump(), "the same again") == run
