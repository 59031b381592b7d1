"""What a user loses, and what is said, when a command fails."""

import shutil
from pathlib import Path

import pytest

from tests.commands.conftest import experiment, metrics
from tests.conftest import copy_project, run
from tests.stages.test_robust import small_disk


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            "model.name=netresdep",
            "'netresdep': unknown model; did you mean 'netresdeep'? models: airbench, net,",
        ),
        ("model.name=../data/dataset", "'../data/dataset': unknown model; models: airbench, net,"),
        ("train.lr=fast", "'fast' is not allowed; input should be a valid number"),
    ],
)
def test_wrong_setting_is_named_and_no_output_is_lost(change: str, reason: str, tidy: Path) -> None:
    before = (tidy / "models" / "model.pt").read_bytes()
    said = experiment(tidy, change, status=255)
    assert f"settings: params.yaml: {change.split('=')[0]}: {reason}" in said
    assert "Traceback" not in said
    assert (tidy / "models" / "model.pt").read_bytes() == before
    assert metrics(tidy)["model"] == "net"


def test_refused_setting_is_seen_and_restored_by_git(tidy: Path) -> None:
    """DVC writes the file within the second in which Git wrote it, and with the same size."""
    before = (tidy / "params.yaml").read_bytes()
    for _ in range(5):
        experiment(tidy, "train.epochs=0", status=255)
        assert run("git", "status", "--porcelain", cwd=tidy) == " M params.yaml\n"
        run("git", "restore", "params.yaml", cwd=tidy)
        assert (tidy / "params.yaml").read_bytes() == before


def test_lock_file_that_is_not_committed_is_seen_by_git_after_a_refused_experiment(
    tidy: Path,
) -> None:
    text = (tidy / "dvc.lock").read_text()
    changed = text.replace("size: 23\n", "size: 24\n")
    for _ in range(5):
        (tidy / "dvc.lock").write_text(changed)
        experiment(tidy, "train.epochs=0", status=255)
        run("git", "restore", "params.yaml", cwd=tidy)
        assert run("git", "status", "--porcelain", cwd=tidy) == " M dvc.lock\n"
        run("git", "restore", "dvc.lock", cwd=tidy)


def test_failed_first_run_leaves_no_file_to_add(tmp_path: Path) -> None:
    clone = copy_project(tmp_path)
    (clone / "dvc.lock").unlink(missing_ok=True)
    run("git", "commit", "--quiet", "--all", "--allow-empty", "--message=none", cwd=clone)
    said = run("dvc", "repro", cwd=clone, status=255, env={"CIFAR10_URL": "/nothing"})
    assert "download: CIFAR10_URL: /nothing: no such file: /nothing" in said
    run("git", "add", "--all", cwd=clone)
    assert run("git", "diff", "--cached", "--name-only", cwd=clone).split() in ([], ["dvc.lock"])


@pytest.mark.slow
def test_plain_repro_after_a_full_disk_gives_the_right_bytes(tidy: Path) -> None:
    shutil.rmtree(tidy / ".dvc/tmp/snapshots")
    shutil.rmtree(tidy / "models")
    with small_disk(tidy / "models", 8):
        said = run("dvc", "repro", "--force", "--single-item", "train", cwd=tidy, status=255)
        assert "train: models/model.pt: No space left on device" in said
        assert "Traceback" not in said
    assert not (tidy / "models/model.pt").exists()
    run("dvc", "repro", cwd=tidy)
    assert (tidy / "models/model.pt").exists()
    assert run("git", "status", "--porcelain", cwd=tidy) == ""
