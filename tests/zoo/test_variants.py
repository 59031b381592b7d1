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
    "common": {"train": {"threads": 1}},
    "quick": {
        "seeds": [1, 2],
        "variants": {"base": {"model": {"name": "net"}}, "empty": {}},
    },
    "middle": {"seeds": [], "variants": {}},
    "slow": {"seeds": [3], "variants": {"deep": {"model": {"name": "netresdeep"}}}},
    "ten_classes": {
        "seeds": [4],
        "classes": ["cat", "dog"],
        "variants": {"cats": {"model": {"name": "vgg"}}},
    },
    "trials": {"holdout": 0.2, "seeds": [2], "variants": {"try": {}}},
    "neither": [],
    "book": {"base": {"train": 0.93, "val": 0.89}},
}


def load(folder: Path, **changes: object) -> variants.Zoo:
    """Load the small zoo with other groups: `quick={…}` is the group `quick`."""
    (folder / "zoo.yaml").write_text(yaml.safe_dump(SMALL | changes))
    return variants.load(folder / "zoo.yaml")


def runs(folder: Path, **changes: object) -> list[Run]:
    return list(variants.runs(load(folder, **changes), settings(), "zoo.yaml"))


def only(folder: Path, variant: object, **common: object) -> params.Params:
    """Return the settings of the one run of a variant in a zoo that has no other."""
    none: dict[str, Any] = {"seeds": [], "variants": {}}
    quick = {"seeds": [1], "variants": {"mine": variant}}
    ten_classes = SMALL["ten_classes"] | none
    trials = SMALL["trials"] | none
    groups = {"quick": quick, "middle": none, "slow": none}
    (run,) = runs(folder, common=common, **groups, ten_classes=ten_classes, trials=trials)
    return run.settings


# Right settings.


def test_each_variant_has_a_run_for_each_seed_of_its_group(tmp_path: Path) -> None:
    found = runs(tmp_path)
    names = ["base-1", "base-2", "empty-1", "empty-2", "deep-3", "cats-4", "try-2"]
    assert [run.name for run in found] == names
    assert [run.settings.train.seed for run in found] == [1, 2, 1, 2, 3, 4, 2]


def test_run_has_the_defaults_where_nothing_changes_them(tmp_path: Path) -> None:
    assert only(tmp_path, {}) == settings(train__seed=1)


def test_common_settings_replace_the_defaults(tmp_path: Path) -> None:
    run = only(tmp_path, {}, train={"lr": 0.5}, augment={"crop": 3})
    assert run == settings(train__lr=0.5, augment__crop=3, train__seed=1)


def test_variant_replaces_common_settings_and_leaves_the_others_of_the_group(
    tmp_path: Path,
) -> None:
    run = only(tmp_path, {"train": {"lr": 0.7}}, train={"lr": 0.5, "epochs": 9})
    assert run == settings(train__lr=0.7, train__epochs=9, train__seed=1)


def test_seed_replaces_that_of_the_variant_and_of_the_common_settings(tmp_path: Path) -> None:
    run = only(tmp_path, {"train": {"seed": 7}}, train={"seed": 8})
    assert run == settings(train__seed=1)


def test_variants_on_the_same_images_are_compared_and_others_are_not(tmp_path: Path) -> None:
    zoo = load(tmp_path)
    assert zoo.compared() == {"base": [1, 2], "empty": [1, 2], "deep": [3]}
    assert zoo.not_compared() == {"cats": [4]}


def test_own_zoo_is_valid_and_each_run_has_a_name_of_its_own() -> None:
    zoo = variants.load(ROOT / "zoo" / "params.yaml")
    found = list(variants.runs(zoo, params.load(ROOT / "params.yaml"), "zoo/params.yaml"))
    every = (
        zoo.compared() | zoo.not_compared() | dict.fromkeys(zoo.trials.variants, zoo.trials.seeds)
    )
    assert len({run.name for run in found}) == len(found) == sum(map(len, every.values()))
    assert zoo.book.keys() <= zoo.compared().keys()


def test_seed_of_a_trial_has_a_fold_of_its_own_and_no_look_at_test(tmp_path: Path) -> None:
    run = next(each for each in runs(tmp_path) if each.name == "try-2").settings
    assert (run.data.holdout, run.data.fold, run.train.seed) == (0.2, 1, 2)
    assert not run.evaluation.test


# Wrong settings.


def complaint(folder: Path, **changes: object) -> str:
    """Return what is said of a zoo, without the file's name."""
    with pytest.raises(UserError) as caught:
        list(variants.runs(load(folder, **changes), settings(), str(folder / "zoo.yaml")))
    message = str(caught.value)
    assert message.startswith(f"{folder / 'zoo.yaml'}: ") and "\n" not in message
    return message.removeprefix(f"{folder / 'zoo.yaml'}: ")


def with_variant(variant: object) -> dict[str, object]:
    return {"seeds": [1], "variants": {"mine": variant}}


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (
            {"model": {"nmae": "net"}},
            "mine: model.nmae: unknown setting; did you mean 'name'? settings here: name, n_chans1",
        ),
        ({"modle": {"name": "net"}}, "mine: modle: unknown setting; did you mean 'model'?"),
        ({"train": {"lr": -1}}, "mine: train.lr: -1 is not allowed; input should be greater than"),
        ({"model": "net"}, "quick.variants.mine.model: 'net' is not allowed; input should be a "),
        (None, "quick.variants.mine: None is not allowed; input should be a valid dictionary"),
    ],
    ids=["key", "group", "value", "no keys", "nothing"],
)
def test_wrong_setting_is_named_with_its_variant(
    variant: object, message: str, tmp_path: Path
) -> None:
    assert complaint(tmp_path, quick=with_variant(variant)).startswith(message)


def test_variant_that_changes_the_data_is_an_error(tmp_path: Path) -> None:
    quick = with_variant({"data": {"source": "cifar10"}})
    assert complaint(tmp_path, quick=quick) == "mine: data: a variant can't change the data"


def test_common_settings_that_change_the_data_are_an_error(tmp_path: Path) -> None:
    common = {"data": {"source": "cifar10"}}
    assert complaint(tmp_path, common=common).endswith("data: a variant can't change the data")


@pytest.mark.parametrize("group", ["slow", "ten_classes"])
def test_two_variants_of_one_name_are_an_error(group: str, tmp_path: Path) -> None:
    changes = {group: SMALL[group] | {"variants": {"base": {}}}}
    message = "the whole file: there are two variants named 'base'"
    assert complaint(tmp_path, **changes) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"common": None}, "common: None is not allowed; input should be a valid dictionary"),
        ({"quik": {}}, "quik: unknown setting; did you mean 'quick'? settings here: common, quick"),
        (
            {"slow": {"seeds": [-1], "variants": {}}},
            "slow.seeds.0: -1 is not allowed; input should",
        ),
        ({"slow": {"variants": {}}}, "slow.seeds: missing"),
        (
            {"neither": ["base-2", "base-3"]},
            "the whole file: neither: 'base-3': unknown run; did you mean 'base-2'?",
        ),
        ({"neither": ["cats-4"]}, "the whole file: neither: 'cats-4': unknown run;"),
        ({"ten_classes": {"seeds": [], "variants": {}}}, "ten_classes.classes: missing"),
        (
            {"trials": SMALL["trials"] | {"seeds": [1, 6]}},
            "the whole file: trials.seeds: 6: with a holdout of 0.2, seeds are 1 to 5",
        ),
        (
            {"ten_classes": SMALL["ten_classes"] | {"classes": ["brid", "cat"]}},
            "ten_classes.classes.0: 'brid' is not allowed; did you mean 'bird'? allowed: airplane",
        ),
        ({"book": {"base": {"val": 0.9}}}, "book.base.train: missing"),
        (
            {"book": {"base": {"train": 0.9, "val": 0.9, "vall": 0.9}}},
            "book.base.vall: unknown setting; did you mean 'val'? settings here: train, val",
        ),
    ],
    ids=[
        "common",
        "group",
        "seed",
        "seeds",
        "neither",
        "ten",
        "classes",
        "fold",
        "class",
        "accuracy",
        "book",
    ],
)
def test_what_is_wrong_beside_the_variants_is_named(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    assert complaint(tmp_path, **changes).startswith(message)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"zoo\.yaml: No such file or directory$"):
        variants.load(tmp_path / "zoo.yaml")
