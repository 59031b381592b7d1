"""Where `download` takes the images from, and when it draws the stand-in instead."""

import os
from pathlib import Path

import download as download_stage
import pytest

from cifar2.data import synthetic
from cifar2.errors import UserError
from tests.conftest import write


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
