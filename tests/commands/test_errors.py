"""What a user loses, and what is said, when a command fails."""

import subprocess
from pathlib import Path

from tests.commands.conftest import experiment, metrics
from tests.conftest import copy_project, run


def test_wrong_setting_is_named_and_no_output_is_lost(tidy: Path) -> None:
    before = (tidy / "models" / "model.pt").read_bytes()
    said = experiment(tidy, "model.name=netresdep", status=255)
    reason = "'netresdep': unknown model; did you mean 'netresdeep'? models: airbench, net,"
    assert f"settings: params.yaml: model.name: {reason}" in said
    assert "Traceback" not in said
    assert (tidy / "models" / "model.pt").read_bytes() == before
    assert metrics(tidy)["model"] == "net"


def changed_outputs(clone: Path) -> list[str]:
    """Return what Git tracks of the pipeline and has another content than HEAD.

    `git status` does not tell, because Git compares only the sizes and the seconds.
    """
    names = ["params.yaml", "dvc.lock", "metrics", "models", "plots"]
    tracked = run("git", "ls-files", *names, cwd=clone).split()
    return [name for name in tracked if committed(clone, name) != (clone / name).read_bytes()]


def committed(clone: Path, name: str) -> bytes:
    return subprocess.run(["git", "show", f"HEAD:{name}"], cwd=clone, stdout=-1, check=True).stdout


def give_every_output_other_content_of_the_same_size(clone: Path) -> None:
    """As another network's results may have by chance."""
    names = run("git", "ls-files", "metrics", "models", "plots", cwd=clone).split()
    for name in names:
        content = committed(clone, name)
        (clone / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert changed_outputs(clone) == sorted(names)


def go_back(clone: Path) -> None:
    run("bash", "-c", "git restore --staged --worktree . && dvc checkout --force", cwd=clone)
    assert changed_outputs(clone) == []


def test_way_back_after_an_experiment_leaves_the_committed_results(tidy: Path) -> None:
    """It is refused, or fails in a later stage; DVC has written over Git's files either way."""
    give_every_output_other_content_of_the_same_size(tidy)
    experiment(tidy, "train.epochs=0", status=255)  # of the size of `epochs: 1`
    assert "params.yaml" in changed_outputs(tidy)
    go_back(tidy)
    give_every_output_other_content_of_the_same_size(tidy)
    network = tidy / "src/cifar2/models/net.py"
    network.write_text(network.read_text() + "raise SystemExit('a fault')\n")
    assert "Stage 'settings' didn't change" in experiment(tidy, status=255)
    go_back(tidy)


def test_failed_first_run_leaves_no_file_to_add(tmp_path: Path) -> None:
    clone = copy_project(tmp_path)
    settings = clone / "params.yaml"
    settings.write_text(settings.read_text().replace("source: synthetic", "source: cifar10"))
    (clone / "dvc.lock").unlink()
    run("git", "commit", "--quiet", "--all", "--message=none", cwd=clone)
    said = run("dvc", "repro", cwd=clone, status=255, env={"CIFAR10_URL": "/nothing"})
    assert "download: CIFAR10_URL: /nothing: no such file: /nothing" in said
    run("git", "add", "--all", cwd=clone)
    assert run("git", "diff", "--cached", "--name-only", cwd=clone).split() in ([], ["dvc.lock"])
