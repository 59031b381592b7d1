"""Whether one way to train is better than another, or was lucky."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Difference(NamedTuple):
    """Mean accuracy of `a` minus that of `b`, and where it lies with 95% confidence."""

    a: str
    b: str
    mean: float
    low: float
    high: float

    @property
    def real(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def differences(
    correct: Mapping[str, NDArray[np.bool_]], *, resamples: int = 10_000, seed: int = 0
) -> list[Difference]:
    """Compare every two of several ways to train, by a paired bootstrap on two levels.

    A resample draws, with replacement, the images, the same ones for all, and the seeds of each
    way: its spread is that of another validation set and of other trainings. The interval is the
    middle 95% of the resamples' differences. Sources: Efron, Tibshirani, *An Introduction to the
    Bootstrap* (1993), section 13.3; for the two levels Davison, Hinkley, *Bootstrap Methods and
    their Application* (1997), section 3.8; that seeds count: Bouthillier et al., *Accounting for
    Variance in Machine Learning Benchmarks* (2021).

    With n seeds, the share of the seeds in the variance comes out too small by (n - 1) / n; and
    among many pairs that do not differ, one in twenty will look as if it did.

    Args:
        correct: for each way, whether a seed's network was right on an image, [seeds, images];
            all on the same images.
    """
    generator = np.random.default_rng(seed)
    counts = {len(each[0]) for each in correct.values()}
    if len(counts) != 1:
        raise ValueError("they are not on the same images")
    (count,) = counts
    accuracies: dict[str, list[NDArray[np.float64]]] = {name: [] for name in correct}
    for start in range(0, resamples, 1000):  # so that the draws fit into memory
        size = min(1000, resamples - start)
        weights = generator.multinomial(count, np.full(count, 1 / count), size) / count
        for name, each in correct.items():
            of_seeds = weights @ each.T.astype(np.float64)  # [size, seeds]
            drawn = generator.integers(len(each), size=of_seeds.shape)
            accuracies[name].append(np.take_along_axis(of_seeds, drawn, axis=1).mean(axis=1))
    resampled = {name: np.concatenate(each) for name, each in accuracies.items()}
    result = []
    for a, b in combinations(correct, 2):
        low, high = np.quantile(resampled[a] - resampled[b], [0.025, 0.975])
        mean = correct[a].mean() - correct[b].mean()
        result.append(Difference(a, b, float(mean), float(low), float(high)))
    return result
