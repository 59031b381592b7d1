"""What a training shows: lines or a bar on stderr, and the series in files."""

import io
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


def columns(count: int) -> dict[str, list[float]]:
    epochs = [epoch(number) for number in range(1, count + 1)]
    return {quantity: [getattr(e, quantity) for e in epochs] for quantity in Epoch._fields[1:]}


def report(folder: Path, epochs: int, done: int = 0, until: int | None = None) -> None:
    """Report a training of which an earlier process has done some epochs; check the series."""
    before = [epoch(number) for number in range(1, done + 1)]
    with progress.reported(folder / "history", epochs, before) as reported:
        for number in range(done + 1, (until or epochs) + 1):
            reported(epoch(number))
            assert series.read(folder / "history") == columns(number)
    assert series.read(folder / "history") == columns(until or epochs)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on stderr, and check that there is nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


@pytest.mark.parametrize(
    ("epochs", "done", "expected"),
    [
        (1, 0, [1]),
        (9, 0, [*range(1, 10)]),
        (11, 0, [1, 2, 4, 6, 8, 10, 11]),
        (23, 0, [1, 3, 6, 9, 12, 15, 18, 21, 23]),
        (100, 0, [1, *range(10, 101, 10)]),
        (101, 0, [1, *range(11, 101, 11), 101]),
        # An earlier process has printed the others.
        (23, 20, [21, 23]),
        (5, 5, []),
    ],
)
def test_first_last_and_every_tenth_part_is_a_line_where_there_is_no_terminal(
    epochs: int, done: int, expected: list[int],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    report(tmp_path, epochs, done)
    assert [line.split()[3] for line in printed(capsys)] == [f"{n}/{epochs}" for n in expected]


def test_line_has_the_time_and_the_values_and_is_not_too_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.reported(tmp_path / "history", 100_000, []) as reported:
        reported(epoch(100_000))
    (line,) = printed(capsys)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  epoch 100000/100000"
        r"  train 0\.0000 100\.5000  val 0\.0000 100\.2500  0 s left",
        line,
    )
    assert len(line) <= 100


def test_time_left_is_estimated_from_the_epochs_of_this_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([1000.0, 1004.0])  # at the start, and after two epochs
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(times)))
    report(tmp_path, 100, done=88, until=90)
    (line,) = printed(capsys)
    assert line.endswith("  20 s left")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_terminal_gets_a_bar_and_no_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report(tmp_path, 5, done=2)
    shown = terminal.getvalue()
    assert "s left" not in shown
    assert " 2/5 " in shown and " 5/5 " in shown
    assert "train 0.5050 val 0.2550" in shown
