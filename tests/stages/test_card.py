"""The card that the pipeline writes beside the weights."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from cifar2 import __version__
from cifar2.report import results
from tests.conftest import ROOT


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


COMMITTED = [ROOT / "models/README.md", *sorted((ROOT / "zoo/cards").glob("*.md"))]


@pytest.mark.parametrize("card", COMMITTED, ids=lambda path: path.stem)
def test_committed_card_names_the_present_versions(card: Path) -> None:
    """No stage depends on them, so `dvc repro` does not notice new ones."""
    (torch,) = re.findall(r"^torch==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert f"with cifar2 {__version__} and PyTorch {torch}." in card.read_text(encoding="utf-8")


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
