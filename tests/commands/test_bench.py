"""The benchmark, shortened, in a clone."""

import json
import re
from pathlib import Path

import pytest
import yaml

from bench.__main__ import layer_calls
from tests.conftest import ROOT, copy_clone, run


@pytest.mark.slow
def test_every_section_has_its_figures(clone: Path, tmp_path: Path) -> None:
    copy = copy_clone(clone, tmp_path / "copy")
    path = copy / "params.yaml"
    text = path.read_text().replace("epochs: 1 ", "epochs: 2 ")  # it takes two to time
    path.write_text(text.replace("threads: 2 ", "threads: 1 "))
    path = copy / "zoo" / "params.yaml"
    zoo = yaml.safe_load(path.read_text())
    zoo["common"]["train"]["epochs"] = 1
    for group in ("quick", "middle"):
        for variant in zoo[group]["variants"].values():
            variant.get("train", {}).pop("epochs", None)
        zoo[group]["seeds"] = [1, 2]
    path.write_text(yaml.safe_dump(zoo))
    words = ["--models", "net", "--epochs", "1", "--threads", "1", "--json", "results.json"]
    run("python", "-m", "bench", *words, cwd=copy, timeout=1800)
    figures = json.loads((copy / "results.json").read_text())
    assert set(figures) == {
        "machine", "pipeline", "commands", "loops", "variants", "data", "stages", "growth",
        "neighbours",
    }  # fmt: skip
    assert set(figures["commands"]) == {"dvc repro", "dvc metrics diff", "dvc exp show"}
    assert figures["loops"]["net"]["ratio"] > 0
    fast = figures["variants"]["fast"]
    assert len(fast["seconds"]) == len(fast["val_accuracies"]) == 2
    assert fast["ratio"] > 1
    assert set(figures["stages"]) == {"download", "filter", "train", "evaluate", "plot", "help"}


@pytest.mark.slow
def test_many_trivial_runs_are_recorded() -> None:
    said = run("python", "-m", "bench.runs", "--runs", "3", cwd=ROOT)
    assert re.search(r"^ +3 +\d+\.\d s +\d+ ms +\d+ MiB +\d+\.\d s$", said, re.MULTILINE), said


def test_what_runs_on_a_gpu_runs_on_the_cpu(finished: Path) -> None:
    words = ["--device", "cpu", "--images", "128", "--epochs", "1", "--models", "netstem"]
    said = run("python", "-m", "bench.gpu", *words, "--data", finished / "data/cifar2", cwd=ROOT)
    assert re.search(r"^netstem +same +same +same +same +0$", said, re.MULTILINE), said
    assert re.search(r"^netstem( +\d+\.\d+){4}$", said, re.MULTILINE), said
    seeds = yaml.safe_load((ROOT / "zoo/params.yaml").read_bytes())["quick"]["seeds"]
    times = re.findall(r"^fast-(\d+) +\d+\.\d s  [01]\.\d{4}$", said, re.MULTILINE)
    assert times == [str(seed) for seed in seeds]


def test_first_convolution_needs_no_gradient_of_the_images() -> None:
    needs = [needs_grad for _, _, needs_grad in layer_calls("airbench", 9, True)]
    assert needs == [False] + 6 * [True]
