"""The zoo, shortened, in a clone: what runs, what does not, and what is restored."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from tests.commands.conftest import stages_run
from tests.conftest import ROOT, copy_clone, copy_project, environment, run, wait_for

pytestmark = pytest.mark.slow
NONE: dict[str, Any] = {"seeds": [], "variants": {}}
RUNS = ["baseline-1", "baseline-2", "deep-1", "other-1", "res-1", "res-2", "try-1", "try-2"]


def write_zoo(clone: Path, **groups: Any) -> None:
    """Write the zoo's settings: no variants but those in `groups`."""
    path = clone / "zoo" / "params.yaml"
    none = {
        "quick": NONE,
        "middle": NONE,
        "slow": NONE,
        "ten_classes": NONE | {"classes": ["bird", "airplane"]},
        "trials": NONE | {"holdout": 0.2},
        "neither": [],
    }
    settings = yaml.safe_load(path.read_text()) | none | groups
    path.write_text(yaml.safe_dump(settings, sort_keys=False))


def short_copy(to: Path) -> Path:
    """Copy the project, with short runs on the stand-in, and without the zoo's results."""
    clone = copy_project(to)
    shutil.rmtree(clone / "zoo" / "runs")
    (clone / "zoo" / "dvc.lock").unlink()
    edit(clone / "params.yaml", "epochs: 100", "epochs: 1")
    edit(clone / "params.yaml", "source: auto", "source: synthetic")
    return clone


def commit(clone: Path) -> None:
    run("git", "add", "--all", cwd=clone)
    run("git", "commit", "--quiet", "--allow-empty", "--message=zoo", cwd=clone)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a clone in which a small zoo was trained and committed."""
    clone = short_copy(tmp_path_factory.mktemp("trained"))
    write_zoo(
        clone,
        quick={
            "seeds": [1, 2],
            "variants": {
                "baseline": {"model": {"name": "net"}},
                "res": {"model": {"name": "netres"}},
            },
        },
        slow={
            "seeds": [1],
            "variants": {"deep": {"model": {"name": "netresdeep", "n_blocks": 2}}},
        },
        ten_classes={  # with as many classes as the stand-in has
            "seeds": [1],
            "classes": ["bird", "airplane"],
            "variants": {"other": {"model": {"name": "net"}}},
        },
        trials={
            "holdout": 0.2,
            "seeds": [1, 2],
            "variants": {"try": {"model": {"name": "netdepth"}}},
        },
        neither=["baseline-1", "deep-1"],
    )
    run("dvc", "repro", cwd=clone)
    assert runs_of(train(clone)) == RUNS
    commit(clone)
    return clone


@pytest.fixture
def zoo(trained: Path, tmp_path: Path) -> Path:
    """Give a copy of it, with its cache."""
    return copy_clone(trained, tmp_path / "copy")


def train(clone: Path) -> list[str]:
    """Run `python -m zoo train`; return the stages of runs that it ran."""
    said = run("python", "-m", "zoo", "train", "--jobs", "2", cwd=clone)
    logs = clone / "zoo" / ".dvc" / "tmp" / "zoo"
    texts = [said, *(log.read_text() for log in logs.glob("*.log"))]
    shutil.rmtree(logs, ignore_errors=True)
    return sorted(re.findall(r"^Running stage '(\w+@.*)':$", "\n".join(texts), re.MULTILINE))


def runs_of(stages: list[str]) -> list[str]:
    return sorted({stage.partition("@")[2] for stage in stages if not stage.startswith("filter_")})


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def add_comment(path: Path) -> None:
    path.write_text(path.read_text() + "# A comment.\n")


def test_results_are_of_every_variant_and_pairs_of_those_on_the_same_images(trained: Path) -> None:
    results = json.loads((trained / "zoo" / "results.json").read_text())
    assert list(results) == ["baseline", "res", "deep", "other"]
    assert results["baseline"]["parameters"] == 18_090 and results["deep"]["epochs"] == 1
    assert results["deep"]["val"]["std"] is None
    seeds = results["res"]["val"]["seeds"]
    assert results["res"]["val"]["mean"] == pytest.approx(sum(seeds) / 2, abs=1e-6)
    pairs = (trained / "zoo" / "pairs.csv").read_text()
    assert "deep" in pairs and "other" not in pairs
    assert (trained / "zoo" / "runs" / "other-1" / "confusion.png").exists()
    asked = [path.parent.name for path in sorted((trained / "zoo/runs").glob("*/neither.csv"))]
    assert asked == ["baseline-1", "deep-1"]
    assert (trained / "zoo/cards/res.md").exists()


def test_nothing_runs_when_nothing_changed(zoo: Path) -> None:
    assert train(zoo) == []
    assert run("git", "status", "--porcelain", cwd=zoo) == ""


def test_a_fresh_clone_is_up_to_date_without_data_and_checkpoints(
    trained: Path, tmp_path: Path
) -> None:
    fresh = tmp_path / "fresh"
    run("git", "clone", "--quiet", trained, fresh, cwd=tmp_path)
    said = run("python", "-m", "zoo", "train", cwd=fresh)
    assert "8 of 8 runs are up to date" in said
    assert run("git", "status", "--porcelain", cwd=fresh) == ""
    assert not (fresh / "data" / "raw").exists()


def test_another_default_trains_only_the_variants_that_use_it(zoo: Path) -> None:
    edit(zoo / "params.yaml", "name: net\n", "name: vgg\n")
    edit(zoo / "params.yaml", "dropout: 0.4", "dropout: 0.3")
    assert train(zoo) == []
    edit(zoo / "params.yaml", "n_chans1: 32", "n_chans1: 16")
    assert runs_of(train(zoo)) == ["deep-1", "res-1", "res-2", "try-1", "try-2"]


def test_a_comment_in_a_network_trains_only_its_variants(zoo: Path) -> None:
    add_comment(zoo / "src/cifar2/models/netres.py")
    assert runs_of(train(zoo)) == ["res-1", "res-2"]


def test_comments_in_the_plumbing_train_nothing(zoo: Path) -> None:
    from cifar2 import PLUMBING

    for name in PLUMBING:
        path = zoo / "src" / name.replace(".", "/")
        if name == "_stage":
            path = zoo / "stages" / name
        add_comment(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))
    assert train(zoo) == []


def test_a_comment_in_the_data_code_makes_the_data_again_and_trains_nothing(zoo: Path) -> None:
    add_comment(zoo / "stages" / "filter.py")
    assert train(zoo) == []


def test_a_new_line_trains_only_the_new_variant(zoo: Path) -> None:
    settings = yaml.safe_load((zoo / "zoo" / "params.yaml").read_text())
    settings["quick"]["variants"]["wide"] = {"model": {"name": "netwidth"}}
    (zoo / "zoo" / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    assert runs_of(train(zoo)) == ["wide-1", "wide-2"]


def test_deleted_checkpoints_and_results_come_back_without_training(zoo: Path) -> None:
    for name in ("models", "runs"):
        shutil.rmtree(zoo / "zoo" / name)
    said = run("dvc", "repro", cwd=zoo / "zoo")
    assert re.findall(r"^Running stage '(.*)':$", said, re.MULTILINE) == ["compose"]
    assert (zoo / "zoo/models/res-2/model.pt").exists()
    assert run("git", "status", "--porcelain", cwd=zoo) == ""


def test_checkpoints_travel_by_push_and_pull(zoo: Path, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    run("dvc", "remote", "add", "--default", "shared", remote, cwd=zoo / "zoo")
    commit(zoo)
    run("dvc", "push", cwd=zoo / "zoo")
    fresh = tmp_path / "fresh"
    run("git", "clone", "--quiet", zoo, fresh, cwd=tmp_path)
    run("dvc", "pull", cwd=fresh / "zoo")
    for name in RUNS:
        path = f"zoo/models/{name}/model.pt"
        assert (fresh / path).read_bytes() == (zoo / path).read_bytes()


def test_a_run_trained_again_has_the_committed_bytes(zoo: Path) -> None:
    shutil.rmtree(zoo / "zoo" / ".dvc" / "tmp" / "snapshots")
    said = run(
        "dvc", "repro", "--force", "--single-item", "train_quick@baseline-2", cwd=zoo / "zoo"
    )
    assert "epoch 1/1" in said
    assert run("git", "status", "--porcelain", cwd=zoo) == ""


def test_a_run_that_fails_is_named_and_the_others_go_on(zoo: Path) -> None:
    """At a learning rate of 1e9 the loss of a network with relu is not a number."""
    wild = {"model": {"name": "netdepth"}, "train": {"lr": 1e9}}
    variants = {"wild": wild, "tame": {"model": {"name": "net"}}}
    write_zoo(zoo, quick={"seeds": [1], "variants": variants})
    said = run("python", "-m", "zoo", "train", cwd=zoo, status=1)
    failed = r"^zoo: wild-1: train: train\.lr: at 1e\+09 the loss became "
    assert re.search(failed, said, re.MULTILINE), said
    assert list(json.loads((zoo / "zoo" / "results.json").read_text())) == ["tame"]

    # With other settings it fails too, and its former accuracy does not count.
    write_zoo(zoo, quick={"seeds": [1], "variants": {"tame": wild}})
    said = run("python", "-m", "zoo", "train", cwd=zoo, status=1)
    assert re.search(failed.replace("wild", "tame"), said, re.MULTILINE), said
    assert re.search(r"^compare: no run is finished yet", said, re.MULTILINE), said


def test_a_stopped_zoo_continues(zoo: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("a process can't send Ctrl-C there")
    long = {"model": {"name": "net"}, "train": {"epochs": 12}}
    write_zoo(zoo, quick={"seeds": [1], "variants": {"long": long}})
    command = [sys.executable, "-m", "zoo", "train"]
    process = subprocess.Popen(
        command, cwd=zoo, env=environment(), stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    log = zoo / "zoo" / ".dvc" / "tmp" / "zoo" / "long-1.log"
    wait_for(
        lambda: (log.exists() and "epoch 1/12" in log.read_text()) or process.poll() is not None
    )
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert said.splitlines()[-1] == "zoo: stopped; the same command continues from there"
    stopped = re.search(r"stopped by SIGINT after epoch (\d+) of 12", log.read_text())
    assert stopped
    run(*command, cwd=zoo)
    assert f"continuing after epoch {stopped[1]} of 12" in log.read_text()


def test_a_second_training_of_the_same_clone_is_refused(zoo: Path) -> None:
    scratch = zoo / "zoo" / ".dvc" / "tmp" / "zoo"
    scratch.mkdir(parents=True, exist_ok=True)
    with FileLock(scratch / "lock"):
        said = run("python", "-m", "zoo", "train", cwd=zoo, status=1)
    assert said == "zoo: another command trains the zoo of this clone\n"


def test_results_are_verified_on_a_cluster_alone() -> None:
    said = run("python", "-m", "zoo", "train", "--verify", "1", cwd=ROOT, status=2)
    assert said.splitlines()[-1] == "zoo: error: --verify: it takes a cluster, --cluster ADDRESS"


def test_numbers_that_are_too_small_are_refused() -> None:
    said = run("python", "-m", "zoo", "train", "--jobs", "0", cwd=ROOT, status=2)
    assert said.splitlines()[-1] == "zoo: error: --jobs: 0 is not allowed, at least 1"
    words = ["train", "--cluster", "auto", "--verify", "-1"]
    said = run("python", "-m", "zoo", *words, cwd=ROOT, status=2)
    assert said.splitlines()[-1] == "zoo: error: --verify: -1 is not allowed, at least 0"


@pytest.mark.parametrize("command", ["train", "adopt"])
def test_settings_that_are_no_yaml_are_one_line(command: str, zoo: Path) -> None:
    (zoo / "zoo" / "params.yaml").write_text("quick: [")
    said = run("python", "-m", "zoo", command, cwd=zoo, status=1)
    assert re.fullmatch(r"zoo: .*params\.yaml: .*\n", said), said


# python -m zoo adopt


def adopt(clone: Path, status: int = 0) -> str:
    return run("python", "-m", "zoo", "adopt", cwd=clone, status=status)


def test_adopt_records_a_change_that_keeps_the_bytes(zoo: Path) -> None:
    before = (zoo / "zoo" / "dvc.lock").read_text()
    shutil.rmtree(zoo / "zoo" / "models")  # as in a fresh clone
    add_comment(zoo / "src/cifar2/training/loop.py")
    add_comment(zoo / "src/cifar2/inference/evaluation.py")
    said = adopt(zoo)
    assert re.search(r"^res: all bytes are the same \(\d+ s\); adopted for seeds 1, 2$", said, re.M)
    assert re.search(r"^main pipeline: all bytes are the same \(\d+ s\); adopted$", said, re.M)
    assert said.splitlines()[-1] == "zoo: 9 trainings adopted, 0 refused"
    assert stages_run(run("dvc", "repro", cwd=zoo)) == []
    assert train(zoo) == []
    modified = run("git", "diff", "--name-only", "HEAD", cwd=zoo).split()
    changed = [
        "dvc.lock",
        "src/cifar2/inference/evaluation.py",
        "src/cifar2/training/loop.py",
        "zoo/dvc.lock",
    ]
    assert modified == changed
    after = (zoo / "zoo" / "dvc.lock").read_text()
    hashes = r"(?<=path: )(?:models|runs)\S+\n.*\n +md5: \S+"
    assert after != before and re.findall(hashes, after) == re.findall(hashes, before)


def test_adopt_records_a_committed_change_too(zoo: Path) -> None:
    add_comment(zoo / "src/cifar2/models/netres.py")
    commit(zoo)
    add_comment(zoo / "README.md")
    commit(zoo)
    assert adopt(zoo).splitlines()[-1] == "zoo: 2 trainings adopted, 0 refused"
    assert train(zoo) == []


def locked_runs(clone: Path) -> dict[str, Any]:
    """Return what the lock file has of the runs; `compose` has a new output after any change."""
    stages = yaml.safe_load((clone / "zoo" / "dvc.lock").read_text())["stages"]
    return {name: stage for name, stage in stages.items() if "@" in name}


def keep_one_run(clone: Path) -> None:
    """Leave only `res-1` in the zoo, and the main pipeline beside it."""
    write_zoo(clone, quick={"seeds": [1], "variants": {"res": {"model": {"name": "netres"}}}})


def test_adopt_refuses_a_constant_that_changed_by_a_millionth(zoo: Path) -> None:
    keep_one_run(zoo)
    before = locked_runs(zoo)
    main_before = (zoo / "dvc.lock").read_bytes()
    edit(zoo / "src/cifar2/training/loop.py", "loss.backward()", "(loss * (1 + 1e-6)).backward()")
    said = adopt(zoo, status=1)
    refused = r"^res-1: refused: the bytes differ: models/res-1/model\.pt"
    assert re.search(refused, said, re.MULTILINE), said
    assert said.splitlines()[-1] == "zoo: 0 trainings adopted, 2 refused"
    assert locked_runs(zoo) == before
    assert (zoo / "dvc.lock").read_bytes() == main_before


def test_adopt_refuses_another_setting(zoo: Path) -> None:
    edit(zoo / "params.yaml", "crop: 0", "crop: 1")
    said = adopt(zoo, status=1)
    for name in ("deep-1", "main pipeline"):
        assert re.search(rf"^{name}: refused: augment\.crop was 0, now it is 1$", said, re.M), said


def test_adopt_records_a_new_setting_that_is_off(zoo: Path) -> None:
    keep_one_run(zoo)
    edit(zoo / "params.yaml", "evaluation:\n", "  noise: 0.0  # a new setting\nevaluation:\n")
    field = "    crop: Annotated"
    edit(zoo / "src/cifar2/params.py", field, f"    noise: Float\n{field}")
    assert adopt(zoo).splitlines()[-1] == "zoo: 2 trainings adopted, 0 refused"
    assert train(zoo) == []


def test_adopt_refuses_code_that_fails(zoo: Path) -> None:
    edit(zoo / "src/cifar2/models/netres.py", "def forward", "def forwards")
    said = adopt(zoo, status=1)
    assert re.search(r"^res-1: refused: the present code fails: ", said, re.MULTILINE), said


def test_adopt_has_nothing_to_do_when_nothing_changed(zoo: Path) -> None:
    assert adopt(zoo) == "zoo: every training has the present code\n"
