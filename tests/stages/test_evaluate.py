"""The results that `evaluate` writes, to the byte, for a network whose answers can be checked."""

import hashlib
import json
from pathlib import Path
from unittest.mock import Mock

import evaluate as evaluate_stage
import pytest
import torch

from cifar2.data.dataset import Dataset, save
from cifar2.errors import UserError
from cifar2.inference import checkpoint
from cifar2.models.net import Net
from tests.conftest import contents, write

# With v = tanh(tanh(tanh(the normalised red at the left))), the logits are 0 and 5 v.
ACCURACY = {
    "dataset": "cifar10",
    "model": "net",
    "train": {"accuracy": 0.5, "loss": 1.62334},
    "val": {"accuracy": 0.75, "loss": 0.774051, "per_class": {"cat": 1.0, "dog": 0.666667}},
}
CALIBRATION = {"ece": 0.2373, "temperature": 2.63, "ece_at_temperature": 0.1427}
PRECISION, F1 = {"cat": 0.5, "dog": 1.0}, {"cat": 0.666667, "dog": 0.8}
CLASSES = {"balanced_accuracy": 0.833333, "precision": PRECISION, "f1": F1}
RESULTS = {
    "accuracy.json": json.dumps(ACCURACY, indent=2) + "\n",
    "classes.json": json.dumps({"val": CLASSES}, indent=2) + "\n",
    "predictions.csv": """\
image,actual,predicted,confidence
0,dog,dog,0.9587
1,cat,cat,0.9562
2,dog,cat,0.9459
3,dog,dog,0.9118
""",
    "calibration.json": json.dumps(CALIBRATION, indent=2) + "\n",
    "reliability.csv": """\
confidence,accuracy,images
0.9118,1.0000,1
0.9536,0.6667,3
""",
    # Images 1 and 4 are of classes that the network knows, and of deer there is none.
    "others.csv": """\
class,images,cat,dog,confidence,sure
frog,3,0.6667,0.3333,0.9536,0.6667
ship,1,0.0000,1.0000,0.9587,1.0000
all,4,0.5000,0.5000,0.9549,0.7500
""",
    "surest.csv": """\
image,actual,predicted,confidence
2,frog,dog,0.9587
3,ship,dog,0.9587
5,frog,cat,0.9562
0,frog,cat,0.9459
""",
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
    network = Net(2, 32, kernel_size=3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for weight in (network.conv1.weight[0, 0, 1], network.conv2.weight[0, 0, 1]):
            weight[1] = 1
        network.fc1.weight[0, 0] = 1
        network.fc2.weight[1, 0] = 5
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


@pytest.mark.parametrize(
    "names",
    [
        [*RESULTS],
        ["others.csv", "surest.csv"],
        ["accuracy.json", "predictions.csv", "made_by"],
        ["calibration.json", "reliability.csv"],
        ["classes.json"],
    ],
    ids="+".join,
)
def test_what_is_asked_for_has_the_known_bytes_by_one_load_of_the_network(
    names: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`made_by` tells whether a result of the zoo is of the present settings and code."""
    load = Mock(side_effect=checkpoint.load)
    monkeypatch.setattr(checkpoint, "load", load)
    settings = (folder / "params.yaml").read_bytes()
    made_by = {"made_by": f"{hashlib.md5(settings).hexdigest()}\n"}
    assert evaluate(folder, *names) == {name: (RESULTS | made_by)[name] for name in names}
    load.assert_called_once_with(folder / "model.pt")


def test_mirror_averages_the_logits_of_an_image_and_its_mirror_image(folder: Path) -> None:
    write(folder / "params.yaml", train__device="cpu", train__threads=1, evaluation__mirror=True)
    found = evaluate(folder, "predictions.csv", "surest.csv")
    assert found["predictions.csv"].splitlines()[3:] == ["2,dog,dog,0.5375", "3,dog,cat,0.5653"]
    assert found["surest.csv"].splitlines()[-1] == "2,frog,cat,0.5004"


def test_with_a_holdout_test_images_are_measured_if_wanted_and_val_images_predicted(
    folder: Path,
) -> None:
    (folder / "data/val.pt").rename(folder / "data/test.pt")
    (folder / "data/val.pt").write_bytes((folder / "data/train.pt").read_bytes())
    found = evaluate(folder, "accuracy.json", "classes.json", "predictions.csv")
    classes = json.loads(found["classes.json"])
    assert (list(classes), classes["test"]) == (["val", "test"], CLASSES)
    accuracy = json.loads(found["accuracy.json"])
    assert list(accuracy) == ["dataset", "model", "train", "val", "test"]
    assert accuracy["test"] == ACCURACY["val"]
    assert accuracy["val"]["accuracy"] == accuracy["train"]["accuracy"] == 0.5
    assert len(found["predictions.csv"].splitlines()) == 1 + 2
    (folder / "data/test.pt").write_bytes(b"")  # whoever reads it fails
    write(folder / "params.yaml", train__device="cpu", train__threads=1, evaluation__test=False)
    assert "test" not in json.loads(evaluate(folder, "accuracy.json")["accuracy.json"])


def test_class_without_an_image_has_null_and_an_infinite_loss_is_refused(folder: Path) -> None:
    dogs = Dataset(images([240], [240]), torch.tensor([1]), ["cat", "dog"], "mine")
    save(dogs, folder / "data/val.pt")
    names = ("accuracy.json", "classes.json", "calibration.json", "reliability.csv")
    found = evaluate(folder, *names)
    assert json.loads(found["accuracy.json"])["val"]["per_class"] == {"cat": None, "dog": 1.0}
    assert json.loads(found["classes.json"])["val"]["balanced_accuracy"] == 1
    assert "nan" not in "".join(found.values()).lower()
    weights = torch.load(folder / "model.pt", weights_only=True)
    weights["fc2.bias"] = torch.tensor([3e38, -3e38])
    torch.save(weights, folder / "model.pt")
    with pytest.raises(UserError, match="the loss on the train images is inf; try a smaller train"):
        evaluate(folder, "accuracy.json")


def test_only_the_surest_answers_are_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert evaluate_stage.SUREST == 32  # as many as the picture has room for
    monkeypatch.setattr(evaluate_stage, "SUREST", 3)
    found = evaluate(folder, "surest.csv")
    assert found["surest.csv"].splitlines() == RESULTS["surest.csv"].splitlines()[:4]
