"""Ask the trained network about test images of the classes that it does not know."""

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import params
from cifar2.report import results
from cifar2.report.results import Neither, Prediction

SUREST = 32  # how many of the surest answers are kept


def main(settings: Path, whole_val: Path, model: Path, table: Path, surest: Path) -> None:
    run = params.load(settings)
    from cifar2.data import dataset
    from cifar2.inference import checkpoint, device, evaluation

    place = device.prepare(run.train.device, threads=run.train.threads)
    network, card = checkpoint.load(model)
    network.to(place)
    val = dataset.load(whole_val)
    answers: dict[str, list[Prediction]] = {}  # by the class of the images
    for label, name in enumerate(val.classes):
        indices = (val.labels == label).nonzero().flatten()
        if name in card.classes or not len(indices):
            continue
        images = dataset.normalize(val.images[indices].to(place))
        logits = evaluation.predict(network, images, mirror=run.evaluation.mirror).cpu()
        confidences, predicted = logits.softmax(dim=1).max(dim=1)
        rows = zip(indices.tolist(), predicted.tolist(), confidences.tolist(), strict=True)
        answers[name] = [
            Prediction(index, name, card.classes[answer], confidence)
            for index, answer, confidence in rows
        ]
    every = [each for group in answers.values() for each in group]
    groups = answers | {"all": every} if every else {}
    summary = [summarise(name, group, card.classes) for name, group in groups.items()]
    results.write_neither(table, summary, card.classes)
    highest_first = sorted(every, key=lambda each: (-each.confidence, each.image))
    results.write_predictions(surest, highest_first[:SUREST])


def summarise(name: str, answers: Sequence[Prediction], classes: Sequence[str]) -> Neither:
    """Return what the answers for the images of a class come to."""
    count = len(answers)
    given = [each.predicted for each in answers]
    return Neither(
        name,
        count,
        shares={each: given.count(each) / count for each in classes},
        confidence=sum(each.confidence for each in answers) / count,
        sure=sum(each.confidence > results.SURE for each in answers) / count,
    )


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file",
        whole_val="CIFAR-10's test images of all classes",
        model="the state_dict to ask",
        table="the CSV file to write a row for each class to",
        surest="the CSV file to write the surest answers to",
    )
