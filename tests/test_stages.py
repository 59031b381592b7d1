"""The stage scripts by themselves: what they import and read, what they say, what they leave."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
import train as train_stage
import yaml

from cifar2 import dataset, device
from cifar2.models import config_keys, list_models
from tests.conftest import ROOT, STAGES, contents, run, words, write


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_what_a_stage_imports(stage: str, finished: Path) -> None:
    """No more, or it would run needlessly; no less, or it would not run when it should."""
    declared = {dep.replace("${model.name}", "net") for dep in STAGES[stage]["deps"]}
    code = {dep for dep in declared if dep.endswith(".py")}
    assert code == set(json.loads((finished / f"{stage}.json").read_text())["imports"])
    outs = {
        out if isinstance(out, str) else next(iter(out))
        for other in STAGES.values()
        for out in other.get("outs", []) + other.get("metrics", [])
    }
    assert declared - code <= outs


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_what_a_stage_reads(stage: str, finished: Path) -> None:
    declared = set(STAGES[stage].get("params", []))
    if stage == "settings":  # checks them all
        assert declared == set(yaml.safe_load((ROOT / "params.yaml").read_text()))
    else:
        assert declared == set(json.loads((finished / f"{stage}.json").read_text())["reads"])


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_imports_what_it_does_not_use(stage: str, finished: Path) -> None:
    """torchvision takes seconds: only `filter` of the real CIFAR-10 needs it."""
    heavy = {
        "settings": set(),
        "download": set(),
        "filter": {"torch"},
        "train": {"torch", "dvclive"},
        "evaluate": {"torch"},
        "plot": {"torch", "matplotlib"},
    }
    assert set(json.loads((finished / f"{stage}.json").read_text())["heavy"]) == heavy[stage]


@pytest.mark.parametrize("stage", STAGES)
def test_help_names_every_path(stage: str) -> None:
    python, script, *options = words(stage)
    text = run(python, script, "--help", cwd=ROOT)
    for option in options[::2]:
        assert f"{option} PATH" in text


@pytest.mark.parametrize("stage", ["settings", "download", "filter", "train", "evaluate"])
def test_a_wrong_setting_is_one_line_and_status_2(stage: str, tmp_path: Path) -> None:
    write(tmp_path / "params.yaml", model__name="netresdep")
    said = run(*words(stage), cwd=tmp_path, status=2)
    assert said.startswith(
        f"{stage}: params.yaml: model.name: 'netresdep' is no model; did you mean 'netresdeep'?"
    )
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == ["params.yaml"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("stage", ["settings", "train"])
def test_a_device_that_is_not_here(stage: str, tmp_path: Path) -> None:
    write(tmp_path / "params.yaml", train__device="cuda")
    said = run(*words(stage), cwd=tmp_path, status=2)
    assert said.startswith(f"{stage}: train.device: 'cuda' is not on this machine, which has: ")
    assert said.count("\n") == 1


def test_a_card_that_cuda_cannot_use_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose driver is too old is counted all the same."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.resolve("auto").type != "cuda"


@pytest.mark.parametrize(
    ("stage", "words_said"),
    [
        ("filter", "filter: data/raw: no such folder; `dvc repro download` makes it"),
        ("train", "train: data/cifar2/train.pt: no such file; `dvc repro` makes it"),
        ("evaluate", "evaluate: models/model.pt: no such file; `dvc repro` makes it"),
        ("plot", "plot: data/cifar2/val.pt: no such file; `dvc repro` makes it"),
    ],
)
def test_a_missing_input_is_named(stage: str, words_said: str, tmp_path: Path) -> None:
    write(tmp_path / "params.yaml")
    assert run(*words(stage), cwd=tmp_path, status=2).strip() == words_said


def test_the_stand_in_has_two_classes(finished: Path, tmp_path: Path) -> None:
    write(tmp_path / "params.yaml", data__classes=["cat", "dog"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "raw").symlink_to(finished / "data" / "raw")
    said = run(*words("filter"), cwd=tmp_path, status=2)
    assert said == (
        "filter: data.classes: 'cat' is not in the synthetic data, which has: airplane, bird\n"
    )


def test_a_cifar10_url_that_does_not_work_is_no_reason_for_the_stand_in(tmp_path: Path) -> None:
    write(tmp_path / "params.yaml")
    said = run(*words("download"), cwd=tmp_path, status=2, env={"CIFAR10_URL": "/nothing/here"})
    assert said.splitlines()[-1].startswith(
        "download: CIFAR10_URL: /nothing/here: there is no file /nothing/here; give an http(s)"
    )
    assert not (tmp_path / "data" / "raw").exists()


# A proxy at which nothing listens: no address can be reached then, on any machine.
NO_NETWORK = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")}


def test_without_a_network_the_stand_in_takes_its_place_loudly(tmp_path: Path) -> None:
    write(tmp_path / "params.yaml")
    said = run(*words("download"), cwd=tmp_path, env=NO_NETWORK)
    assert "THIS RUN USES THE SYNTHETIC STAND-IN, NOT CIFAR-10" in said
    assert "`dvc repro -f download`" in said
    assert os.listdir(tmp_path / "data" / "raw") == ["synthetic.npz"]


def test_without_a_network_cifar10_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "params.yaml", data__source="cifar10")
    said = run(*words("download"), cwd=tmp_path, status=2, env=NO_NETWORK)
    assert said.splitlines()[-1] == (
        "download: CIFAR-10: none of the 5 addresses can be reached; "
        "set CIFAR10_URL to a copy, or run with -S data.source=synthetic"
    )
    assert not (tmp_path / "data" / "raw").exists()


def test_a_stage_runs_the_library_beside_it(tmp_path: Path) -> None:
    """Whichever is installed: a copy under .dvc/tmp/exps must run its own code."""
    for name in ("stages", "src"):
        run("cp", "-r", ROOT / name, tmp_path, cwd=ROOT)
    module = tmp_path / "src" / "cifar2" / "params.py"
    module.write_text(module.read_text() + "\nprint('the copy is imported')\n")
    write(tmp_path / "params.yaml")
    script = tmp_path / "stages" / "settings.py"
    command = (sys.executable, script, "--settings", "params.yaml", "--checked", "checked")
    said = run(*command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "src")})
    assert said == "the copy is imported\n"


def tiny_data(folder: Path) -> Path:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 3, 32, 32), dtype=torch.uint8, generator=generator)
    for name in ("train", "val"):
        labels = torch.arange(24) % 2
        dataset.save(dataset.Dataset(images, labels, ["a", "b"], "cifar10"), folder / f"{name}.pt")
    return folder


@pytest.mark.parametrize("name", list_models())
def test_a_setting_that_the_model_does_not_take_changes_nothing(name: str, tmp_path: Path) -> None:
    """And the same settings give the same bytes, the others different ones."""
    data = tiny_data(tmp_path / "data")
    others = {"n_chans1": 8, "n_blocks": 2, "dropout": 0.1, "shared_blocks": True}

    def trained(**changes: object) -> dict[str, bytes]:
        settings = write(
            tmp_path / "params.yaml", model__name=name, train__epochs=1, train__threads=1, **changes
        )
        folder = tmp_path / "out"
        snapshots = tmp_path / str(len(list(tmp_path.iterdir())))  # a new one, to train afresh
        train_stage.main(settings, data, folder / "model.pt", folder / "history", snapshots)
        return contents(folder)

    usual = trained()
    assert usual == trained()
    for key, value in others.items():
        assert (trained(**{f"model__{key}": value}) == usual) == (key not in config_keys(name)), key
    assert trained(train__seed=124) != usual


def test_a_line_is_printed_without_a_terminal(tmp_path: Path) -> None:
    data = tiny_data(tmp_path / "data")
    write(tmp_path / "params.yaml", train__epochs=23)
    python, script, *_ = words("train")
    command = (python, script, "--settings", "params.yaml", "--data", data)
    outputs = ("--model", "m/model.pt", "--history", "history", "--snapshots", "snapshots")
    said = run(*command, *outputs, cwd=tmp_path)
    lines = said.splitlines()
    assert [line.split()[3] for line in lines] == [
        f"{epoch}/23" for epoch in (1, 3, 6, 9, 12, 15, 18, 21, 23)
    ]
    pattern = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  epoch \d+/23  train \d\.\d{4} \d\.\d{4}  "
    pattern += r"val \d\.\d{4} \d\.\d{4}  \d+ s left"
    for line in lines:
        assert len(line) <= 100
        assert re.fullmatch(pattern, line)
    history = (tmp_path / "history/plots/metrics/val/loss.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in history] == ["step", *map(str, range(1, 24))]
