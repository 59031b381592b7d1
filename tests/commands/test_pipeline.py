"""`dvc repro` in a clone: what it leaves, and what makes it run a stage again."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

from cifar2.data import synthetic
from tests.commands.conftest import experiment, metrics, stages_run
from tests.conftest import ROOT, STAGES, edit, run


def test_results_are_in_git_and_images_and_networks_are_not(clone: Path) -> None:
    tracked = run("git", "ls-files", "metrics", "plots", "data", "models", cwd=clone).split()
    assert {"data/checked", "metrics/accuracy.json", "plots/predictions.csv"} <= set(tracked)
    binary = [name for name in tracked if name.endswith((".pt", ".npz", ".png"))]
    assert binary == ["plots/accuracy.png", "plots/loss.png"]
    assert all((clone / name).stat().st_size < 100_000 for name in tracked)
    assert (clone / "plots/mistakes.png").exists()


@pytest.mark.slow
def test_forced_run_gives_the_same_bytes_and_then_nothing_runs(tidy: Path) -> None:
    shutil.rmtree(tidy / ".dvc" / "tmp" / "snapshots")  # otherwise the training is not repeated
    said = run("dvc", "repro", "--force", cwd=tidy)
    assert stages_run(said) == list(STAGES)
    assert "epoch 1/1 " in said
    assert run("git", "status", "--porcelain", cwd=tidy) == ""
    said = run("dvc", "repro", cwd=tidy)
    assert said.splitlines()[-1] == "Data and pipelines are up to date."
    assert stages_run(said) == []


def outdated(clone: Path) -> list[str]:
    """Return the stages with a change of their own, without running them."""
    return list(json.loads(run("dvc", "status", "--json", cwd=clone)))


@pytest.mark.slow
def test_other_given_weights_outdate_the_training_alone(tidy: Path) -> None:
    mine = shutil.copytree(tidy / "models", tidy / "weights/mine")
    edit(tidy / "params.yaml", "start: none ", "start: mine ")
    said = run("dvc", "repro", cwd=tidy)
    assert stages_run(said)[:2] == ["settings", "train"]
    assert "weights/mine/model.pt: taken over: conv1, conv2, fc1, fc2; new: none" in said
    assert outdated(tidy) == []
    edit(mine / "model.json", '"airplane"', '"kite"')
    assert outdated(tidy) == ["train"]
    assert "; new: fc2\n" in run("dvc", "repro", cwd=tidy)
    shutil.rmtree(mine)


def test_committed_run_is_on_cifar10_at_the_defaults() -> None:
    result = metrics(ROOT)
    assert (result["model"], result["dataset"]) == ("net", "cifar10")
    assert result["val"]["accuracy"] >= 0.87
    locked = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]["train"]["params"]
    settings = yaml.safe_load((ROOT / "params.yaml").read_text())
    for group, values in locked["params.yaml"].items():
        assert settings[group] == values


@pytest.mark.slow
def test_changed_picture_of_one_s_own_runs_what_follows_and_copies_find_the_folder(
    tidy: Path,
) -> None:
    images, labels = synthetic.draw(20, seed=5)
    folder = tidy / "sources/Vögel Süd"
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = ["Flugzeug/n° {}.png", "ein Vögelchen/n° {}.jpg"][label].format(number)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).resize((40 + number, 50)).save(path)
    assert run("git", "status", "--porcelain", cwd=tidy) == ""  # so no experiment commits them
    run("dvc", "add", "--quiet", folder, cwd=tidy)
    own = ['data.source="Vögel Süd"', "data.classes=all", "data.holdout=0.3"]
    said = experiment(tidy, "--temp", "--name=pictures-aside", *own)
    assert stages_run(said) == ["settings", "download", "filter", "train", "evaluate", "plot"]
    experiment(tidy, *own, "data.size=64", "data.fit=pad")
    result = metrics(tidy)
    assert result["dataset"] == "Vögel Süd"
    assert list(result["val"]["per_class"]) == ["Flugzeug", "ein Vögelchen"]
    normalization = json.loads((tidy / "models/model.json").read_text())["normalization"]
    card = (tidy / "models/README.md").read_text()
    assert f"minus {tuple(normalization['mean'])}" in card and "of 64×64 pixels" in card
    facts = json.loads((tidy / "metrics/data.json").read_text())
    assert facts["shorter_side"] == {"least": 40, "median": 50, "most": 50}
    assert sum(sum(facts[part]["images"].values()) for part in ("train", "val")) == 40
    with_pads = run("cifar2", "predict", folder, cwd=tidy)
    assert with_pads == run("cifar2", "predict", folder, "--fit=pad", cwd=tidy)
    assert with_pads != run("cifar2", "predict", folder, "--fit=crop", cwd=tidy)
    (folder / "Flugzeug/.DS_Store").touch()
    assert "up to date" in run("dvc", "status", cwd=tidy)
    Image.new("RGB", (90, 60), "blue").save(folder / "Flugzeug/neu.png")
    assert stages_run(experiment(tidy))[:2] == ["settings", "filter"]
    said = run("cifar2", "predict", folder, cwd=tidy)
    assert len(said.splitlines()) == 41 and "n° 3.jpg  " in said
    (folder / "Flugzeug/neu.png").write_text("none")
    before = (tidy / "data/cifar2/train.pt").read_bytes()
    said = experiment(tidy, status=255)
    assert "sources/Vögel Süd: 1 of 41 pictures can't be read; mend or remove them: Flug" in said
    assert (tidy / "data/cifar2/train.pt").read_bytes() == before
    run("git", "clean", "--quiet", "--force", "-dx", "sources", cwd=tidy)
