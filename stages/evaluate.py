"""Measure the trained network: accuracy and loss, and its prediction for every val image."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import _stage

from cifar2 import UserError, device, files, params


def main(settings: Path, data: Path, model: Path, accuracy: Path, predictions: Path) -> None:
    run = params.load(settings)
    place = device.resolve(run.train.device)
    import torch

    from cifar2 import checkpoint, dataset, evaluation

    torch.set_num_threads(run.train.threads)
    network, card = checkpoint.load(model)
    network.to(place)
    answers = {}
    for name in ("train", "val"):
        images, labels, classes, _ = dataset.load(data / f"{name}.pt")
        if classes != card.classes:
            raise UserError(f"{model}: was trained on {card.classes}, {data} holds {classes}")
        normalized = dataset.normalize(images.to(place))
        logits = evaluation.predict(network, normalized, mirror=run.evaluation.mirror).cpu()
        answers[name] = logits, labels

    result: dict[str, Any] = {"dataset": card.source, "model": card.name}
    for name, (logits, labels) in answers.items():
        result[name] = {
            "accuracy": round(evaluation.accuracy(logits, labels), 6),
            "loss": round(evaluation.loss(logits, labels), 6),
        }
    logits, labels = answers["val"]
    result["val"]["per_class"] = {
        name: round(evaluation.accuracy(logits[labels == index], labels[labels == index]), 6)
        for index, name in enumerate(card.classes)
    }
    files.write(accuracy, (json.dumps(result, indent=2) + "\n").encode())

    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "actual", "predicted", "confidence"])
    confidences, predicted = logits.softmax(dim=1).max(dim=1)
    rows = zip(labels.tolist(), predicted.tolist(), confidences.tolist(), strict=True)
    for index, (label, answer, confidence) in enumerate(rows):
        writer.writerow([index, card.classes[label], card.classes[answer], f"{confidence:.4f}"])
    files.write(predictions, table.getvalue().encode())


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file",
        data="the folder of train.pt and val.pt",
        model="the state_dict to measure",
        accuracy="the JSON file to write the accuracies and losses to",
        predictions="the CSV file to write the predictions to",
    )
