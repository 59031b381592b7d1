"""The results that `evaluate` writes, to the byte, for a network whose answers can be checked."""

import json
from pathlib import Path

import evaluate as evaluate_stage
import pytest
import torch

from cifar2.data.dataset import Dataset, save
from cifar2.inference import checkpoint
from cifar2.models.net import Net
from tests.conftest import contents, write

# With v = tanh(tanh(tanh(the normalised red at the left))), the logits are 0 and 4 v.
ACCURACY = """\
{
  "dataset": "cifar10",
  "model": "net",
  "train": {
    "accuracy": 0.5,
    "loss": 1.342403
  },
  "val": {
    "accuracy": 0.75,
    "loss": 0.672065,
    "per_class": {
      "cat": 1.0,
      "dog": 0.666667
    }
  }
}
"""
PREDICTIONS = """\
image,actual,predicted,confidence
0,dog,dog,0.9252
1,cat,cat,0.9218
2,dog,cat,0.9080
3,dog,dog,0.8663
"""
MIRRORED = """\
image,actual,predicted,confidence
0,dog,dog,0.9252
1,cat,cat,0.9218
2,dog,dog,0.5300
3,dog,cat,0.5524
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a network, data, and the settings."""
    network = Net()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for weight in (network.conv1.weight[0, 0, 1], network.conv2.weight[0, 0, 1]):
            weight[1] = 1
        network.fc1.weight[0, 0] = 1
        network.fc2.weight[1, 0] = 4
    card = checkpoint.Card("net", {}, ["cat", "dog"], "cifar10")
    checkpoint.save(network, card, tmp_path / "model.pt")
    for name, left, right, labels in (
        ("train", [240, 0], [240, 0], [1, 1]),
        ("val", [240, 30, 60, 165], [240, 30, 250, 60], [1, 0, 1, 1]),
    ):
        images = torch.zeros(len(labels), 3, 32, 32, dtype=torch.uint8)
        images[:, 0, :, :16] = torch.tensor(left, dtype=torch.uint8).view(-1, 1, 1)
        images[:, 0, :, 16:] = torch.tensor(right, dtype=torch.uint8).view(-1, 1, 1)
        data = Dataset(images, torch.tensor(labels), ["cat", "dog"], "cifar10")
        save(data, tmp_path / f"data/{name}.pt")
    write(tmp_path / "params.yaml", train__device="cpu", train__threads=1)
    return tmp_path


def set_apart(folder: Path) -> None:
    """Make the val images test images, as with a holdout, and other images val."""
    (folder / "data/val.pt").rename(folder / "data/test.pt")
    (folder / "data/val.pt").write_bytes((folder / "data/train.pt").read_bytes())


def evaluate(folder: Path) -> dict[str, str]:
    evaluate_stage.main(
        folder / "params.yaml",
        folder / "data",
        folder / "model.pt",
        folder / "out/accuracy.json",
        folder / "out/predictions.csv",
    )
    return {name: content.decode() for name, content in contents(folder / "out").items()}


def test_results_are_the_known_bytes(folder: Path) -> None:
    assert evaluate(folder) == {"accuracy.json": ACCURACY, "predictions.csv": PREDICTIONS}


def test_mirror_averages_the_logits_of_an_image_and_its_mirror_image(folder: Path) -> None:
    write(folder / "params.yaml", train__device="cpu", train__threads=1, evaluation__mirror=True)
    assert evaluate(folder)["predictions.csv"] == MIRRORED


def test_with_a_holdout_test_images_are_measured_and_val_images_predicted(folder: Path) -> None:
    set_apart(folder)
    results = evaluate(folder)
    accuracy = json.loads(results["accuracy.json"])
    assert list(accuracy) == ["dataset", "model", "train", "val", "test"]
    assert accuracy["test"] == json.loads(ACCURACY)["val"]
    assert accuracy["val"]["accuracy"] == accuracy["train"]["accuracy"] == 0.5
    assert len(results["predictions.csv"].splitlines()) == 1 + 2


def test_test_images_are_not_looked_at_unless_wanted(folder: Path) -> None:
    set_apart(folder)
    (folder / "data/test.pt").write_bytes(b"")  # whoever reads it fails
    write(folder / "params.yaml", train__device="cpu", train__threads=1, evaluation__test=False)
    assert "test" not in json.loads(evaluate(folder)["accuracy.json"])
