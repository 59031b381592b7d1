"""Where `download` takes the images from, and when it draws the stand-in instead."""

import os
from pathlib import Path
from typing import Any, NoReturn

import download as download_stage
import pytest

from cifar2.data import download, synthetic
from tests.conftest import run, words, write

# A proxy at which nothing listens, so that no address can be reached on any machine.
NO_NETWORK = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}


@pytest.fixture
def small_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stand-in have few images, because drawing all of them takes seconds."""
    monkeypatch.setattr(synthetic, "TRAIN_PER_CLASS", 1)
    monkeypatch.setattr(synthetic, "VAL_PER_CLASS", 1)


def no_network(*_: object) -> NoReturn:
    raise download.NoNetwork("no mirror answers")


@pytest.mark.usefixtures("small_stand_in")
def test_synthetic_source_needs_no_network(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = write(tmp_path / "params.yaml", data__source="synthetic")
    download_stage.main(settings, tmp_path / "raw")
    assert os.listdir(tmp_path / "raw") == ["synthetic.npz"]
    assert caplog.text == ""


@pytest.mark.usefixtures("small_stand_in")
def test_without_a_network_the_stand_in_replaces_cifar10_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(download, "fetch", no_network)
    download_stage.main(write(tmp_path / "params.yaml"), tmp_path / "raw")
    assert os.listdir(tmp_path / "raw") == ["synthetic.npz"]
    assert "no mirror answers; set CIFAR10_URL to a copy, or run with -S data.sou" in caplog.text
    assert "THIS RUN USES THE SYNTHETIC STAND-IN, NOT CIFAR-10" in caplog.text
    assert "`dvc repro -f download`" in caplog.text


def test_without_a_network_cifar10_itself_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "params.yaml", data__source="cifar10")
    said = run(*words("download"), cwd=tmp_path, status=2, env=NO_NETWORK)
    assert said.splitlines()[-1] == (
        "download: CIFAR-10: none of the 5 mirrors can be reached; "
        "set CIFAR10_URL to a copy, or run with -S data.source=synthetic"
    )
    assert not (tmp_path / "data" / "raw").exists()


def test_wrong_cifar10_url_is_an_error_and_not_replaced_by_the_stand_in(tmp_path: Path) -> None:
    write(tmp_path / "params.yaml")
    said = run(*words("download"), cwd=tmp_path, status=2, env={"CIFAR10_URL": "/nothing/here"})
    assert said.splitlines()[-1].startswith(
        "download: CIFAR10_URL: /nothing/here: no such file: /nothing/here; set it to an http(s)"
    )
    assert not (tmp_path / "data" / "raw").exists()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give what `fetch` is called with."""
    asked: list[Any] = []
    monkeypatch.setattr(download, "fetch", lambda *arguments: asked.extend(arguments))
    monkeypatch.delenv("CIFAR10_URL", raising=False)
    return asked


@pytest.mark.parametrize("moved", [False, True], ids=["usual cache", "moved cache"])
def test_former_download_is_looked_for_in_the_cache_of_the_main_repository(
    moved: bool, asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC runs some experiments in a copy of the repository, which has no cache."""
    main, cache = tmp_path / "main", tmp_path / "main/.dvc/cache"
    main.mkdir()
    run("dvc", "init", "--quiet", "--no-scm", cwd=main)
    if moved:
        cache = tmp_path / "shared"
        run("dvc", "cache", "dir", "--local", cache, cwd=main)
    monkeypatch.setenv("DVC_ROOT", str(main))
    download_stage.main(write(tmp_path / "params.yaml"), tmp_path / "raw")
    assert asked == [tmp_path / "raw", None, cache / "files/md5"]


def test_stage_that_runs_without_dvc_has_no_cache_to_look_in(
    asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    download_stage.main(write(tmp_path / "params.yaml"), tmp_path / "raw")
    assert asked == [tmp_path / "raw", None, None]


def test_address_that_is_given_comes_before_the_cache(
    asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR10_URL", "http://a.mirror")
    download_stage.main(write(tmp_path / "params.yaml"), tmp_path / "raw")
    assert asked == [tmp_path / "raw", "http://a.mirror", None]
