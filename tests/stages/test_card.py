"""The card that the pipeline writes beside the weights."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from cifar2.report import results


def test_card_lies_beside_the_weights_and_has_their_accuracy(folder: Path) -> None:
    text = (folder / "models/README.md").read_text()
    assert sorted(each.name for each in (folder / "models").iterdir()) == [
        "README.md",
        "model.json",
        "model.pt",
    ]
    scores = results.read_accuracy(folder / "metrics/accuracy.json")
    assert f"| val | {scores.val.accuracy:.4f} |" in text
    written = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    params = yaml.safe_load((folder / "params.yaml").read_text())
    assert written["train"].items() <= params["train"].items()


def test_code_of_the_card_runs_where_the_folder_was_taken_to(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    taken = shutil.copytree(folder / "models", elsewhere / "models")
    Image.new("RGB", (64, 48), "skyblue").save(taken / "photo.jpg")
    (code,) = re.findall(r"```python\n(.*?)```", (taken / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(taken)
    exec(code, {})
    label, probability = capsys.readouterr().out.split()
    assert label in ("airplane", "bird")
    assert 0.5 <= float(probability) <= 1
