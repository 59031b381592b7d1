"""The series of the values per epoch, as DVCLive writes them and as they are read."""

import json
from pathlib import Path

import pytest

from cifar2.report import series
from cifar2.training.loop import Epoch
from tests.conftest import contents

EPOCHS = [Epoch(1, 0.579840362071991, 0.7145, 0.1, 1.0), Epoch(2, 1e-07, 0.9397, 0.25, 0.5)]
# The results in Git rely on these bytes.
FILES = {
    "plots/metrics/train/loss.tsv": b"step\tloss\n1\t0.579840362071991\n2\t1e-07\n",
    "plots/metrics/train/accuracy.tsv": b"step\taccuracy\n1\t0.7145\n2\t0.9397\n",
    "plots/metrics/val/loss.tsv": b"step\tloss\n1\t0.1\n2\t0.25\n",
    "plots/metrics/val/accuracy.tsv": b"step\taccuracy\n1\t1.0\n2\t0.5\n",
}


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder; keep DVCLive, which looks for a repository, from the project's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "history"


def test_series_grow_while_they_are_open_and_replace_those_of_an_earlier_run(history: Path) -> None:
    """The editors and `dvc plots` show a training that is under way."""
    for epochs in (3 * EPOCHS, EPOCHS):
        with series.opened(history) as live:
            for count, epoch in enumerate(epochs, start=1):
                series.append(live, epoch._replace(epoch=count))
                assert series.read(history)["val_loss"] == [e.val_loss for e in epochs[:count]]
                assert json.loads((history / "metrics.json").read_text())["step"] == count
    files = contents(history)
    assert json.loads(files.pop("metrics.json")) == {
        "train": {"loss": 1e-07, "accuracy": 0.9397},
        "val": {"loss": 0.25, "accuracy": 0.5},
        "step": 2,
    }
    assert files == FILES
    quantities = {name: [getattr(e, name) for e in EPOCHS] for name in Epoch._fields[1:]}
    assert series.read(history) == quantities
    (history / "plots/metrics/val/loss.tsv").write_bytes(b"step\tloss\n1\t0.1\n")
    with pytest.raises(series.Unfinished, match=f"^{history}: its series differ in length$"):
        series.read(history)
