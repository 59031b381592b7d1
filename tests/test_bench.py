"""The benchmark, shortened, in a clone; its checks on a GPU, on the CPU."""

import re
from pathlib import Path

from tests.conftest import run

CHECK = """
from bench import loops
loops.PRECISIONS = ("float32",)
loops.same_bytes(["netstem"], "cpu")
"""


def test_the_table_has_its_values(clone: Path) -> None:
    words = ["--models", "netstem", "--epochs", "1"]
    said = run("python", "-m", "bench", *words, cwd=clone)
    values = r"netstem( +\d+\.\d{3} \(\d+\.\d{3}-\d+\.\d{3}\)){3}( +\d+\.\d\d){2}"
    assert re.fullmatch(values, said.splitlines()[-1]), said


def test_no_epochs_are_refused_in_one_line(clone: Path) -> None:
    said = run("python", "-m", "bench", "--epochs", "0", cwd=clone, status=2)
    assert said.splitlines()[-1].startswith("bench: error: --epochs must be 1 or more")


def test_what_is_checked_on_a_gpu_is_the_same_on_the_cpu(clone: Path) -> None:
    said = run("python", "-c", CHECK, cwd=clone)
    assert re.search(r"^netstem +same +same$", said, re.MULTILINE)
