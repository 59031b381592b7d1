"""Measure the trained network: accuracy and loss, and its prediction for every val image."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import params
from cifar2.errors import FileError


def main(settings: Path, data: Path, model: Path, accuracy: Path, predictions: Path) -> None:
    run = params.load(settings)
    from cifar2.data import dataset
    from cifar2.inference import checkpoint, device, evaluation
    from cifar2.report import results

    place = device.prepare(run.train.device, threads=run.train.threads)
    network, card = checkpoint.load(model)
    network.to(place)
    parts = ["train", "val"]
    if run.evaluation.test and (data / "test.pt").exists():  # with a holdout
        parts.append("test")
    answers = {}
    for name in parts:
        images, labels, classes, _ = dataset.load(data / f"{name}.pt")
        if classes != card.classes:
            raise FileError(model, f"trained on {card.classes}, but {data} holds {classes}")
        normalized = dataset.normalize(images.to(place))
        logits = evaluation.predict(network, normalized, mirror=run.evaluation.mirror).cpu()
        answers[name] = logits, labels

    scores = {
        name: {"accuracy": evaluation.accuracy(*each), "loss": evaluation.loss(*each)}
        for name, each in answers.items()
    }
    per_class = {
        name: {
            each: evaluation.accuracy(logits[labels == index], labels[labels == index])
            for index, each in enumerate(card.classes)
        }
        for name, (logits, labels) in answers.items()
    }
    result = results.Accuracy(
        dataset=card.source,
        model=card.name,
        train=results.Scores(**scores.pop("train")),
        **{
            name: results.ClassScores(**each, per_class=per_class[name])
            for name, each in scores.items()
        },
    )
    results.write_accuracy(accuracy, result)

    logits, labels = answers["val"]
    confidences, predicted = logits.softmax(dim=1).max(dim=1)
    rows = zip(labels.tolist(), predicted.tolist(), confidences.tolist(), strict=True)
    table = [
        results.Prediction(index, card.classes[label], card.classes[answer], confidence)
        for index, (label, answer, confidence) in enumerate(rows)
    ]
    results.write_predictions(predictions, table)


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file",
        data="the folder of train.pt, val.pt, and test.pt if there is one",
        model="the state_dict to measure",
        accuracy="the JSON file to write the accuracies and losses to",
        predictions="the CSV file to write the predictions to",
    )
