"""The stage that checks the settings before any output is removed."""

import re
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cifar2.errors import UserError
from tests.conftest import write
from tests.stages.conftest import main


def test_device_that_is_not_on_this_machine_is_an_error(tmp_path: Path) -> None:
    """With CUDA there are some devices, but hardly a hundred."""
    write(tmp_path / "params.yaml", train__device="cuda:99")
    with pytest.raises(UserError, match=r"^train\.device: 'cuda:99' is not on this machine; dev"):
        main("settings", tmp_path)
    assert not (tmp_path / "data").exists()


MISSING = "no such file; it takes a model.pt and a model.json, as models/ has them"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, f"/model.json: {MISSING}"),
        ({"model.json": "{}"}, "/model.json: damaged ('model')"),
        ({"model.json": '{"model": "net"}'}, f"/model.pt: {MISSING}"),
        (
            {"model.pt": "", "model.json": '{"model": "vgg"}'},
            ": a network 'vgg', but model.name is",
        ),
        (
            {"model.pt": "", "model.json": '{"model": "net", "size": 64}'},
            ": of 64 pixels; choose data.size=64",
        ),
    ],
)
def test_given_weights_that_are_missing_or_of_another_network_are_named(
    files: dict[str, str], reason: str, tmp_path: Path
) -> None:
    write(tmp_path / "params.yaml", train__start="mine")
    (folder := tmp_path / "weights/mine").mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(UserError, match=re.escape(f"train.start: {folder}{reason}")):
        main("settings", tmp_path)
    assert not (tmp_path / "data").exists()


def test_network_that_git_does_not_know_is_named_in_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC runs some experiments in a copy of what Git knows."""
    write(tmp_path / "params.yaml", model__name="mine")
    repository = tmp_path / "repository"
    (repository / "src/cifar2/models").mkdir(parents=True)
    (repository / "src/cifar2/models/mine.py").touch()
    monkeypatch.setenv("DVC_ROOT", str(repository))
    with pytest.raises(UserError) as caught:
        main("settings", tmp_path)
    assert "model.name: 'mine': unknown model;" in str(caught.value)
    assert str(caught.value).endswith("; mine: `git add` the file first, since this is a copy")


@pytest.mark.parametrize(
    ("source", "classes", "said"),
    [
        (
            "auto",
            ["cat", "brid"],
            "no class 'brid' in 'cifar10'; did you mean 'bird'? classes",
        ),
        (
            "cats",
            ["a", "c"],
            "data.classes: no class 'c' in 'cats'; classes there: a, b; or all",
        ),
        (
            "cat",
            "all",
            "no folder 'cat' in sources/; did you mean 'cats'? there: auto, cifar10, sy",
        ),
        ("copy", "all", "data.source: `dvc add sources/copy` first, since this is a copy"),
    ],
)
def test_source_and_classes_are_looked_up(
    source: str, classes: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sources/cats/a/1.png", "sources/cats/b/1.png", "main/sources/copy/a/1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    changes = {"data__source": source, "data__classes": classes, "data__holdout": 0.2}
    write(tmp_path / "params.yaml", **changes)
    with pytest.raises(UserError) as caught:
        main("settings", tmp_path)
    assert said in str(caught.value) and not (tmp_path / "data").exists()


def test_pictures_that_do_not_fit_into_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SimpleNamespace(available=2 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    write(tmp_path / "params.yaml", data__size=96)
    with pytest.raises(UserError) as caught:
        main("settings", tmp_path)
    assert str(caught.value) == (
        "data.size: 12,000 pictures of 96×96 pixels need 3.2 GiB of memory, and 2.0 GiB are free;"
        " 64 would fit"
    )
