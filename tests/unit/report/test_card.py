"""What a model card says."""

import re
from typing import Any

import pytest
import yaml

from cifar2 import __version__
from cifar2.report.card import card
from cifar2.report.results import Accuracy, ClassScores, Neither, Scores
from tests.unit.settings import settings

ROWS = [
    Neither("cat", 1000, {"airplane": 0.5, "bird": 0.5}, 0.75, 0.2),
    Neither("all", 1000, {"airplane": 0.5, "bird": 0.5}, 0.75, 0.1234),
]


def accuracy(val: float = 0.9, dataset: str = "cifar10", model: str = "net") -> Accuracy:
    return Accuracy(
        dataset=dataset,
        model=model,
        train=Scores(accuracy=0.95, loss=0.1),
        val=ClassScores(accuracy=val, loss=0.3, per_class={"airplane": val - 0.01, "bird": 0.91}),
    )


def described(*scores: Accuracy, rows: list[Neither] | None = None, **changes: Any) -> str:
    seeds = list(range(1, len(scores) + 1))
    return card(settings(**changes), scores, seeds, rows or [], "2.14.1+cpu")


def fields(text: str) -> dict[str, Any]:
    """Return what Hugging Face reads: the YAML between the first two lines of dashes."""
    _, front, _ = text.split("---\n", 2)
    content: dict[str, Any] = yaml.safe_load(front)
    return content


def test_fields_name_licence_data_and_accuracy() -> None:
    found = fields(described(accuracy()))
    assert found["license"] == "mit"
    assert found["pipeline_tag"] == "image-classification"
    assert found["datasets"] == ["uoft-cs/cifar10"]
    (result,) = found["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": 0.9}]
    assert result["dataset"]["split"] == "test"


def test_figures_on_the_stand_in_are_not_given_as_those_of_cifar_10() -> None:
    text = described(accuracy(dataset="synthetic"))
    assert "datasets" not in fields(text) and "model-index" not in fields(text)
    assert "trained on a synthetic stand-in for CIFAR-10" in text
    assert "test batch" not in text


def test_accuracies_are_those_of_all_images_and_of_each_class() -> None:
    text = described(accuracy())
    table = re.findall(r"^\| (.+) \| ([\d. ±]+) \|$", text, re.MULTILINE)
    assert table == [
        ("train", "0.9500"),
        ("val", "0.9000"),
        ("val, `airplane` alone", "0.8900"),
        ("val, `bird` alone", "0.9100"),
    ]


def test_several_seeds_have_mean_and_standard_deviation() -> None:
    text = described(accuracy(0.9), accuracy(0.92))
    assert "| val | 0.9100 ± 0.0141 |" in text
    assert "2 networks, which differ in their seed: 1, 2." in text
    (result,) = fields(text)["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 0.91


def test_card_says_what_made_the_network() -> None:
    text = described(accuracy(model="netwidth"), model__name="netwidth", train__lr=0.5)
    assert "`netwidth`, of 38,386 parameters" in text
    assert f"with cifar2 {__version__} and PyTorch 2.14.1." in text
    written = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert written["train"]["lr"] == 0.5
    assert written["train"]["seed"] == 1


def test_settings_that_the_network_does_not_use_are_left_out() -> None:
    written = yaml.safe_load(described(accuracy()).split("```yaml\n")[1].split("```")[0])
    assert written["model"] == {"name": "net", "kernel_size": 3}
    assert "device" not in written["train"] and "data" not in written


@pytest.mark.parametrize(("rows", "said"), [(ROWS, True), ([], False)])
def test_card_says_how_often_it_is_sure_of_other_things(rows: list[Neither], said: bool) -> None:
    text = described(accuracy(), rows=rows)
    sentence = "Shown 1,000 images of CIFAR-10's other classes"
    assert (sentence in text) == said
    assert ("above 0.95 for 12.3% of them" in text) == said


@pytest.mark.parametrize("mirror", [True, False])
def test_network_is_asked_as_it_was_measured(mirror: bool) -> None:
    text = described(accuracy(), evaluation__mirror=mirror)
    assert ("card, mirror=True)" in text) == ("predict --mirror" in text) == mirror


def held_out(val: float, test: float | None) -> Accuracy:
    """Return the accuracies of a network with a holdout, of which test may not be measured."""
    measured = accuracy(test).val if test else None
    return accuracy(val).model_copy(update={"test": measured})


def test_with_a_holdout_the_figure_of_cifar_10_is_that_of_test() -> None:
    text = described(held_out(0.95, 0.9), data__holdout=0.2, data__fold=3)
    (result,) = fields(text)["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": 0.9}]
    assert "| val | 0.9500 |" in text and "| test | 0.9000 |" in text
    assert "| test, `airplane` alone | 0.8900 |" in text
    assert "The val images were set apart from CIFAR-10's train batches." in text
    assert "The test images are its test batch." in text
    written = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert written["data"] == {"holdout": 0.2, "fold": 3}


def test_val_images_that_were_set_apart_are_never_given_as_the_test_batch() -> None:
    text = described(held_out(0.95, None), data__holdout=0.2, evaluation__test=False)
    assert "model-index" not in fields(text)
    assert fields(text)["datasets"] == ["uoft-cs/cifar10"]
    assert "test batch" not in text and "| test" not in text


def test_same_results_give_the_same_card() -> None:
    assert described(accuracy(), rows=ROWS) == described(accuracy(), rows=ROWS)
