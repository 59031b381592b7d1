"""The series of the figures, as DVCLive writes them and as they are read."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cifar2.errors import FileError, MissingFile, UserError
from cifar2.training import series
from cifar2.training.series import Epoch

EPOCHS = [Epoch(1, 0.579840362071991, 0.7145, 0.1, 1.0), Epoch(2, 1e-07, 0.9397, 0.25, 0.5)]
FILES = [
    f"plots/metrics/{part}/{quantity}.tsv"
    for part in ("train", "val")
    for quantity in ("loss", "accuracy")
]


@pytest.fixture(autouse=True)
def outside_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep DVCLive, which looks for a repository, from the project's own."""
    monkeypatch.chdir(tmp_path)


def write(folder: Path, epochs: list[Epoch]) -> Path:
    with series.opened(folder) as live:
        for epoch in epochs:
            series.append(live, epoch)
    return folder


def test_epochs_come_back_as_they_were(tmp_path: Path) -> None:
    assert series.read(write(tmp_path / "history", EPOCHS)) == EPOCHS


def test_files_have_exact_bytes(tmp_path: Path) -> None:
    """The results in Git rely on them."""
    folder = write(tmp_path / "history", EPOCHS)
    files = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}
    assert files == {
        "plots/metrics/train/loss.tsv": "step\tloss\n1\t0.579840362071991\n2\t1e-07\n",
        "plots/metrics/train/accuracy.tsv": "step\taccuracy\n1\t0.7145\n2\t0.9397\n",
        "plots/metrics/val/loss.tsv": "step\tloss\n1\t0.1\n2\t0.25\n",
        "plots/metrics/val/accuracy.tsv": "step\taccuracy\n1\t1.0\n2\t0.5\n",
        "metrics.json": """{
    "train": {
        "loss": 1e-07,
        "accuracy": 0.9397
    },
    "val": {
        "loss": 0.25,
        "accuracy": 0.5
    },
    "step": 2
}
""",
    }


def test_files_grow_while_they_are_open(tmp_path: Path) -> None:
    """The editors and `dvc plots` show a training that is under way."""
    with series.opened(tmp_path / "history") as live:
        for count in (1, 2):
            series.append(live, EPOCHS[count - 1])
            assert series.read(tmp_path / "history") == EPOCHS[:count]
            latest = json.loads((tmp_path / "history" / "metrics.json").read_text())
            assert latest["step"] == count


def test_series_of_an_earlier_run_are_replaced(tmp_path: Path) -> None:
    write(tmp_path / "history", EPOCHS)
    assert series.read(write(tmp_path / "history", EPOCHS[:1])) == EPOCHS[:1]


def test_git_repository_without_a_commit_is_an_error(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    with pytest.raises(UserError, match=r"^DVCLive needs a Git repository with a commit: Empty"):
        series.opened(tmp_path / "history")


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "history", EPOCHS)
    (folder / name).unlink()
    with pytest.raises(MissingFile) as caught:
        series.read(folder)
    assert str(caught.value) == f"{folder / name}: no such file"


@pytest.mark.parametrize("name", FILES)
def test_series_of_different_lengths_are_unfinished(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "history", EPOCHS)
    lines = (folder / name).read_text().splitlines()
    (folder / name).write_text("\n".join(lines[:-1]))
    with pytest.raises(series.Unfinished) as caught:
        series.read(folder)
    assert str(caught.value) == f"{folder}: its series differ in length"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"step\tloss\n1\tx\n2\t0.5\n", "could not convert string to float: 'x'"),
        (b"step\taccuracy\n1\t0.5\n2\t0.5\n", "'loss'"),
        (b"step\tloss\n1\n2\n", "float() argument must be a string or a real number"),
        (b"step\tloss\n1\t\xff\n2\t0.5\n", "'utf-8' codec can't decode"),
        (b'step\tloss\n1\t"' + 200_000 * b"1" + b'"\n', "field larger than field limit"),
    ],
)
def test_damaged_file_is_named_with_the_reason(content: bytes, reason: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "history", EPOCHS)
    path = folder / "plots/metrics/val/loss.tsv"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        series.read(folder)
    assert not isinstance(caught.value, (MissingFile, series.Unfinished))
    assert str(caught.value).startswith(f"{path}: damaged ({reason}")
    assert "\n" not in str(caught.value)


@hypothesis_settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50
)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_are_an_error(content: bytes, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    # Nearly all bytes are damaged; some, such as a header alone, are a series without an epoch.
    try:
        assert isinstance(series.read(tmp_path), list)
    except FileError as error:
        assert "\n" not in str(error)
