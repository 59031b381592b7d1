"""The benchmark, shortened, in a clone; its checks on a GPU, on the CPU."""

import re
from pathlib import Path

import pytest
import torch

from bench import loops
from cifar2.data import dataset
from tests.conftest import run


def test_every_table_has_its_values(clone: Path) -> None:
    words = ["--models", "netstem", "--epochs", "1"]
    said = run("python", "-m", "bench", *words, cwd=clone)
    tables = [
        r"netstem( +\d+\.\d{3} \(\d+\.\d{3}-\d+\.\d{3}\)){2} +\d+\.\d\d",
        r"netstem +\d+( +\d+ \(\d+\.\d\)){2}",
    ]
    lines = [line for line in said.splitlines() if re.search(r"\d$|\d\)$", line)]
    for line, table in zip(lines[1:], tables, strict=True):  # the first line is of the machine
        assert re.fullmatch(table, line), said


def test_what_is_checked_on_a_gpu_is_the_same_on_the_cpu(
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = torch.randint(256, (128, 3, 32, 32), dtype=torch.uint8)
    data = dataset.normalize(images), torch.arange(128) % 2
    loops.on_a_gpu(["netstem"], data, data)
    assert re.search(r"^netstem +same +same +same +same$", capsys.readouterr().out, re.MULTILINE)
