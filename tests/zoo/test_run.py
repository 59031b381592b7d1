"""A run of the zoo in a folder of its own, with commands that take no time; what a worker sends."""

from pathlib import Path

import pytest

from zoo import cluster
from zoo.cluster import Returned
from zoo.run import Failed, Task, do, log_of, md5

COPY = "python -c \"import shutil; shutil.copy('settings.yaml', 'model.pt')\""
WEIGHTS = {"models/net-1/model.pt": b"weights"}
HASHES = {"models/net-1/model.pt": md5(b"weights")}


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


def test_a_result_that_was_damaged_on_its_way_is_refused(tmp_path: Path) -> None:
    sent = Returned("id", "10.0.0.7", b"", WEIGHTS, {"models/net-1/model.pt": md5(b"Weights")}, "")
    ended = cluster._received("net-1", sent, None, tmp_path)
    assert ended == ("net-1", {}, "what 10.0.0.7 sent was damaged on its way")


def test_a_result_is_kept_if_the_machine_that_was_to_verify_it_dies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = Returned("id", "10.0.0.7", b"", WEIGHTS, HASHES, "")
    lost = Returned("", "", b"", {}, {}, "the node died")
    assert cluster._received("net-1", lost, sent, tmp_path) == ("net-1", WEIGHTS, "")
    assert capsys.readouterr().err == "zoo: net-1: done on one machine only: the node died\n"


def test_a_run_takes_a_part_of_a_gpu_if_its_settings_say_so(tmp_path: Path) -> None:
    settings = tmp_path / "net-1.yaml"
    settings.write_text("train:\n  device: cuda:0\n  threads: 1\n")
    takes = cluster._resources(settings)
    assert takes == {"num_cpus": 1, "num_gpus": 0.25}
    lack = "it takes 1 core and a GPU, and no machine of the cluster has that"
    assert cluster._lack(takes, [{"CPU": 1}]) == lack
    assert cluster._lack(takes, [{"CPU": 4, "GPU": 1}]) == ""
