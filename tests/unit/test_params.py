"""params.yaml: which settings are accepted, and what is said of the others."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import load_yaml

from cifar2 import params
from cifar2.errors import UserError
from cifar2.params import Params
from tests.conftest import ROOT
from tests.unit.settings import settings

DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_bytes())
NO_NAMES = ("", "..", "/etc", ".x", "-rf", "two words", "a\n", "$(id)", "a;b", "a\\b")
KEYS = [(group, key) for group, values in DEFAULTS.items() for key in values]


def complaint(load: Callable[[], object], where: object = "params.yaml") -> str:
    """Return what is said of settings, without where they are."""
    with pytest.raises(UserError) as caught:
        load()
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{where}: ")
    return message.removeprefix(f"{where}: ")


# Loading


def test_value_is_read_as_dvc_reads_it(tmp_path: Path) -> None:
    """PyYAML reads 010 as 8, yes as true and 1e-2 as text."""
    path = tmp_path / "x.yaml"
    scalars = "1e-2 12e03 .5 5. +3 0x1F 0o17 0b11 1_000 010 1:30 yes off TRUE '3' 2001-01-01 .inf"
    path.write_text("".join(f"- {text}\n" for text in scalars.split()))
    content, expected = params.read_yaml(path), load_yaml(str(path))
    assert list(map(repr, content)) == list(map(repr, expected))  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__name": "netresdep"}, "unknown model; did you mean 'netresdeep'? models: airb"),
        ({"model__kernel_size": 4}, "must be odd, so that the convolution keeps height and width"),
        ({"model__dropout": 1.0}, "is not allowed; input should be less than 1"),
        ({"train__epochs": True}, "is not allowed; input should be a valid integer"),
        ({"train__epochs": 0}, "is not allowed; input should be greater than or equal to 1"),
        ({"train__lr": "1e-2"}, "is not allowed; input should be a valid number"),
        ({"train__lr": float("nan")}, "is not allowed; input should be a finite number"),
        ({"data__size": 48}, "is not allowed; allowed: 32, 64, 96, 128"),
        ({"train__optimizer": "adan"}, "is not allowed; did you mean 'adam'? allowed: sgd, adam, "),
        ({"train__nesterov": True}, "needs a train.momentum above 0"),
        ({"train__device": "gpu"}, "unknown device; devices: auto, cpu, cuda, cuda:N, mps"),
        ({"data__fold": 1}, "needs a data.holdout above 0, such as 0.2"),
        ({"data__fold": 3, "data__holdout": 0.3}, "a data.holdout of 0.3 has folds 0 to 2"),
        ({"data__classes": ["bird", "bird"]}, "a class is named twice"),
        (
            {"train__keep": "best"},
            "needs a data.holdout above 0, such as 0.2: else val is what you",
        ),
        *(({"train__start": name}, "must be none or a name in weights/") for name in NO_NAMES),
        ({"data__classes": ["bird"]}, "must be `all`, or a list of two or more names"),
        ({"data__classes": ["1", 2]}, "must be `all`, or a list of two or more names"),
        *(
            ({"data__source": name}, "must be auto, cifar10, synthetic, or the name of a folder")
            for name in (
                "",
                "$(id)",
                "`id`",
                "../../etc",
                "/etc",
                "a/b",
                "a\\b",
                ".dvc",
                "-r",
                "a\nb",
            )
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_wrong_value_is_named_with_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    name, value = next(iter(changes.items()))
    said = complaint(lambda: settings(**changes))
    start, _, rest = said.partition(repr(value))
    assert start == name.replace("__", ".") + ": "
    assert rest.lstrip(": ").startswith(message)


@pytest.mark.parametrize("name", ["none", "v1.2_b-3", "Vögel", "Vo\u0308gel", "鳥", "पक्षी"])
def test_name_of_given_weights_may_be_in_any_script(name: str) -> None:
    assert settings(train__start=name).train.start == name


def test_number_of_other_faults_is_named() -> None:
    said = complaint(lambda: settings(data__classes="cat", train__seed=-1, train__lr=0))
    assert said.startswith("data.classes: 'cat': must be `all`") and said.endswith(" (and 2 more)")


def test_names_in_any_script_and_with_spaces_are_sources_and_classes() -> None:
    data = settings(data__source="Vögel 鳥 (2)", data__classes=["Möwe", "it's"]).data
    assert (data.source, data.classes) == ("Vögel 鳥 (2)", ["Möwe", "it's"])
    assert settings(data__classes="all").model_dump()["data"]["classes"] == "all"


@pytest.mark.parametrize(("group", "key"), KEYS)
def test_missing_and_misspelt_settings_are_named(group: str, key: str) -> None:
    """None has a default here: params.yaml is the only place with defaults."""
    values = dict(DEFAULTS[group])
    value = values.pop(key)
    missing, misspelt = (DEFAULTS | {group: v} for v in (values, values | {f"{key}s": value}))
    said = complaint(partial(params.validate, Params, missing, "params.yaml"))
    assert said.startswith(f"{group}.{key}: missing")
    said = complaint(partial(params.validate, Params, misspelt, "params.yaml"))
    assert said.startswith(f"{group}.{key}s: unknown setting; did you mean {key!r}? settings")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b", "the whole file: ['a', 'b'] is not allowed; "),
        ("model:\n  name: net\n", "data: missing (and "),
        ('"a\\nb": 1', "a b: unknown setting; settings here: data, "),
        ("a: 2001-99-99", "not valid YAML: "),
        ("[" * 100_000, "not valid YAML: "),
        ("a: 1\na: 2", "not valid YAML: line 2: while constructing a mapping found duplicate key"),
    ],
    ids=["list", "incomplete", "a line break", "no date", "nested", "twice"],
)
def test_file_without_the_settings_is_an_error(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    assert complaint(lambda: params.load(path), path) == "No such file or directory"
    path.write_text(text)
    assert complaint(lambda: params.load(path), path).startswith(message)
