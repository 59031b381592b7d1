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

SMALL: dict[str, Any] = {
    "common": {"train": {"lr": 0.5, "epochs": 9, "seed": 8}, "augment": {"crop": 3}},
    "quick": {"seeds": [1, 2], "variants": {"base": {"train": {"lr": 0.7}}}},
    "middle": {"seeds": [], "variants": {}},
    "slow": {"seeds": [3], "variants": {"deep": {"model": {"name": "netresdeep"}}}},
    "folds": {"folds": 4, "seeds": 2, "variants": ["deep"]},
    "trials": {"folds": 5, "seeds": 1, "variants": {"try": {"train": {"seed": 7}}}},
    "book": {"base": {"train": 0.93, "val": 0.89}},
}


def runs(folder: Path, changes: dict[str, Any]) -> list[tuple[str, params.Params]]:
    """Return the runs of the small zoo, with some keys of its groups changed."""
    zoo = {group: each | changes.get(group, {}) for group, each in SMALL.items()}
    path = folder / "zoo.yaml"
    path.write_text(yaml.safe_dump(zoo | {"asked_about_others": changes.get("asked", [])}))
    return list(variants.runs(variants.load(path), settings(), str(path)))


def test_run_has_the_defaults_then_common_settings_its_variant_s_and_its_own(
    tmp_path: Path,
) -> None:
    """Those of its own are its seed; on folds the first one, and the images of the first fold."""
    common = {"train__lr": 0.5, "train__epochs": 9, "augment__crop": 3}
    held = {"data__holdout": 0.2, "evaluation__test": False}
    own: dict[str, dict[str, Any]] = {
        "base-1": {"train__lr": 0.7, "train__seed": 1},
        "base-2": {"train__lr": 0.7, "train__seed": 2},
        "deep-3": {"model__name": "netresdeep", "train__seed": 3},
        "deep-folds": {"model__name": "netresdeep", "train__seed": 1, "data__holdout": 0.25},
        "try-folds": held | {"train__seed": 1},
    }
    assert runs(tmp_path, {}) == [(name, settings(**common | each)) for name, each in own.items()]


def test_own_zoo_is_valid_and_each_of_its_runs_has_a_name_of_its_own_and_no_gpu() -> None:
    """The trials are not compared with the variants."""
    zoo = variants.load(ROOT / "zoo/params.yaml")
    found = list(variants.runs(zoo, params.load(ROOT / "params.yaml"), "zoo/params.yaml"))
    every = zoo.compared()
    assert not every.keys() & zoo.trials.variants.keys()
    on_folds = len(zoo.trials.variants) + len(zoo.folds.variants)
    count = sum(map(len, every.values())) + on_folds
    assert len({name for name, _ in found}) == len(found) == count
    assert zoo.book.keys() <= zoo.compared().keys()
    assert {run.train.device for _, run in found} == {"cpu"}


NO_DATA = "data: a variant can't change the data"
NOT_COMPARED = "asked_about_others: 'try-4': unknown run;"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"quick": {"variants": {"mine": {"model": {"nmae": "net"}}}}},
            "mine: model.nmae: unknown setting; did you mean 'name'? settings here: name, n_chans1",
        ),
        ({"quick": {"variants": {"mine": {"data": {"source": "auto"}}}}}, f"mine: {NO_DATA}"),
        ({"common": {"data": {"holdout": 0.1}}}, f"base: {NO_DATA}"),
        ({"slow": {"variants": {"base": {}}}}, "there are two variants named 'ba"),
        ({"slow": {"seeds": [-1]}}, "slow.seeds.0: -1 is not allowed; input should"),
        ({"asked": ["base-3"]}, NOT_COMPARED.replace("try-4", "base-3")),
        ({"asked": ["try-4"]}, NOT_COMPARED),
        ({"folds": {"variants": ["try"]}}, "folds.variants: 'try': unknown or there twice;"),
        ({"folds": {"variants": ["base", "base"]}}, "folds.variants: 'base': unknown or there tw"),
        ({"trials": {"variants": {"try": {"train": {"patience": 3}}}}}, "try: train: a fold can't"),
        ({"trials": {"folds": 1}}, "trials.folds: 1 is not allowed; input should be"),
        ({"folds": {"variants": ["bse"]}}, "folds.variants: 'bse': unknown or there twice; did"),
    ],
)
def test_wrong_setting_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        runs(tmp_path, changes)
    assert str(caught.value).startswith(f"{tmp_path / 'zoo.yaml'}: {message}")
