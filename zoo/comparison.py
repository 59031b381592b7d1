"""Which differences between variants are real, and which may be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifar2.report import results

Answers = NDArray[np.bool_]  # whether a network was right on each image


class Difference(NamedTuple):
    """The mean accuracy of `a` minus that of `b`, with its 95% confidence interval.

    real: whether the interval excludes 0, and both have at least three seeds.
    """

    a: str
    b: str
    mean: float
    low: float
    high: float
    real: bool


def differences(correct: Mapping[str, Answers], resamples: int = 10_000) -> list[Difference]:
    """Compare every pair of variants by a bootstrap over the images and the seeds.

    Another validation set and other trainings would give other accuracies (Bouthillier et al.,
    *Accounting for Variance in Machine Learning Benchmarks*, 2021). So a resample draws images with
    replacement, the same for all variants, and for each variant n - 1 of its n seeds with
    replacement. It is n - 1 because n of n would show only (n - 1) / n of the variance between
    trainings (Rao, Wu, *Resampling Inference with Complex Survey Data*, 1988). The interval is the
    middle 95% of the resampled differences (Efron, Tibshirani, *An Introduction to the Bootstrap*,
    1993, section 13.3).

    All seeds see the same images, so this is the pigeonhole bootstrap (Owen, *The Pigeonhole
    Bootstrap*, 2007), which is approximate. What a seed does on a single image counts up to three
    times, which widens the interval; but the spread of a few seeds is a rough estimate. Its false
    positives were counted with pairs of equal variants, 400 trials each, on 2,000 images. With
    three seeds that agree on 93% of the images and have a spread of 0.004 to 0.01, 1% to 7% of the
    pairs were called different. With three seeds whose networks differ only in overall accuracy, by
    0.008 or 0.02, it was 14% or 15%; with five such seeds, 8%; with ten, 7% or 8%.

    Args:
        correct: for each variant, whether each seed's network was right on each image, bool [seeds,
            images]; all variants on the same images.

    Raises:
        ValueError: if the variants have different numbers of images.
    """
    generator = np.random.default_rng(0)
    # A generator for each variant's seeds, so that one more variant leaves the others as they are.
    own = {name: np.random.default_rng([0, *name.encode()]) for name in correct}
    counts = {each.shape[1] for each in correct.values()}
    if len(counts) != 1:
        raise ValueError("the variants are not on the same images")
    (count,) = counts
    accuracies: dict[str, list[NDArray[np.float64]]] = {name: [] for name in correct}
    for start in range(0, resamples, 1000):  # in parts that fit into memory
        size = min(1000, resamples - start)
        # How often each image is drawn.
        times = generator.multinomial(count, np.full(count, 1 / count), size)
        for name, each in correct.items():
            right = times @ each.T.astype(np.int64)  # [size, seeds]
            drawn = own[name].integers(len(each), size=(size, max(1, len(each) - 1)))
            # Integers up to the last step, so that equal accuracies have a difference of exactly 0.
            total = np.take_along_axis(right, drawn, axis=1).sum(axis=1)
            accuracies[name].append(total / (drawn.shape[1] * count))
    return _of_pairs(correct, {name: np.concatenate(each) for name, each in accuracies.items()})


def _of_pairs(
    correct: Mapping[str, Answers | Sequence[Answers]], resampled: Mapping[str, NDArray[np.float64]]
) -> list[Difference]:
    means = {name: float(np.concatenate(list(each)).mean()) for name, each in correct.items()}
    result = []
    for a, b in combinations(correct, 2):
        low, high = np.quantile(resampled[a] - resampled[b], [0.025, 0.975])
        real = (low > 0 or high < 0) and min(len(correct[a]), len(correct[b])) >= 3
        result.append(Difference(a, b, means[a] - means[b], float(low), float(high), bool(real)))
    return result


def differences_on_folds(
    correct: Mapping[str, Sequence[Answers]], resamples: int = 10_000
) -> list[Difference]:
    """Compare every pair of settings by a bootstrap over folds and the images in them.

    Each fold has images and a training of its own. So a resample draws n - 1 of the n folds with
    replacement (n - 1 as in `differences`), and in each fold images with replacement, both the same
    for all settings.

    At a holdout of 0.2, the trainings of two folds have three quarters of their images in common,
    which no estimate from one cross-validation can take into account (Bengio, Grandvalet, *No
    Unbiased Estimator of the Variance of K-Fold Cross-Validation*, 2004). On the other hand, the
    chance of the images counts twice. In simulations of equal settings on five folds of 2,000
    images, 200 pairs each, whose trainings had a spread of 0.002, 0.004 or 0.01, 1%, 0% and 5% of
    the pairs were called different.

    Args:
        correct: for each setting, whether each fold's network was right on each image, a list of
            bool [images of the fold]; all settings on the same folds.

    Raises:
        ValueError: if the settings have different folds.
    """
    generator = np.random.default_rng(0)
    sizes = {tuple(len(fold) for fold in folds) for folds in correct.values()}
    if len(sizes) != 1:
        raise ValueError("the settings are not on the same folds")
    (counts,) = sizes
    # Right answers in each fold, [resamples, folds], by setting.
    right = {name: np.empty((resamples, len(counts)), dtype=np.int64) for name in correct}
    for index, count in enumerate(counts):
        for start in range(0, resamples, 1000):  # in parts that fit into memory
            size = min(1000, resamples - start)
            times = generator.multinomial(count, np.full(count, 1 / count), size)
            for name, folds in correct.items():
                right[name][start : start + size, index] = times @ folds[index].astype(np.int64)
    drawn = generator.integers(len(counts), size=(resamples, max(1, len(counts) - 1)))
    total = np.array(counts)[drawn].sum(axis=1)
    resampled = {
        name: np.take_along_axis(each, drawn, axis=1).sum(axis=1) / total
        for name, each in right.items()
    }
    return _of_pairs(correct, resampled)


def table(differences: Sequence[Difference]) -> str:
    """Return the differences as CSV, to five decimals."""
    rows = [[d.a, d.b, *(f"{v:.5f}" for v in d[2:5]), str(d.real).lower()] for d in differences]
    return results.table(["a", "b", "difference", "low", "high", "real"], rows)
