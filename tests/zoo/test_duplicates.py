"""Which images count as nearly equal, and what a comparison leaves out."""

from pathlib import Path
from typing import Any

import torch
import yaml

from cifar2.data import dataset
from tests.zoo.runs import write_on_folds, write_run
from tests.zoo.test_compare import ZOO
from zoo import duplicates


def images() -> torch.Tensor:
    """Return 40 images that are unlike each other."""
    generator = torch.Generator().manual_seed(0)
    squares = torch.randint(40, 200, (40, 3, 8, 8), generator=generator)
    noise = torch.randint(9, (32, 32), generator=generator)
    return (squares.repeat_interleave(4, 2).repeat_interleave(4, 3) + noise).float()


def test_copies_are_found_also_mirrored_darker_or_shifted() -> None:
    some = images()
    assert duplicates.pairs(some) == set()
    some[30] = some[3]
    some[31] = some[4].flip(2)
    some[5] = some[6] // 2
    some[7] = some[8].roll(1, dims=2)
    assert duplicates.pairs(some) == {(3, 30), (4, 31), (5, 6), (7, 8)}


def test_comparison_leaves_out_images_of_val_and_of_folds_that_are_like_those_of_train(
    tmp_path: Path,
) -> None:
    """Two train images of different folds are alike; the first of val is like one of train."""
    some = images()[:20]
    train = dataset.Dataset(some[:10], torch.arange(10) % 2, ["airplane", "bird"], "cifar10")
    numbered = train._replace(images=torch.arange(10))
    (one, other) = (each.images[0] for each in dataset.set_apart(numbered, 0.5, 0))
    some[other] = some[one]
    some[10] = next(some[n] for n in range(10) if n not in (one, other))
    for name, part in (("train", some[:10]), ("val", some[10:])):
        dataset.save(train._replace(images=part.byte()), tmp_path / f"data/{name}.pt")
    quick: dict[str, Any] = {"seeds": [1, 2, 3], "variants": {"baseline": {}, "width": {}}}
    quick["variants"]["fast"] = {}
    on_folds = {"folds": 2, "seeds": 2, "variants": ["baseline", "fast"]}
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump(ZOO | {"quick": quick, "folds": on_folds}, sort_keys=False)
    )
    for seed in quick["seeds"]:
        for name, right in (("baseline", 0), ("width", 1), ("fast", 1)):
            write_run(tmp_path, f"{name}-{seed}", right=right)
    write_on_folds(tmp_path, "baseline", right=0, val=10)
    write_on_folds(tmp_path, "fast", right=10, val=10)
    lines = list(duplicates.check(tmp_path, tmp_path / "data"))
    assert lines[:2] == [
        "pairs in train: 1, in different folds: 1",
        "images of val that are like one of train: 1 of 10\n",
    ]
    width, fast = lines[-2:]
    assert width.startswith("| `width` | val | +0.1000 | +0.0000 |")
    assert fast.startswith("| `fast` | folds | +1.0000 | +1.0000 |")
