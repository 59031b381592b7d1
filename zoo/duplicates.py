"""Count nearly equal images of train and val, and say what leaving them out does to comparisons.

Candidates are the 50 nearest of each image, among all and their mirror images, by the correlation
of averages over 4×4 pixels. Their similarity is the highest correlation of details (each pixel
minus the mean of the 9×9 around it) over shifts by up to `SHIFT` pixels. Neither depends on
brightness.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cifar2.data import dataset
from zoo import comparison, summary, variants

# Set by looking at pairs: above these, nearly all are of one photo, or of one object; below, more
# and more are of two planes in the same place of the sky.
COARSE, SIMILAR = 0.8, 0.75
SHIFT = 4


def pairs(images: Tensor) -> set[tuple[int, int]]:
    """Return the pairs of nearly equal images, each with the smaller index first.

    Args:
        images: float32 [N, 3, 32, 32].
    """
    averages = F.avg_pool2d(images, 4)
    averages -= averages.mean((2, 3), keepdim=True)
    coarse, mirrored = (F.normalize(each.flatten(1)) for each in (averages, averages.flip(3)))
    around = F.avg_pool2d(F.pad(images, (4, 4, 4, 4), mode="replicate"), 9, stride=1)
    details = F.normalize((images - around).flatten(1)).view_as(images)
    size, shifts = 2 * [images.shape[-1] + SHIFT], range(-SHIFT, SHIFT + 1)
    found = set()
    for start in range(0, len(images), 100):  # in parts that fit into memory
        for others, turned in (coarse, details), (mirrored, details.flip(3)):
            near = (coarse[start : start + 100] @ others.T).topk(min(50, len(images)))
            chosen = near.values >= COARSE
            if not chosen.any():  # the FFT takes no empty batch
                continue
            a, b = chosen.nonzero()[:, 0] + start, near.indices[chosen]
            product = torch.fft.rfft2(details[a], size) * torch.fft.rfft2(turned[b], size).conj()
            correlation = torch.fft.irfft2(product.sum(1), size)[:, shifts][:, :, shifts]
            similar = (correlation.amax((1, 2)) >= SIMILAR) & (a != b)
            for pair in torch.stack([a, b])[:, similar].T.tolist():
                found.add((min(pair), max(pair)))
    return found


def check(zoo: Path, data: Path) -> Iterator[str]:
    """Yield the counts, and a table in Markdown of the comparisons with and without these images.

    An image is left out if a training that was asked about it may have seen one that is like it.
    """
    content = variants.load(zoo / "params.yaml")
    settings, runs = zoo / "settings/evaluate", zoo / "runs"
    train, val = (dataset.load(data / f"{part}.pt") for part in ("train", "val"))
    count, folds = len(train.labels), content.folds.folds
    fold = np.zeros(count)
    numbered = train._replace(images=torch.arange(count))
    for number in range(folds):
        fold[dataset.set_apart(numbered, 1 / folds, number)[1].images] = number
    found = pairs(torch.cat([train.images, val.images]).float())
    within = [pair for pair in found if pair[1] < count]
    across = [(a, b) for a, b in within if fold[a] != fold[b]]
    of_val = sorted({b - count for a, b in found if a < count <= b})
    yield f"pairs in train: {len(within)}, in different folds: {len(across)}"
    yield f"images of val that are like one of train: {len(of_val)} of {len(val.labels)}\n"

    finished = summary.finished_runs(settings, runs, content.compared())
    on_val = {k: np.stack([run.probabilities for run in v.values()]) for k, v in finished.items()}
    tables = summary.finished_on_folds(settings, runs, content.folds.variants)
    on_folds = {name: each.probabilities for name, each in tables.items()}
    left_out = sorted({image for pair in across for image in pair}) + [count + b for b in of_val]
    fewer = (
        {name: np.delete(each, images, axis=1) for name, each in source.items()}
        for source, images in ((on_val, of_val), (on_folds, left_out))
    )
    yield "| variant | images | difference | without | answer | without |"
    yield "|---|---|---:|---:|---|---|"
    both = comparison.differences(on_val, on_folds), comparison.differences(*fewer)
    for every, some in zip(*both, strict=True):
        if every.b == comparison.REFERENCE:
            means = (f"{round(each.mean, 5):+.4f}" for each in (every, some))
            cells = [f"`{every.a}`", every.on, *means, every.answer, some.answer]
            yield f"| {' | '.join(cells)} |"
