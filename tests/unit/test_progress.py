"""What a training shows: lines or a bar on stderr, and the series in files."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifar2 import progress
from cifar2.report import series
from cifar2.training.loop import Epoch


def epoch(number: int) -> Epoch:
    """Return values that differ from epoch to epoch, and from each other."""
    return Epoch(number, 1 / number, 0.5 + number / 1000, 2 / number, 0.25 + number / 1000)


def report(folder: Path, epochs: int, done: int = 0, until: int | None = None) -> None:
    """Report a training of which an earlier process has done some epochs; check the series."""
    before = [epoch(number) for number in range(1, done + 1)]
    with progress.reported(folder / "history", epochs, before) as reported:
        for number in range(done + 1, (until or epochs) + 1):
            reported(epoch(number))
            losses = series.read(folder / "history")["val_loss"]
            assert losses == [2 / each for each in range(1, number + 1)]
    assert len(series.read(folder / "history")["val_loss"]) == (until or epochs)


@pytest.mark.parametrize(
    ("epochs", "done", "expected"),
    [
        (9, 0, [*range(1, 10)]),
        (23, 0, [1, 3, 6, 9, 12, 15, 18, 21, 23]),
        (100, 0, [1, *range(10, 101, 10)]),
        (23, 20, [21, 23]),  # an earlier process has printed the others
        (5, 5, []),
    ],
)
def test_first_last_and_every_tenth_part_is_a_line_where_there_is_no_terminal(
    epochs: int, done: int, expected: list[int],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    report(tmp_path, epochs, done)
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[3] for line in err.splitlines()] == [f"{n}/{epochs}" for n in expected]


def test_line_has_the_time_the_values_and_the_time_left_by_the_epochs_of_this_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([1000.0, 1004.0])  # at the start, and after two epochs
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times)))
    report(tmp_path, 100, done=88, until=90)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  epoch 90/100"
        r"  train 0\.0111 0\.5900  val 0\.0222 0\.3400  20 s left\n",
        capsys.readouterr().err,
    )


def test_terminal_gets_a_bar_and_no_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    report(tmp_path, 5, done=2)
    shown = capsys.readouterr().err
    assert "s left" not in shown
    assert " 2/5 " in shown and " 5/5 " in shown
    assert "train 0.5050 val 0.2550" in shown
