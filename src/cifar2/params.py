"""The settings of a run, `params.yaml`: typed and bounded; every key is required.

A new setting is a line in `params.yaml`, a line here, and its use.
"""

from __future__ import annotations

import difflib
import re
import reprlib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ValidationInfo
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from cifar2 import models
from cifar2.errors import UserError

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BUILT_IN = ("auto", "cifar10", "synthetic")  # what `data.source` may be, beside own folders


class Unused(NamedTuple):
    """The value that a setting gets in `of_training` where a run does not use it."""

    value: object


def folds(holdout: float) -> int:
    """Return how many folds of this share there are."""
    return int(1 / holdout + 1e-9)


def _known_model(name: str) -> str:
    known = models.list_models()
    if name not in known:
        raise ValueError(f"unknown model;{did_you_mean(name, known)} models: {', '.join(known)}")
    return name


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("must be odd, so that the convolution keeps height and width")
    return size


def _folder_name(name: str) -> str:
    """Refuse names that some system does not allow, or that a shell or DVC would interpret."""
    if name[:1] in ("", ".", "-", "~") or not name.isprintable() or set(name) & set('/\\:*?"<>|$`'):
        raise ValueError(f"must be {', '.join(BUILT_IN)}, or the name of a folder in sources/")
    return name


def _all_or_names(value: object) -> object:
    if value == "all":
        return value
    names = value if isinstance(value, list) else []
    if len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise ValueError("must be `all`, or a list of two or more names (a number in quotes)")
    if len(set(names)) < len(names):
        raise ValueError("a class is named twice")
    return [unicodedata.normalize("NFC", name) for name in names]  # as `folder` has them


Int = Annotated[int, Field(strict=True)]
Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Str = Annotated[str, Field(strict=True)]
Bool = Annotated[bool, Field(strict=True)]
Size = Literal[32, 64, 96, 128]  # pixels
Fit = Literal["crop", "pad", "stretch"]
Classes = Annotated[list[str] | Literal["all"], PlainValidator(_all_or_names)]


class Group(BaseModel, extra="forbid", frozen=True, protected_namespaces=()):
    """Settings that belong together; none is unknown, and none changes."""


class Data(Group):
    classes: Annotated[Classes, Unused(["airplane", "bird"])]
    source: Annotated[Str, AfterValidator(_folder_name), Unused("auto")]
    size: Annotated[Size, Unused(32)]
    fit: Annotated[Fit, Unused("crop")]
    holdout: Annotated[Float, Field(ge=0, le=0.5), Unused(0.0)]
    fold: Annotated[Int, Field(ge=0), Unused(0)]

    @field_validator("fold")
    @classmethod
    def _of_the_holdout(cls, fold: int, info: ValidationInfo) -> int:
        holdout = info.data.get("holdout")
        if fold and holdout == 0:
            raise ValueError("needs a data.holdout above 0, such as 0.2")
        if holdout and (fold + 1) * holdout > 1 + 1e-9:
            raise ValueError(f"a data.holdout of {holdout:g} has folds 0 to {folds(holdout) - 1}")
        return fold


class Model(Group):
    name: Annotated[Str, AfterValidator(_known_model)]
    n_chans1: Annotated[Int, Field(ge=2, le=1024), Unused(2)]
    n_blocks: Annotated[Int, Field(ge=1, le=1000), Unused(1)]
    dropout: Annotated[Float, Field(ge=0, lt=1), Unused(0.0)]
    shared_blocks: Annotated[Bool, Unused(False)]
    kernel_size: Annotated[Int, Field(ge=1, le=31), AfterValidator(_odd), Unused(1)]

    def config(self) -> dict[str, Any]:
        """Return the settings that the chosen network takes, for `models.get_model`."""
        return {key: getattr(self, key) for key in models.config_keys(self.name)}

    def unused(self) -> set[str]:
        """Return the settings that the chosen network does not take."""
        return set(type(self).model_fields) - {"name"} - set(models.config_keys(self.name))


class Train(Group):
    device: Annotated[Str, Field(pattern=r"^(auto|cpu|mps|cuda(:[0-9]{1,2})?)$")]
    start: Annotated[Str, Field(pattern=r"^\w[\w.-]*$")]  # pydantic's \w: of any script
    epochs: Annotated[Int, Field(ge=1, le=100_000)]
    patience: Annotated[Int, Field(ge=0)]
    keep: Literal["last", "best"]
    lr: Annotated[Float, Field(gt=0)]
    optimizer: Literal["sgd", "adam", "adamw"]
    momentum: Annotated[Float, Field(ge=0, lt=1), Unused(0.0)]
    nesterov: Annotated[Bool, Unused(False)]
    schedule: Literal["none", "step", "cosine", "onecycle"]
    batch_size: Annotated[Int, Field(ge=1, le=1_000_000)]
    hardest: Annotated[Float, Field(gt=0, le=1)]
    class_weights: Literal["none", "balanced"]
    seed: Annotated[Int, Field(ge=0, lt=2**32)]
    threads: Annotated[Int, Field(ge=1, le=256)]
    precision: Literal["float32", "tf32", "bfloat16"]

    @field_validator("nesterov")
    @classmethod
    def _with_momentum(cls, nesterov: bool, info: ValidationInfo) -> bool:
        if nesterov and info.data.get("momentum") == 0:
            raise ValueError("needs a train.momentum above 0, such as 0.9")
        return nesterov

    def unused(self) -> set[str]:
        """Return the settings that the chosen optimizer does not use, or that are switched off."""
        off = {"class_weights": "none", "start": "none", "patience": 0, "keep": "last"}
        others = set() if self.optimizer == "sgd" else {"momentum", "nesterov"}
        return others | {key for key, value in off.items() if getattr(self, key) == value}


class Regularization(Group):
    l2: Annotated[Float, Field(ge=0)]
    weight_decay: Annotated[Float, Field(ge=0)]
    label_smoothing: Annotated[Float, Field(ge=0, lt=1)]


class Augment(Group):
    flip: Bool
    crop: Annotated[Int, Field(ge=0, le=31)]


class Evaluation(Group):
    mirror: Annotated[Bool, Unused(False)]
    test: Annotated[Bool, Unused(True)]


class Params(Group):
    data: Data
    model: Model
    train: Train
    regularization: Regularization
    augment: Augment
    evaluation: Evaluation

    @model_validator(mode="after")
    def _chosen_on_other_images(self) -> Self:
        if self.train.keep == "best" and not self.data.holdout:
            needed = "needs a data.holdout above 0, such as 0.2: else val is what you report"
            raise ValueError(f"train.keep: 'best': {needed}")
        return self


def of_training(params: Params) -> Params:
    """Return the settings that a training depends on; those that it does not use get a fixed value.

    So two runs that differ only in what they do not use share a snapshot, and another default in
    `params.yaml` trains only those variants of the zoo that use it. A training takes its images as
    they are, so it uses neither `data` nor `evaluation`; only `train.keep: best` wants a holdout.
    """
    wanted = {"holdout"} if params.train.keep == "best" else set()
    return params.model_copy(
        update={
            "data": _fixed(params.data, Data.model_fields.keys() - wanted),
            "model": _fixed(params.model, params.model.unused()),
            "train": _fixed(params.train, params.train.unused()),
            "evaluation": _fixed(params.evaluation, Evaluation.model_fields),
        }
    )


def _fixed(group: Group, keys: Iterable[str]) -> Group:
    metadata = {key: type(group).model_fields[key].metadata for key in keys}
    values = {k: e.value for k, each in metadata.items() for e in each if isinstance(e, Unused)}
    return group.model_copy(update=values)


def load(path: Path) -> Params:
    """Read and check a settings file; raises as `read_yaml` and `validate` do."""
    return validate(Params, read_yaml(path), str(path))


def read_yaml(path: Path) -> object:
    """Return what a YAML file holds, as DVC reads it: `010` is 10, not 8, and `yes` is a word.

    Raises:
        UserError: if it can't be read, or is not YAML 1.2.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        problem = " ".join(filter(None, (error.context, error.problem)))
        raise UserError(f"{path}: not valid YAML: {line}{problem}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error


Checked = TypeVar("Checked", bound=BaseModel)


def validate(model: type[Checked], content: object, where: str) -> Checked:
    """Check settings that came from `where`.

    Raises:
        UserError: if they are anything but those of `model`, each within its bounds. The message
            names the first wrong key, its value, what is allowed, and the right name that is
            nearest to a misspelt one.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        # A misspelt key before the one that is missing for it.
        first, *others = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        more = f" (and {len(others)} more)" if others else ""
        raise UserError(f"{where}: {_explain(first, model)}{more}") from error


def _explain(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Say in one line which key is wrong, what it is, and what is allowed."""
    path = ".".join(str(part) for part in error["loc"])
    key = " ".join(path.split()) or "the whole file"  # a key may hold a line break
    value = reprlib.repr(error["input"])
    match error["type"]:
        case "extra_forbidden":
            group: Any = model
            for part in error["loc"][:-1]:
                fields = getattr(group, "model_fields", None)  # or it is a dictionary of groups
                group = fields[part].annotation if fields else get_args(group)[1]
            options = list(group.model_fields)
            hint = did_you_mean(error["loc"][-1], options)
            return f"{key}: unknown setting;{hint} settings here: {', '.join(options)}"
        case "missing":
            return f"{key}: missing"
        case "literal_error":
            options = re.findall(r"\w+(?=[',]| or |$)", error["ctx"]["expected"])
            hint = did_you_mean(error["input"], options)
            return f"{key}: {value} is not allowed;{hint} allowed: {', '.join(options)}"
        case "string_pattern_mismatch" if path == "train.start":
            return f"{key}: {value}: must be none or a name in weights/, of letters, digits, -_."
        case "string_pattern_mismatch":
            return f"{key}: {value}: unknown device; devices: auto, cpu, cuda, cuda:N, mps"
        case "value_error":
            # Without a path, the message is about several groups, and names them.
            return (f"{key}: {value}: " if path else "") + str(error["ctx"]["error"])
        case _:
            return f"{key}: {value} is not allowed; {error['msg'][0].lower()}{error['msg'][1:]}"


def chosen_classes(wanted: Sequence[str], known: list[str], data: str) -> list[str]:
    """Return the classes that `data.classes` chooses of those that are known: a list, or "all".

    Raises:
        UserError: if the data have no such class.
    """
    for name in wanted if wanted != "all" else []:
        if name not in known:
            there = f"{did_you_mean(name, known)} classes there: {', '.join(known)}; or all"
            raise UserError(f"data.classes: no class {name!r} in {data!r};{there}")
    return list(known if wanted == "all" else wanted)


def did_you_mean(name: object, options: list[str]) -> str:
    """Return " did you mean 'NAME'?" for the option that a misspelt name is nearest to, if any."""
    near = difflib.get_close_matches(str(name), options, n=1)
    return f" did you mean {near[0]!r}?" if near else ""
