"""What a training shows: lines or a bar on stderr, and the series in files."""

import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifar2 import progress
from cifar2.training import series
from cifar2.training.series import Epoch


def epoch(number: int) -> Epoch:
    """Return figures that differ from epoch to epoch, and from each other."""
    return Epoch(number, 1 / number, 0.5 + number / 1000, 2 / number, 0.25 + number / 1000)


def report(folder: Path, epochs: int, done: int = 0, until: int | None = None) -> None:
    """Report a training of which an earlier process has done some epochs."""
    before = [epoch(number) for number in range(1, done + 1)]
    with progress.reported(folder / "history", epochs, before) as reported:
        for number in range(done + 1, (until or epochs) + 1):
            reported(epoch(number))


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines on stderr, and check that there is nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


def numbers(lines: list[str]) -> list[int]:
    """Return the numbers of the epochs that lines are about."""
    return [int(line.split()[3].partition("/")[0]) for line in lines]


def test_first_last_and_every_tenth_part_is_a_line_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, 23)
    assert numbers(printed(capsys)) == [1, 3, 6, 9, 12, 15, 18, 21, 23]


@pytest.mark.parametrize("epochs", [1, 2, 9, 10, 11, 19, 99, 100, 101])
def test_lines_are_about_ten_whatever_the_number_of_epochs(
    epochs: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, epochs)
    lines = numbers(printed(capsys))
    assert min(epochs, 6) <= len(lines) <= 12
    assert lines[0] == 1 and lines[-1] == epochs


def test_line_has_the_time_and_the_figures_and_is_not_too_long(
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


def test_epochs_of_an_earlier_process_are_not_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, 23, done=20)
    assert numbers(printed(capsys)) == [21, 23]


def test_finished_training_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path, 5, done=5)
    assert printed(capsys) == []


@pytest.mark.parametrize("done", [0, 3, 5])
def test_series_has_all_epochs_also_those_of_an_earlier_process(done: int, tmp_path: Path) -> None:
    report(tmp_path, 5, done)
    assert series.read(tmp_path / "history") == [epoch(number) for number in range(1, 6)]


def test_series_has_an_epoch_as_soon_as_it_is_reported(tmp_path: Path) -> None:
    with progress.reported(tmp_path / "history", 5, []) as reported:
        reported(epoch(1))
        assert series.read(tmp_path / "history") == [epoch(1)]


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
