"""Measure whether the trained network is right as often as its probabilities say."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import params


def main(settings: Path, data: Path, model: Path, calibration: Path, reliability: Path) -> None:
    run = params.load(settings)
    from cifar2.data import dataset
    from cifar2.inference import checkpoint, device, evaluation
    from cifar2.report import calibration as report

    place = device.prepare(run.train.device, threads=run.train.threads)
    network, _ = checkpoint.load(model)
    network.to(place)
    val = dataset.load(data / "val.pt")
    images = dataset.normalize(val.images.to(place))
    logits = evaluation.predict(network, images, mirror=run.evaluation.mirror).cpu()
    report.write(calibration, reliability, logits, val.labels)


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file",
        data="the folder of val.pt",
        model="the state_dict to measure",
        calibration="the JSON file to write the errors and the temperature to",
        reliability="the CSV file to write accuracy against confidence to",
    )
