"""The zoo's settings: its variants, their seeds, and the settings of each run."""

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


class Design(Group):
    """How variants are trained on folds."""

    folds: Annotated[Int, Field(ge=2, le=100)]
    seeds: Annotated[Int, Field(ge=1)]  # for each fold


class Folds(Design):
    """Names of variants that are trained with seeds as well."""

    variants: list[Str]


class Trials(Design):
    variants: dict[str, Differences]


class Accuracies(Group):
    train: Float
    val: Float


class Zoo(Group):
    """What `zoo/params.yaml` holds; its comments describe each group."""

    common: Differences
    quick: Variants
    middle: Variants
    slow: Variants
    folds: Folds
    trials: Trials
    asked_about_others: list[Str]
    book: dict[str, Accuracies]

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [name for group in self.groups() for name in group.variants]
        names += self.trials.variants
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two variants named {name!r}")
        runs = [f"{name}-{seed}" for name, seeds in self.compared().items() for seed in seeds]
        for name in self.asked_about_others:
            if name not in runs:
                hint = f"{params.did_you_mean(name, runs)} names are like baseline-1"
                raise ValueError(f"asked_about_others: {name!r}: unknown run;{hint}")
        seeded = list(self.compared())
        for name in self.folds.variants:
            if name not in seeded or self.folds.variants.count(name) > 1:
                hint = params.did_you_mean(name, seeded)
                raise ValueError(f"folds.variants: {name!r}: unknown or there twice;{hint}")
        return self

    def groups(self) -> list[Variants]:
        return [group for _, group in self if isinstance(group, Variants)]

    def design(self, variant: str) -> Folds | Trials | None:
        """Return how a variant is trained on folds, if it is."""
        return next((each for each in (self.folds, self.trials) if variant in each.variants), None)

    def compared(self) -> dict[str, list[int]]:
        """Return the variants that val compares, with their seeds."""
        return {name: group.seeds for group in self.groups() for name in group.variants}


def load(path: Path) -> Zoo:
    """Read and check the zoo's settings; raise a UserError as `params.load` does."""
    return params.validate(Zoo, params.read_yaml(path), str(path))


def runs(zoo: Zoo, defaults: Params, where: str) -> Iterator[tuple[str, Params]]:
    """Yield every run: a name; the defaults, what its variant changes, and what it has of its own.

    That is the seed of a run such as `baseline-1`. `baseline-folds` has the trainings of several
    seeds on folds; its settings are those of the first.

    Raises:
        UserError: for settings that are wrong in a variant; it names `where` and the variant.
    """
    variants = {name: each for group in zoo.groups() for name, each in group.variants.items()}
    for variant, differences in (variants | zoo.trials.variants).items():
        place = f"{where}: {variant}"
        if "data" in zoo.common or "data" in differences:
            raise UserError(f"{place}: data: a variant can't change the data")
        own: dict[str, Differences] = {}  # by what follows the variant in the run's name
        for seed in zoo.compared().get(variant, []):
            own[str(seed)] = {"train": {"seed": seed}}
        if design := zoo.design(variant):
            own["folds"] = {
                "train": {"seed": 1},
                "data": {"holdout": 1 / design.folds, "fold": 0},
                "evaluation": {"test": design is zoo.folds},
            }
        for kind, settings_of_its_own in own.items():
            merged: Differences = defaults.model_dump()
            for settings in (zoo.common, differences, settings_of_its_own):
                for name, values in settings.items():
                    merged[name] = merged.get(name, {}) | values
            run = params.validate(Params, merged, place)
            if kind == "folds" and (run.train.keep == "best" or run.train.patience):
                raise UserError(f"{place}: train: a fold can't choose the epoch that it measures")
            yield f"{variant}-{kind}", run
