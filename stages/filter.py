"""Keep the chosen classes of CIFAR-10, or of the stand-in, as tensors, and all val images."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for where PYTHONSAFEPATH is set

import _stage

from cifar2 import files, params
from cifar2.data import cifar10, synthetic
from cifar2.errors import MissingFile


def main(settings: Path, raw: Path, data: Path, whole_val: Path) -> None:
    classes = params.load(settings).data.classes
    if not raw.is_dir():
        raise MissingFile(raw)
    import torch

    from cifar2.data import dataset

    is_synthetic = (raw / synthetic.FILE).exists()
    with files.folder(data) as part:
        for name in ("train", "val"):
            if is_synthetic:
                images, labels = synthetic.read(raw / synthetic.FILE, name)
                names, source = list(synthetic.CLASSES), "synthetic"
            else:
                images, labels, names = cifar10.read(raw, train=name == "train")
                source = "cifar10"
            pixels = torch.from_numpy(images)
            whole = dataset.Dataset(pixels, torch.from_numpy(labels), names, source)
            dataset.save(dataset.select(whole, classes), part / f"{name}.pt")
    dataset.save(whole, whole_val)


if __name__ == "__main__":
    _stage.run(
        main,
        __doc__,
        settings="the settings file",
        raw="the folder that download made",
        data="the folder to put train.pt and val.pt into",
        whole_val="the file to write the val images of all classes to",
    )
