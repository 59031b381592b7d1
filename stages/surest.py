"""Draw the images of unknown classes about which the trained network is surest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import files
from cifar2.errors import FileError


def main(whole_val: Path, surest: Path, accuracy: Path, surest_plot: Path) -> None:
    from cifar2.data import dataset
    from cifar2.report import plotting, results

    val = dataset.load(whole_val)
    answers = results.read_some_predictions(surest)
    if any(not 0 <= each.image < len(val.images) for each in answers):
        raise FileError(surest, f"it has other images than {whole_val}")
    scores = results.read_accuracy(accuracy)
    subject = f"{scores.model} on {scores.dataset} ({', '.join(scores.classes)})"
    files.write(surest_plot, plotting.surest(answers, val.images.numpy(), subject))


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        whole_val="CIFAR-10's test images of all classes",
        surest="the surest answers, CSV",
        accuracy="the accuracies, JSON",
        surest_plot="the picture to draw",
    )
