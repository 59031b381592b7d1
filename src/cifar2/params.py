"""The settings of a run, `params.yaml`: typed, bounded, every key required and none unknown."""

from __future__ import annotations

import difflib
import re
import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from cifar2 import UserError
from cifar2.models import list_models

ClassName = Literal[
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
]


def _from_scientific(value: object) -> object:
    """Take `1e-2` for a number, as YAML 1.2 and DVC do; PyYAML reads it as text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    return value


def _known_model(name: str) -> str:
    if name not in list_models():
        models = list_models()
        raise ValueError(f"is no model;{_did_you_mean(name, models)} models: {', '.join(models)}")
    return name


def _distinct(classes: list[str]) -> list[str]:
    if len(set(classes)) < len(classes):
        raise ValueError("names a class twice")
    return classes


Int = Annotated[int, Field(strict=True)]
Float = Annotated[float, Field(strict=True, allow_inf_nan=False), BeforeValidator(_from_scientific)]
Str = Annotated[str, Field(strict=True)]
Bool = Annotated[bool, Field(strict=True)]


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Data(_Group):
    classes: Annotated[list[ClassName], Field(min_length=2), AfterValidator(_distinct)]
    source: Literal["auto", "cifar10", "synthetic"]


class Model(_Group):
    name: Annotated[Str, AfterValidator(_known_model)]
    n_chans1: Annotated[Int, Field(ge=2, le=1024)]
    n_blocks: Annotated[Int, Field(ge=1, le=1000)]
    dropout: Annotated[Float, Field(ge=0, lt=1)]
    shared_blocks: Bool


class Train(_Group):
    device: Annotated[Str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,2})?)$")]
    epochs: Annotated[Int, Field(ge=1, le=100_000)]
    lr: Annotated[Float, Field(gt=0)]
    optimizer: Literal["sgd", "adam", "adamw"]
    momentum: Annotated[Float, Field(ge=0, lt=1)]
    nesterov: Bool
    schedule: Literal["none", "step", "cosine", "onecycle"]
    batch_size: Annotated[Int, Field(ge=1, le=1_000_000)]
    seed: Annotated[Int, Field(ge=0, lt=2**32)]
    threads: Annotated[Int, Field(ge=1, le=256)]
    precision: Literal["float32", "tf32", "bfloat16"]

    @field_validator("nesterov")
    @classmethod
    def _with_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("needs a train.momentum above 0, 0.9 say")
        return nesterov


class Regularization(_Group):
    l2: Annotated[Float, Field(ge=0)]
    weight_decay: Annotated[Float, Field(ge=0)]
    label_smoothing: Annotated[Float, Field(ge=0, lt=1)]


class Augment(_Group):
    flip: Bool
    crop: Annotated[Int, Field(ge=0, le=31)]


class Evaluation(_Group):
    mirror: Bool


class Params(_Group):
    data: Data
    model: Model
    train: Train
    regularization: Regularization
    augment: Augment
    evaluation: Evaluation


def load(path: Path) -> Params:
    """Read and check a settings file.

    Raises:
        UserError: if it can't be read, or holds anything but the settings above, each in its
            bounds; the message names the first key that is wrong, its value, what is allowed,
            and for a misspelt name the nearest right one.
    """
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        first, *others = error.errors()
        more = f" (and {len(others)} more)" if others else ""
        raise UserError(f"{path}: {_explain(first)}{more}") from error


def _explain(error: ErrorDetails) -> str:
    """Say in one line which key is wrong, what it is and what is allowed."""
    key = ".".join(str(part) for part in error["loc"]) or "the whole file"
    value = reprlib.repr(error["input"])
    match error["type"]:
        case "extra_forbidden":
            group: Any = Params
            for part in error["loc"][:-1]:
                group = group.model_fields[str(part)].annotation
            options = list(group.model_fields)
            hint = _did_you_mean(error["loc"][-1], options)
            return f"{key}: is no setting;{hint} settings here: {', '.join(options)}"
        case "missing":
            return f"{key}: is missing"
        case "literal_error":
            options = re.findall(r"'(\w+)'", error["ctx"]["expected"])
            hint = _did_you_mean(error["input"], options)
            return f"{key}: {value} is not allowed;{hint} allowed: {', '.join(options)}"
        case "string_pattern_mismatch":
            return f"{key}: {value} is no device; devices: auto, cpu, cuda, cuda:N, mps"
        case "value_error":
            return f"{key}: {value} {error['ctx']['error']}"
        case _:
            return f"{key}: {value} is not allowed; {error['msg'][0].lower()}{error['msg'][1:]}"


def _did_you_mean(name: object, options: list[str]) -> str:
    near = difflib.get_close_matches(str(name), options, n=1)
    return f" did you mean {near[0]!r}?" if near else ""
