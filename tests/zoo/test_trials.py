"""What `trials` writes of the zoo's trials."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cifar2.errors import UserError
from tests.zoo.test_compare import ZOO, write_run
from zoo import trials as trials_stage


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """Give a zoo with three runs of two trials, and one run of a third."""
    trials = {
        "holdout": 0.2,
        "seeds": [1, 2, 3],
        "variants": {"baseline": {}, "width": {}, "new": {}},
    }
    none: dict[str, Any] = {"seeds": [], "variants": {}}
    content = ZOO | {
        "trials": trials,
        "quick": none,
        "middle": none,
        "ten_classes": none | {"classes": ["bird", "cat"]},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    for seed, right in ((1, 7), (2, 8), (3, 9)):
        write_run(tmp_path, f"baseline-{seed}", right=right)
        write_run(tmp_path, f"width-{seed}", right=10)
    write_run(tmp_path, "new-2", right=5)
    return tmp_path


def compare(zoo: Path) -> tuple[str, str]:
    results, pairs = zoo / "trials.csv", zoo / "pairs.csv"
    trials_stage.main(zoo / "params.yaml", zoo / "settings/evaluate", zoo / "runs", results, pairs)
    return results.read_text(), pairs.read_text()


def test_results_are_means_over_the_folds_of_the_trials_that_have_them_all(zoo: Path) -> None:
    assert compare(zoo)[0] == (
        "trial,epochs,accuracy,std,loss,1,2,3\n"
        "baseline,2,0.8,0.1,1.0,0.7,0.8,0.9\n"
        "width,2,1.0,0.0,1.0,1.0,1.0,1.0\n"
    )


def test_pairs_are_of_the_trials_over_all_their_images(zoo: Path) -> None:
    head, *rows = compare(zoo)[1].splitlines()
    assert head == "a,b,difference,low,high,real"
    (row,) = rows
    assert row.startswith("baseline,width,-0.20000,")


def test_trials_on_other_images_are_an_error(zoo: Path) -> None:
    write_run(zoo, "width-2", right=10, classes=("cat", "dog"))
    with pytest.raises(UserError, match="width-2 was not measured on the images of the others"):
        compare(zoo)


def test_zoo_without_finished_trials_has_empty_tables(zoo: Path) -> None:
    for folder in (zoo / "runs").iterdir():
        (folder / "accuracy.json").unlink()
    results, pairs = compare(zoo)
    assert len(results.splitlines()) == len(pairs.splitlines()) == 1
