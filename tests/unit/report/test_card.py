"""What a model card says."""

import re
from typing import Any

import pytest
import torch
import yaml

from cifar2 import __version__
from cifar2.data.dataset import Preparation
from cifar2.report.card import card
from cifar2.report.results import Accuracy, ClassScores, OtherClass, Scores
from tests.unit.settings import settings

SHARES = {"airplane": 0.5, "bird": 0.5}
OTHERS = [
    OtherClass(name, 1000, SHARES, 0.75, sure) for name, sure in (("cat", 0), ("all", 0.1234))
]


def accuracy(val: float = 0.9, dataset: str = "cifar10", model: str = "net") -> Accuracy:
    return Accuracy(
        dataset=dataset,
        model=model,
        train=Scores(accuracy=0.95, loss=0.1),
        val=ClassScores(accuracy=val, loss=0.3, per_class={"airplane": val - 0.01, "bird": 0.91}),
    )


def described(
    *scores: Accuracy, others: list[OtherClass] | None = None, **changes: Any
) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, str]]:
    """Return a card: all of it, the fields that Hugging Face reads, its settings, its table."""
    text = card(settings(**changes), scores, list(range(1, len(scores) + 1)), others or [])
    fields = yaml.safe_load(text.split("---\n", 2)[1])
    written = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    table = dict(re.findall(r"^\| (.+) \| ([\d. ±]+) \|$", text, re.MULTILINE))
    return text, fields, written, table


def test_card_of_a_network_on_cifar_10() -> None:
    scores = accuracy(model="netwidth")
    text, fields, written, table = described(scores, model__name="netwidth", train__lr=0.5)
    assert "`netwidth`, of 38,386 parameters" in text
    assert "It was trained on CIFAR-10." in text
    classes = {"val, `airplane` alone": "0.8900", "val, `bird` alone": "0.9100"}
    assert table == {"train": "0.9500", "val": "0.9000"} | classes
    assert (fields["license"], fields["pipeline_tag"]) == ("mit", "image-classification")
    assert fields["datasets"] == ["uoft-cs/cifar10"]
    (result,) = fields["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": 0.9}]
    assert result["dataset"]["split"] == "test"
    # The settings that this network uses, and no other.
    assert written["model"] == {"name": "netwidth", "n_chans1": 32, "kernel_size": 3}
    assert (written["train"]["lr"], written["train"]["seed"]) == (0.5, 1)
    assert "device" not in written["train"] and "data" not in written
    assert "class_weights" not in written["train"]  # which are switched off
    *_, written, _ = described(scores, train__class_weights="balanced")
    assert written["train"]["class_weights"] == "balanced"
    # Versions would be those of whoever writes the card, and not of whoever trained the network.
    assert __version__ not in text and torch.__version__.partition("+")[0] not in text
    assert "CIFAR-10's other classes" not in text


def test_numbers_on_other_data_are_not_given_as_those_of_cifar_10() -> None:
    text, fields, *_ = described(accuracy(dataset="synthetic"))
    assert "datasets" not in fields and "model-index" not in fields
    assert "It was trained on a synthetic stand-in for CIFAR-10." in text
    assert "test batch" not in text
    scores = accuracy(dataset="my photos")
    scores.val.per_class["bird"] = None  # val has no image of this class
    text, fields, _, table = described(scores, others=OTHERS)
    assert (
        "It was trained on the pictures in `sources/my photos`." in text and "CIFAR-10" not in text
    )
    assert "Its input is red" not in text
    own = Preparation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 64)
    text = card(settings(), [scores], [1], [], own)
    assert "minus (0.5, 0.5, 0.5), divided by (0.25, 0.25, 0.25)." in text
    assert "a picture of 64×64 pixels" in text and "of 67,242 parameters" in text
    assert "cifar-10" not in fields["tags"] and "val, `bird` alone" not in table


def test_several_seeds_have_mean_and_standard_deviation() -> None:
    text, fields, written, table = described(accuracy(0.9), accuracy(0.92))
    assert table["val"] == "0.9100 ± 0.0141"
    assert "2 networks, which differ in their seed: 1, 2." in text
    assert written["train"]["seed"] == [1, 2]
    assert fields["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.91


@pytest.mark.parametrize("mirror", [True, False])
def test_card_says_how_to_ask_and_how_often_it_is_sure_of_other_things(mirror: bool) -> None:
    text, *_ = described(accuracy(), others=OTHERS, evaluation__mirror=mirror)
    assert ("card, mirror=True)" in text) == ("predict --mirror" in text) == mirror
    assert "Shown 1,000 images of CIFAR-10's other classes" in text
    assert "above 0.95 for 12.3% of them" in text


def test_with_a_holdout_the_accuracy_on_cifar_10_is_that_of_test_if_there_is_one() -> None:
    scores = accuracy(0.95).model_copy(update={"test": accuracy(0.9).val})
    text, fields, written, table = described(scores, data__holdout=0.2, data__fold=3)
    (result,) = fields["model-index"][0]["results"]
    assert result["metrics"] == [{"type": "accuracy", "value": 0.9}]
    assert (table["val"], table["test"]) == ("0.9500", "0.9000")
    assert table["test, `airplane` alone"] == "0.8900"
    apart = "The val images were set apart from CIFAR-10's train batches."
    assert f"{apart} The test images are its test batch." in text
    assert written["data"] == {"holdout": 0.2, "fold": 3}
    text, fields, *_ = described(accuracy(0.95), data__holdout=0.2)
    assert fields["datasets"] == ["uoft-cs/cifar10"] and "model-index" not in fields
    assert apart in text and "test batch" not in text and "| test" not in text
