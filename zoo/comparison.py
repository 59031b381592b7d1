"""Which of two variants is better, by how much, and whether that is known.

As in radiology, where several readers judge the same cases, there are two random samples: trainings
are the readers, and images the cases. Both are drawn anew. The train images are not: one set of
them can't say what another would give (Bengio, Grandvalet, *No Unbiased Estimator of the Variance
of K-Fold Cross-Validation*, 2004; Nadeau, Bengio, *Inference for the Generalization Error*, 2003).

The variance is an unbiased sum of products, also where not every reader sees every case (Gallas,
Pennello, Myers, *Multireader Multicase Variance Analysis for Binary Data*, 2007). Student's t has
the degrees of freedom of Hillis, *A Comparison of Denominator Degrees of Freedom Methods for
Multiple Observer ROC Analysis*, 2007. Each image counts the same, however many trainings saw it.
docs/method.md explains this; `python -m zoo check-method` counts how often the answers are right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifar2.report import results

Scores = NDArray[np.floating]  # [trainings, images], NaN where a training did not see an image

# Fixed before this method was written, but when the accuracies on val were known.
MARGIN = 0.005  # of accuracy, within which variants are equivalent
REFERENCE = "baseline"
PRIMARY = ("kernel", "width", "l2", "dropout", "batch_norm", "dropout_batch_norm", "depth", "res")
CHOSEN = ("fast", "strong")  # by looking at val
FEWEST = 3  # trainings


class Moments(NamedTuple):
    """The mean of each image, and the variance of the mean score that comes from the trainings."""

    means: Scores
    excess: float  # the variance, without bias
    square: float  # the same, with chance on single images in it
    freedom: float  # the degrees of freedom of `square`; 0 if a single training saw each image
    first: NDArray[np.intp]  # for each image, the first training that saw it


def moments(scores: Scores) -> Moments:
    """Compute the moments of scores on images of which each was seen by a training or more.

    For each training r, T_r is the weighted sum of its scores minus the means of the images.
    The weight of an image is 1 / (images · trainings that saw it). In Σ T_r², chance on a single
    image is only in the squares of single terms. Without these, the sum estimates the variance of
    the trainings times a factor. `effects` is the matrix from the trainings' effects to the T_r.
    With G = effects · effectsᵀ, the factor is tr G less the same squares, and the degrees of
    freedom of Σ T_r² are (tr G)² / tr G². If all saw all images, they are n - 1 for n trainings,
    and this is an analysis of variance.
    """
    seen = ~np.isnan(scores)
    counts = seen.sum(axis=0, dtype=scores.dtype)
    weights = seen / (counts * len(counts))
    means = np.where(seen, scores, 0).sum(axis=0) / counts
    if counts.max() == 1:
        return Moments(means, 0, 0, 0, seen.argmax(axis=0))
    terms = weights * np.where(seen, scores - means, 0)
    effects = np.diag(weights.sum(axis=1)) - (weights / counts) @ seen.T
    products = effects @ effects.T
    trace = np.trace(products)
    total, size = ((each.sum(axis=1) ** 2).sum() for each in (terms, weights))
    excess = (total - (terms**2).sum()) / (trace - (weights**2 * (1 - 1 / counts)).sum())
    freedom = trace**2 / (products**2).sum()
    return Moments(means, size * excess, size * total / trace, freedom, seen.argmax(axis=0))


class Estimate(NamedTuple):
    """A mean, its standard error, and the degrees of freedom of Student's t."""

    mean: float
    error: float
    freedom: float

    def reach(self, level: float = 0.95, intervals: int = 1) -> float:
        """Return the half-width of an interval, of so many that hold together (Bonferroni).

        The quantile is that of √freedom · tan(angle), of density cos(angle)^(freedom - 1).
        """
        freedom = min(self.freedom, 1e4)  # more make no difference
        angles = np.linspace(-np.pi / 2, np.pi / 2, 4001)
        below = np.cumsum(np.cos((angles[1:] + angles[:-1]) / 2) ** (freedom - 1))
        inside = (1 - (1 - level) / intervals / 2) * below[-1]
        return float(self.error * freedom**0.5 * np.tan(np.interp(inside, below, angles[1:])))


def estimate(*variants: Moments) -> Estimate:
    """Estimate the mean score of a variant, or that of the first minus that of the second.

    The variance of the images' means contains the noise on single images. The trainings add at
    least 0, and with this noise they have at least the variance of their means (Hillis). If a
    single training saw each image, the folds are compared, as in a paired t-test.
    """
    values = variants[0].means - (variants[1].means if len(variants) > 1 else 0)
    mean = float(values.mean())
    for each in variants:
        if not each.freedom:
            of_folds = [values[each.first == fold].mean() for fold in np.unique(each.first)]
            error = np.std(of_folds, ddof=1) / len(of_folds) ** 0.5
            return Estimate(mean, float(error), len(of_folds) - 1)
    images = values.var(ddof=1) / len(values)
    squares = sum(each.square for each in variants)
    variance = max(images, squares, images + sum(each.excess for each in variants))
    spread = sum(each.square**2 / each.freedom for each in variants)
    freedom = variance**2 / spread if spread else np.inf
    return Estimate(mean, float(variance**0.5), float(freedom))


class Difference(NamedTuple):
    """The mean accuracy of `a` minus that of `b`, and what is known of it."""

    a: str
    b: str
    mean: float
    low: float  # the 95% interval; those of all primary comparisons hold together
    high: float
    alone: float  # the half-width of the 95% interval of this comparison by itself
    answer: str  # see `answer`
    kind: str  # "primary": fixed beforehand; "exploratory": one of many, some of which are luck
    on: str  # the images: "val", "folds" or "folds and val"


def right(probabilities: Scores) -> Scores:
    """Return 1 for right and 0 for wrong answers, from the probabilities of the actual class."""
    return np.where(np.isnan(probabilities), np.nan, probabilities > 0.5)


def answer(found: Estimate, intervals: int = 1) -> str:
    """Return "better" or "worse" if the 95% interval, of so many, excludes 0.

    Otherwise "equivalent", if two one-sided tests at 5% exclude MARGIN, or else "undecided".
    """
    if abs(found.mean) > found.reach(intervals=intervals):
        return "better" if found.mean > 0 else "worse"
    return "equivalent" if abs(found.mean) + found.reach(0.9) < MARGIN else "undecided"


def differences(val: Mapping[str, Scores], folds: Mapping[str, Scores]) -> list[Difference]:
    """Compare every two variants by their accuracy: on folds where both were, or else on val.

    Both have the probabilities of the actual classes by variant, on images that are the same. In
    `folds`, an image that all trainings saw is of val. What was chosen by looking at val is not
    compared on it there.
    """
    found = []
    for b, a in combinations(dict.fromkeys([*val, *folds]), 2):
        enough = min(len(folds.get(name, ())) for name in (a, b)) >= FEWEST
        on, source = ("folds", folds) if enough else ("val", val)
        if min(len(source.get(name, ())) for name in (a, b)) < FEWEST:
            continue
        pair = [source[name] for name in (a, b)]
        of_val = ~np.isnan(pair[0]).any(axis=0)
        if on == "folds" and of_val.any():
            if {a, b} & set(CHOSEN):
                pair = [scores[:, ~of_val] for scores in pair]
            else:
                on = "folds and val"
        primary = REFERENCE in (a, b) and {a, b} <= {REFERENCE, *PRIMARY}
        kind, intervals = ("primary", len(PRIMARY)) if primary else ("exploratory", 1)
        it = estimate(*(moments(right(scores)) for scores in pair))
        reach = it.reach(intervals=intervals)
        values = it.mean, it.mean - reach, it.mean + reach, it.reach()
        found.append(Difference(a, b, *values, answer(it, intervals), kind, on))
    return found


def table(differences: Sequence[Difference]) -> str:
    """Return the differences as CSV, to five decimals."""
    rows = [[d.a, d.b, *(f"{v:.5f}" for v in d[2:6]), *d[6:]] for d in differences]
    header = ["a", "b", "difference", "low", "high", "alone", "answer", "kind", "on"]
    return results.table(header, rows)


def table_of_scores(probabilities: Mapping[str, Scores]) -> str:
    """Return each variant's mean scores as CSV, with the half-widths of their 95% intervals.

    A probability of the actual class of 0, to four decimals, counts as 0.00005.
    """
    rows = []
    for name, p in probabilities.items():
        if len(p) >= FEWEST:
            scores = right(p), -np.log(np.maximum(p, 0.00005)), (1 - p) ** 2
            found = [estimate(moments(score)) for score in scores]
            cells = [f"{round(value, 6):.4f}" for it in found for value in (it.mean, it.reach())]
            rows.append([name, len(p), *cells])
    measures = ["accuracy", "accuracy ±", "log loss", "log loss ±", "Brier score", "Brier score ±"]
    return results.table(["variant", "trainings", *measures], rows)


def in_words(d: Difference) -> str:
    """Return a section for the model card of `a`."""
    mean, low, high = (round(each, 5) for each in d[2:5])  # as in the table
    of = f", one of {len(PRIMARY)} that hold together," if d.kind == "primary" else ""
    it = f"the difference is {mean:+.4f}, its 95% interval{of} is {low:+.4f} to {high:+.4f}"
    flattered = d.a in CHOSEN and d.on == "val"
    chosen = " But it was chosen by looking at val, which flatters it." if flattered else ""
    said = f"Its accuracy on {d.on} is {d.answer}: {it}.{chosen}"
    return f"\n## Compared with `{d.b}`\n\n{said}\n"
