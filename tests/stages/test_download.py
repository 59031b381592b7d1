"""Where `download` takes the images from, and when it draws the stand-in instead."""

import os
from pathlib import Path
from typing import Any

import download as download_stage
import pytest

from cifar2.data import download, synthetic
from cifar2.errors import UserError
from tests.conftest import run, write


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no address be reached on any machine: there is nothing at its proxy."""
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY", "CIFAR10_URL", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("source", ["synthetic", "auto"])
def test_stand_in_is_drawn_if_it_is_wanted_or_loudly_without_a_network(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(synthetic, "TRAIN_PER_CLASS", 1)  # to draw all of them takes seconds
    monkeypatch.setattr(synthetic, "VAL_PER_CLASS", 1)
    download_stage.main(write(tmp_path / "params.yaml", data__source=source), tmp_path / "raw")
    assert os.listdir(tmp_path / "raw") == ["synthetic.npz"]
    assert ("THIS RUN USES THE SYNTHETIC STAND-IN" in caplog.text) == (source == "auto")


@pytest.mark.parametrize(
    ("source", "url", "message"),
    [
        ("cifar10", "", "^CIFAR-10: none of the 5 mirrors can be reached; set CIFAR10_URL to a"),
        ("auto", "/nothing", "^CIFAR10_URL: /nothing: no such file: /nothing; set it to an http"),
    ],
)
def test_cifar10_that_was_asked_for_is_not_replaced_by_the_stand_in(
    source: str, url: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR10_URL", url)
    with pytest.raises(UserError, match=message):
        download_stage.main(write(tmp_path / "params.yaml", data__source=source), tmp_path / "raw")
    assert os.listdir(tmp_path) == ["params.yaml"]


@pytest.mark.parametrize("case", ["moved cache", "no DVC", "address"])
def test_former_download_is_looked_for_in_the_cache_of_the_main_repository(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC runs some experiments in a copy of the repository, which has no cache."""
    asked: list[Any] = []
    monkeypatch.setattr(download, "fetch", lambda *arguments: asked.extend(arguments))
    monkeypatch.chdir(tmp_path)
    address, cache = None, None
    if case == "address":  # it comes before the cache
        address = "http://a.mirror"
        monkeypatch.setenv("CIFAR10_URL", address)
    elif case != "no DVC":
        main = tmp_path / "main"
        main.mkdir()
        run("dvc", "init", "--quiet", "--no-scm", cwd=main)
        monkeypatch.setenv("DVC_ROOT", str(main))
        run("dvc", "cache", "dir", "--local", tmp_path / "shared", cwd=main)
        cache = tmp_path / "shared/files/md5"
    download_stage.main(write(tmp_path / "params.yaml"), tmp_path / "raw")
    assert asked == [tmp_path / "raw", address, cache]
