"""The zoo's settings: how each run's are combined, and what is said of wrong ones."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cifar2 import params
from cifar2.errors import UserError
from tests.conftest import ROOT
from tests.unit.settings import settings
from zoo import variants
from zoo.variants import Run

SMALL: dict[str, Any] = {
    "common": {"train": {"lr": 0.5, "epochs": 9, "seed": 8}, "augment": {"crop": 3}},
    "quick": {"seeds": [1, 2], "variants": {"base": {"train": {"lr": 0.7}}, "empty": {}}},
    "middle": {"seeds": [], "variants": {}},
    "slow": {"seeds": [3], "variants": {"deep": {"model": {"name": "netresdeep"}}}},
    "ten_classes": {
        "seeds": [4],
        "classes": ["cat", "dog"],
        "variants": {"cats": {"model": {"name": "vgg"}}},
    },
    "trials": {"holdout": 0.2, "seeds": [2], "variants": {"try": {"train": {"seed": 7}}}},
    "asked_about_others": [],
    "book": {"base": {"train": 0.93, "val": 0.89}},
}


def load(folder: Path, **changes: object) -> variants.Zoo:
    """Load the small zoo with other groups: `quick={…}` is the group `quick`."""
    (folder / "zoo.yaml").write_text(yaml.safe_dump(SMALL | changes))
    return variants.load(folder / "zoo.yaml")


def runs(folder: Path, **changes: object) -> list[Run]:
    return list(variants.runs(load(folder, **changes), settings(), str(folder / "zoo.yaml")))


def test_run_has_the_defaults_then_common_settings_its_variant_s_and_its_own(
    tmp_path: Path,
) -> None:
    """Those of its own are its seed, and the images of its group."""
    common = {"train__lr": 0.5, "train__epochs": 9, "augment__crop": 3}
    cats = {"model__name": "vgg", "data__classes": ["cat", "dog"]}
    held = {"data__holdout": 0.2, "data__fold": 1, "evaluation__test": False}
    own: dict[str, dict[str, Any]] = {
        "base-1": {"train__lr": 0.7, "train__seed": 1},
        "base-2": {"train__lr": 0.7, "train__seed": 2},
        "empty-1": {"train__seed": 1},
        "empty-2": {"train__seed": 2},
        "deep-3": {"model__name": "netresdeep", "train__seed": 3},
        "cats-4": cats | {"train__seed": 4},
        "try-2": held | {"train__seed": 2},
    }
    found = runs(tmp_path)
    assert found == [Run(name, settings(**common | each)) for name, each in own.items()]


def test_variants_on_the_same_images_are_compared_and_others_are_not(tmp_path: Path) -> None:
    zoo = load(tmp_path)
    assert zoo.compared() == {"base": [1, 2], "empty": [1, 2], "deep": [3]}
    assert zoo.not_compared() == {"cats": [4]}


def test_own_zoo_is_valid_and_each_of_its_runs_has_a_name_of_its_own_and_no_gpu() -> None:
    zoo = variants.load(ROOT / "zoo" / "params.yaml")
    found = list(variants.runs(zoo, params.load(ROOT / "params.yaml"), "zoo/params.yaml"))
    trials = dict.fromkeys(zoo.trials.variants, zoo.trials.seeds)
    every = zoo.compared() | zoo.not_compared() | trials
    assert len({run.name for run in found}) == len(found) == sum(map(len, every.values()))
    assert zoo.book.keys() <= zoo.compared().keys()
    assert {run.settings.train.device for run in found} == {"cpu"}


# Wrong settings.


def with_variant(variant: object) -> dict[str, object]:
    return {"quick": {"seeds": [1], "variants": {"mine": variant}}}


def change(group: str, **changes: object) -> dict[str, object]:
    return {group: SMALL[group] | changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            with_variant({"model": {"nmae": "net"}}),
            "mine: model.nmae: unknown setting; did you mean 'name'? settings here: name, n_chans1",
        ),
        (with_variant({"model": "net"}), "quick.variants.mine.model: 'net' is not allowed; input "),
        (with_variant(None), "quick.variants.mine: None is not allowed; input should be a valid d"),
        (
            with_variant({"data": {"source": "cifar10"}}),
            "mine: data: a variant can't change the data",
        ),
        ({"common": {"data": {"holdout": 0.1}}}, "base: data: a variant can't change the data"),
        (change("slow", variants={"base": {}}), "the whole file: there are two variants named 'b"),
        (change("ten_classes", variants={"base": {}}), "the whole file: there are two variants na"),
        ({"quik": {}}, "quik: unknown setting; did you mean 'quick'? settings here: common, quick"),
        (change("slow", seeds=[-1]), "slow.seeds.0: -1 is not allowed; input should"),
        (
            {"asked_about_others": ["base-2", "base-3"]},
            "the whole file: asked_about_others: 'base-3': unknown run; did you mean 'base-2'?",
        ),
        (
            {"asked_about_others": ["cats-4"]},
            "the whole file: asked_about_others: 'cats-4': unknown run;",
        ),
        (
            change("ten_classes", classes=["brid", "cat"]),
            "ten_classes.classes.0: 'brid' is not allowed; did you mean 'bird'? allowed: airplane",
        ),
        (
            change("trials", seeds=[1, 6]),
            "the whole file: trials.seeds: 6: with a holdout of 0.2, seeds are 1 to 5",
        ),
        (
            {"book": {"base": {"train": 0.9, "val": 0.9, "vall": 0.9}}},
            "book.base.vall: unknown setting; did you mean 'val'? settings here: train, val",
        ),
    ],
)
def test_wrong_setting_is_named(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        runs(tmp_path, **changes)
    assert str(caught.value).startswith(f"{tmp_path / 'zoo.yaml'}: {message}")
    assert "\n" not in str(caught.value)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"zoo\.yaml: No such file or directory$"):
        variants.load(tmp_path / "zoo.yaml")
