"""The zoo's settings: its variants, their seeds, and the settings of each run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from cifar2 import params
from cifar2.errors import UserError
from cifar2.params import Float, Group, Int, Params, Str

Differences = dict[str, dict[str, Any]]  # {group of params.yaml: {key: value}}


class Variants(Group):
    """Variants that are trained with the same seeds."""

    seeds: list[Annotated[Int, Field(ge=0)]]
    variants: dict[str, Differences]


class Trials(Variants):
    holdout: Annotated[Float, Field(gt=0, le=0.5)]


class OwnSeeds(Variants):
    """Variants without common seeds, and runs such as `fast-11`, of these or of those above."""

    seeds: list[Annotated[Int, Field(ge=0)]] = Field([], max_length=0)
    runs: list[Str]


class Accuracies(Group):
    train: Float
    val: Float


class Zoo(Group):
    """What `zoo/params.yaml` holds; its comments describe each group."""

    common: Differences
    quick: Variants
    middle: Variants
    slow: Variants
    own_seeds: OwnSeeds
    trials: Trials
    asked_about_others: list[Str]
    book: dict[str, Accuracies]

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [name for group in self.groups().values() for name in group.variants]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two variants named {name!r}")
        runs = [f"{name}-{seed}" for name, seeds in self.compared().items() for seed in seeds]
        for name in self.asked_about_others:
            if name not in runs:
                hint = f"{params.did_you_mean(name, runs)} names are like baseline-1"
                raise ValueError(f"asked_about_others: {name!r}: unknown run;{hint}")
        last = params.folds(self.trials.holdout)
        for seed in self.trials.seeds:
            if not 1 <= seed <= last:
                holdout = f"a holdout of {self.trials.holdout:g}"
                raise ValueError(f"trials.seeds: {seed}: with {holdout}, seeds are 1 to {last}")
        return self

    def groups(self) -> dict[str, Variants]:
        return {name: group for name, group in self if isinstance(group, Variants)}

    def compared(self) -> dict[str, list[int]]:
        """Return the variants on the same images, with their seeds."""
        groups = (self.quick, self.middle, self.slow, self.own_seeds)
        seeds = {name: list(group.seeds) for group in groups for name in group.variants}
        for run in self.own_seeds.runs:
            name, _, number = run.rpartition("-")
            if name not in seeds:
                hint = params.did_you_mean(name, list(seeds))
                raise ValueError(f"own_seeds.runs: {run!r}: no compared variant is so named;{hint}")
            if not re.fullmatch("0|[1-9][0-9]*", number) or int(number) in seeds[name]:
                raise ValueError(f"own_seeds.runs: {run!r}: {number!r} is not a new seed")
            seeds[name].append(int(number))
        return seeds


def load(path: Path) -> Zoo:
    """Read and check the zoo's settings; raise a UserError as `params.load` does."""
    return params.validate(Zoo, params.read_yaml(path), str(path))


def runs(zoo: Zoo, defaults: Params, where: str) -> Iterator[tuple[str, Params]]:
    """Yield every run: a name like `baseline-1`; the defaults, what its variant changes, its seed.

    Raises:
        UserError: for settings that are wrong in a variant; it names `where` and the variant.
    """
    for group in zoo.groups().values():
        for variant, differences in group.variants.items():
            place = f"{where}: {variant}"
            if "data" in zoo.common or "data" in differences:
                raise UserError(f"{place}: data: a variant can't change the data")
            for seed in zoo.compared().get(variant, group.seeds):
                own: Differences = {"train": {"seed": seed}}
                if isinstance(group, Trials):
                    own["data"] = {"holdout": group.holdout, "fold": seed - 1}
                    own["evaluation"] = {"test": False}
                merged: Differences = defaults.model_dump()
                for settings in (zoo.common, differences, own):
                    for name, values in settings.items():
                        merged[name] = merged.get(name, {}) | values
                yield f"{variant}-{seed}", params.validate(Params, merged, place)
