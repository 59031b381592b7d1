"""`python -m zoo show`: the command it prints gives the settings of the zoo's own run."""

import shlex
from typing import Any

import pytest
from ruamel.yaml import YAML

from cifar2 import params
from cifar2.errors import UserError
from tests.conftest import ROOT
from zoo import variants
from zoo.show import command

ZOO = variants.load(ROOT / "zoo" / "params.yaml")
DEFAULTS = params.load(ROOT / "params.yaml")
RUNS = list(variants.runs(ZOO, DEFAULTS, "zoo"))
VARIANTS = [*(name for group in ZOO.groups() for name in group.variants), *ZOO.trials.variants]


@pytest.mark.parametrize("variant", VARIANTS)
def test_command_has_the_settings_of_the_variants_first_run(variant: str) -> None:
    words = shlex.split(command(variant).replace("\\\n", ""))  # as a shell joins lines
    assert words[:5] == ["dvc", "exp", "run", "--name", variant]
    merged: dict[str, Any] = DEFAULTS.model_dump()
    for flag, word in zip(words[5::2], words[6::2], strict=True):
        assert flag == "-S"
        key, value = word.split("=")
        group, name = key.split(".")
        merged[group][name] = YAML(typ="safe", pure=True).load(value)  # as DVC reads it
    first = next(run for name, run in RUNS if name.rpartition("-")[0] == variant)
    assert params.validate(params.Params, merged, "the command") == first


def test_unknown_variant_is_refused_in_a_line() -> None:
    with pytest.raises(UserError, match=r"^'fst': unknown variant; did you mean 'fast'\?.*$"):
        command("fst")
