"""Train a setting on folds, and ask each training about the images that it did not see.

Seed s leaves out fold (s - 1) mod k of the train images, as `data.holdout` does. It is asked about
this fold and, unless `evaluation.test` is false, about val. Each training gives the weights of the
stage `train`, and finds and leaves the same snapshot. So what was stopped continues.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from cifar2 import files

if TYPE_CHECKING:
    from torch import Tensor

    from cifar2.data.dataset import Dataset

HELP = {
    "settings": "the settings file; its group `folds` has how many folds, and seeds for each",
    "data": "the folder of train.pt and val.pt",
    "answers": "the CSV file to write the probabilities of the actual classes to",
    "trainings": "the CSV file to write each training's scores and the MD5 of its weights to",
    "made_by": "the file to write the MD5 of the settings file to",
    "snapshots": "the scratch folder of trainings, relative to the main repository",
}


def main(
    settings: Path, data: Path, answers: Path, trainings: Path, made_by: Path, snapshots: Path
) -> None:
    signature = hashlib.md5(settings.read_bytes(), usedforsecurity=False).hexdigest()
    content = yaml.safe_load(settings.read_bytes())
    design = content.pop("folds")
    count = design["folds"]
    test, mirror = (content["evaluation"][key] for key in ("test", "mirror"))
    import torch
    import train as training

    from cifar2.data import dataset
    from cifar2.inference import checkpoint, evaluation

    train, val = (dataset.load(data / f"{part}.pt") for part in ("train", "val"))
    numbered = train._replace(images=torch.arange(len(train.labels)))
    places = [dataset.set_apart(numbered, 1 / count, k)[1].images.tolist() for k in range(count)]
    rows = [[""] for _ in range(len(train.labels) + (len(val.labels) if test else 0))]
    for fold, images in enumerate(places):
        for image in images:
            rows[image] = [str(fold)]
    found: list[list[object]] = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for seed in range(1, 1 + count * design["seeds"]):
            fold = (seed - 1) % count
            print(f"seed {seed}, without fold {fold}", file=sys.stderr)
            left, apart = dataset.set_apart(train, 1 / count, fold)
            dataset.save(left, scratch / "train.pt")
            dataset.save(apart, scratch / "val.pt")
            content["train"]["seed"] = seed
            files.write(scratch / "settings.yaml", yaml.safe_dump(content).encode())
            paths = scratch / "settings.yaml", scratch, scratch / "model.pt", scratch / "series"
            training.main(*paths, snapshots)
            network, _ = checkpoint.load(scratch / "model.pt")
            asked: list[tuple[Iterable[int], Dataset]] = [(places[fold], apart)]
            asked += [(range(len(train.labels), len(rows)), val)] if test else []
            for numbers, part in asked:
                inputs = dataset.normalize(part.images, part.preparation)
                logits = evaluation.compute_logits(network, inputs, mirror=mirror)
                for number, cell in zip(numbers, _cells(logits, part.labels), strict=True):
                    rows[number].append(cell)
                if part is apart:
                    score = evaluation.accuracy(logits, part.labels)
                    loss = evaluation.loss(logits, part.labels)
            digest = hashlib.md5((scratch / "model.pt").read_bytes(), usedforsecurity=False)
            found.append([seed, fold, f"{score:.6f}", f"{loss:.6f}", digest.hexdigest()])
    from cifar2.report import results  # not before: a snapshot depends on the imported modules

    files.write(answers, results.table(["fold", "probabilities"], rows).encode())
    header = ["seed", "fold", "accuracy", "loss", "weights"]
    files.write(trainings, results.table(header, found).encode())
    files.write(made_by, f"{signature}\n".encode())


def _cells(logits: Tensor, labels: Tensor) -> Iterator[str]:
    """Yield the probability of each actual class, rounded so that only right answers exceed 0.5.

    Of more than two classes it is only a bound: that of the answer, or the rest.
    """
    answers = logits.softmax(dim=1).max(dim=1)
    for p, right in zip(answers.values.tolist(), (answers.indices == labels).tolist(), strict=True):
        yield f"{max(p, 0.5001) if right else min(1 - p, 0.4999):.4f}"
