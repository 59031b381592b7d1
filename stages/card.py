"""Describe the trained network for those who get it: a model card."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import files, params


def main(settings: Path, accuracy: Path, neither: Path, card: Path) -> None:
    run = params.load(settings)
    import torch

    from cifar2.report import card as cards
    from cifar2.report import results

    scores = [results.read_accuracy(accuracy)]
    others = results.read_neither(neither)
    text = cards.card(run, scores, [run.train.seed], others, torch.__version__)
    files.write(card, text.encode())


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file",
        accuracy="the accuracies and losses, JSON",
        neither="what it says of images of other classes, CSV",
        card="the Markdown file to write",
    )
