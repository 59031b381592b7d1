"""The results that `evaluate` writes, to the byte, for a network whose answers can be checked."""

import hashlib
import json
from pathlib import Path
from unittest.mock import Mock

import evaluate as evaluate_stage
import pytest
import torch

from cifar2.data.dataset import Dataset, save
from cifar2.inference import checkpoint
from cifar2.models.net import Net
from cifar2.report.results import Prediction
from tests.conftest import contents, write

# With v = tanh(tanh(tanh(the normalised red at the left))), the logits are 0 and 4 v.
ACCURACY = {
    "dataset": "cifar10",
    "model": "net",
    "train": {"accuracy": 0.5, "loss": 1.342403},
    "val": {"accuracy": 0.75, "loss": 0.672065, "per_class": {"cat": 1.0, "dog": 0.666667}},
}
CALIBRATION = {"ece": 0.2222, "temperature": 2.104, "ece_at_temperature": 0.1427}
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
RELIABILITY = """\
confidence,accuracy,images
0.8663,1.0000,1
0.9183,0.6667,3
"""
# Images 1 and 4 are of classes that the network knows, and of deer there is none.
OTHERS = """\
class,images,cat,dog,confidence,sure
frog,3,0.6667,0.3333,0.9183,0.0000
ship,1,0.0000,1.0000,0.9252,0.0000
all,4,0.5000,0.5000,0.9200,0.0000
"""
SUREST = """\
image,actual,predicted,confidence
2,frog,dog,0.9252
3,ship,dog,0.9252
5,frog,cat,0.9218
0,frog,cat,0.9080
"""
RESULTS = {
    "accuracy.json": json.dumps(ACCURACY, indent=2) + "\n",
    "predictions.csv": PREDICTIONS,
    "calibration.json": json.dumps(CALIBRATION, indent=2) + "\n",
    "reliability.csv": RELIABILITY,
    "others.csv": OTHERS,
    "surest.csv": SUREST,
}


def images(left: list[int], right: list[int]) -> torch.Tensor:
    """Return images of these reds in their halves."""
    pixels = torch.zeros(len(left), 3, 32, 32, dtype=torch.uint8)
    pixels[:, 0, :, :16] = torch.tensor(left, dtype=torch.uint8).view(-1, 1, 1)
    pixels[:, 0, :, 16:] = torch.tensor(right, dtype=torch.uint8).view(-1, 1, 1)
    return pixels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a network, data, and the settings."""
    network = Net(2, kernel_size=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for weight in (network.conv1.weight[0, 0, 1], network.conv2.weight[0, 0, 1]):
            weight[1] = 1
        network.fc1.weight[0, 0] = 1
        network.fc2.weight[1, 0] = 4
    description = checkpoint.Description("net", {"kernel_size": 3}, ["cat", "dog"], "cifar10")
    checkpoint.save(network, description, tmp_path / "model.pt")
    for name, left, right, labels, classes in (
        ("data/train", [240, 0], [240, 0], [1, 1], ["cat", "dog"]),
        ("data/val", [240, 30, 60, 165], [240, 30, 250, 60], [1, 0, 1, 1], ["cat", "dog"]),
        # Their classes are in another order, with others in between.
        ("whole", [60, 0, 240, 240, 0, 30], [60, 0, 9, 240, 0, 30], [1, 3, 1, 2, 0, 1],
         ["dog", "frog", "ship", "cat", "deer"]),
    ):  # fmt: skip
        data = Dataset(images(left, right), torch.tensor(labels), classes, "cifar10")
        save(data, tmp_path / f"{name}.pt")
    write(tmp_path / "params.yaml", train__device="cpu", train__threads=1)
    return tmp_path


def evaluate(folder: Path, *names: str) -> dict[str, str]:
    """Measure the network; return the files that were written, of those with these names."""
    evaluate_stage.main(
        folder / "params.yaml",
        folder / "data",
        folder / "model.pt",
        whole_val=folder / "whole.pt",
        **{name.partition(".")[0]: folder / "out" / name for name in names},
    )
    return {name: content.decode() for name, content in contents(folder / "out").items()}


def test_results_are_the_known_bytes_by_one_load_of_the_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Mock(side_effect=checkpoint.load)
    monkeypatch.setattr(checkpoint, "load", load)
    assert evaluate(folder, *RESULTS) == RESULTS
    load.assert_called_once_with(folder / "model.pt")


@pytest.mark.parametrize(
    "names",
    [
        ["others.csv", "surest.csv"],
        ["accuracy.json", "predictions.csv", "made_by"],
        ["calibration.json", "reliability.csv"],
        ["predictions.csv"],
    ],
    ids="+".join,
)
def test_only_what_is_asked_for_is_written(names: list[str], folder: Path) -> None:
    """`made_by` tells whether a result of the zoo is of the present settings and code."""
    settings = (folder / "params.yaml").read_bytes()
    made_by = {"made_by": f"{hashlib.md5(settings).hexdigest()}\n"}
    assert evaluate(folder, *names) == {name: (RESULTS | made_by)[name] for name in names}


def test_mirror_averages_the_logits_of_an_image_and_its_mirror_image(folder: Path) -> None:
    write(folder / "params.yaml", train__device="cpu", train__threads=1, evaluation__mirror=True)
    found = evaluate(folder, "predictions.csv", "surest.csv")
    assert found["predictions.csv"] == MIRRORED
    assert found["surest.csv"].splitlines()[-1] == "2,frog,cat,0.5004"


def test_with_a_holdout_test_images_are_measured_if_wanted_and_val_images_predicted(
    folder: Path,
) -> None:
    (folder / "data/val.pt").rename(folder / "data/test.pt")
    (folder / "data/val.pt").write_bytes((folder / "data/train.pt").read_bytes())
    found = evaluate(folder, "accuracy.json", "predictions.csv")
    accuracy = json.loads(found["accuracy.json"])
    assert list(accuracy) == ["dataset", "model", "train", "val", "test"]
    assert accuracy["test"] == ACCURACY["val"]
    assert accuracy["val"]["accuracy"] == accuracy["train"]["accuracy"] == 0.5
    assert len(found["predictions.csv"].splitlines()) == 1 + 2
    (folder / "data/test.pt").write_bytes(b"")  # whoever reads it fails
    write(folder / "params.yaml", train__device="cpu", train__threads=1, evaluation__test=False)
    assert "test" not in json.loads(evaluate(folder, "accuracy.json")["accuracy.json"])


def test_answer_is_sure_above_95_percent() -> None:
    answers = [Prediction(0, "cat", "bird", each) for each in (0.95, 0.951, 0.5, 0.99)]
    row = evaluate_stage._summarise("cat", answers, ["airplane", "bird"])
    assert row.shares == {"airplane": 0, "bird": 1}
    assert (row.name, row.images, row.sure) == ("cat", 4, 0.5)
    assert row.confidence == pytest.approx(0.84775)


def test_only_the_surest_answers_are_kept_and_there_may_be_none(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate_stage.SUREST == 32  # as many as the picture has room for
    monkeypatch.setattr(evaluate_stage, "SUREST", 3)
    found = evaluate(folder, "surest.csv")
    assert found["surest.csv"].splitlines() == SUREST.splitlines()[:4]
    (folder / "data/val.pt").rename(folder / "whole.pt")  # of known classes, as the stand-in is
    found = evaluate(folder, "others.csv", "surest.csv")
    assert [len(table.splitlines()) for table in found.values()] == [1, 1]
