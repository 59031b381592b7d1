"""A run of the zoo in a folder of its own, with commands that take no time."""

from pathlib import Path

import pytest

from zoo.run import Failed, Task, do, log_of, md5

COPY = "python -c \"import shutil; shutil.copy('settings.yaml', 'model.pt')\""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    for name in ("code/src", "code/stages", "scratch"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path / "code"


def do_run(code: Path, *commands: str, settings: bytes = b"seed: 1") -> dict[str, bytes]:
    stages = [(f"train_quick@net-{number}", text) for number, text in enumerate(commands)]
    task = Task("net-1", stages, {"settings.yaml": md5(b"seed: 1")}, ["model.pt", "history"])
    return do(task, code, {"settings.yaml": settings}, code.parent / "scratch", {})


def test_it_returns_files_and_folders_and_leaves_only_a_log(code: Path) -> None:
    history = "python -c \"import os; os.makedirs('history/plots'); open('history/plots/a', 'w')\""
    assert do_run(code, COPY, history) == {"model.pt": b"seed: 1", "history/plots/a": b""}
    assert [path.name for path in (code.parent / "scratch").iterdir()] == ["net-1.log"]
    log = log_of(code.parent / "scratch", "net-1").read_text()
    assert log.startswith("Running stage 'train_quick@net-0':\n> python -c ")


@pytest.mark.parametrize(
    ("commands", "settings", "reason"),
    [
        ([COPY], b"seed: 2", r"settings\.yaml changed meanwhile"),
        ([COPY], b"seed: 1", "history was not written"),
        (["python -c \"raise SystemExit('train: no luck')\""], b"seed: 1", "^train: no luck$"),
        (["python -c \"print('train: 1'); print(0); exit(3)\""], b"seed: 1", "^train: 1$"),
    ],
)
def test_it_says_what_failed(commands: list[str], settings: bytes, reason: str, code: Path) -> None:
    with pytest.raises(Failed, match=reason):
        do_run(code, *commands, settings=settings)
