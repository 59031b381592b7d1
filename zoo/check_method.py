"""Count how often the intervals and answers of `comparison` are right, on simulated trainings."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cifar2.errors import UserError
from cifar2.report import results
from zoo.comparison import MARGIN, PRIMARY, REFERENCE, Scores, answer, estimate, moments

OWN_FOLD = np.arange(20)[:, None] % 5 == np.repeat(np.arange(5), 2000)
DESIGNS = {  # which training sees which image
    **{f"{count} seeds, val": np.full((count, 2000), True) for count in (10, 5, 3)},
    "5 trainings, folds (`trials`)": OWN_FOLD[:5],
    "20 trainings, folds": OWN_FOLD,
    "20 trainings, folds and val": np.hstack([OWN_FOLD, np.full((20, 2000), True)]),
}


def components(scores: Scores) -> list[float]:
    """Estimate, from [trainings, variants, images], the accuracy and the variances of its sources:
    image, image and variant (in a difference), and training."""
    means = np.cov(scores.mean(axis=0))  # of each variant, and of every two
    noise = scores.var(axis=0, ddof=1).mean(axis=1)
    image = means[np.triu_indices_from(means, 1)].mean()
    own = (means.diagonal() - noise / len(scores)).mean()
    training = (scores.mean(axis=2).var(axis=0, ddof=1) - noise / scores.shape[2]).mean()
    found = scores.mean(), image, 2 * (own - image), training
    return [max(1e-9, float(each)) for each in found]  # some are near 0


def simulate(
    given: list[float], seen: NDArray[np.bool_], generator: np.random.Generator
) -> Iterator[Scores]:
    """Yield right answers of a variant, of as many equal ones as PRIMARY, and of a worse one.

    The rate of right answers on an image is drawn from a beta distribution, and that of a variant
    from another one around it. A training shifts all rates, the most where they are near 0.5.
    """
    accuracy, image, pair, training = given

    def rates(mean: float | Scores, share: float) -> Scores:
        """Draw rates whose variance is this share of that of the answers, mean · (1 - mean)."""
        n = 1 / share - 1
        return np.clip(generator.beta(mean * n, (1 - mean) * n, seen.shape[1]), 1e-9, 1 - 1e-9)

    whole = accuracy * (1 - accuracy)
    of_images = rates(accuracy, image / whole)
    rows, columns = np.nonzero(seen)
    for shift in [0.0] * (1 + len(PRIMARY)) + [-MARGIN]:
        own = rates(of_images, pair / 2 / (whole - image))
        slopes = own * (1 - own) / (whole - image - pair / 2)
        shifts = shift + training**0.5 * generator.standard_normal(len(seen))
        answers = np.full(seen.shape, np.nan)
        answers[seen] = generator.random(len(rows)) < own[columns] + slopes[columns] * shifts[rows]
        yield answers


def check(runs: Path, repetitions: int = 2000) -> Iterator[str]:
    """Yield the components of the runs, and a table in Markdown of the rates by design."""
    scores = []
    for name in (REFERENCE, *PRIMARY):
        tables = map(results.read_predictions, runs.glob(f"{name}-[0-9]*/predictions.csv"))
        scores.append([[each.predicted == each.actual for each in table] for table in tables])
        if len(scores[-1]) < 2:
            raise UserError(f"{name} has fewer than two runs; `make zoo` trains them")
    given = components(np.array([*zip(*scores, strict=False)], dtype=float))  # seeds of all
    yield "accuracy {:.3f}; variances: image {:.3g}, pair {:.3g}, training {:.3g}\n".format(*given)
    yield "| design | covered | different | equivalent | ± alone | ± together |"
    yield "|---|---:|---:|---:|---:|---:|"
    for design, seen in DESIGNS.items():
        generator, total = np.random.default_rng(0), np.zeros(5)
        for _ in range(repetitions):
            reference, *others = map(moments, simulate(given, seen, generator))
            *equal, worse = (estimate(other, reference) for other in others)
            wide = np.array([[e.reach(intervals=n) for e in equal] for n in (1, len(PRIMARY))])
            inside = np.mean(np.abs([each.mean for each in equal]) <= wide[0])
            different = any(answer(each, len(PRIMARY)) in ("better", "worse") for each in equal)
            total += [inside, different, answer(worse) == "equivalent", *wide.mean(axis=1)]
        cells = [f"{x:.{places}f}" for x, places in zip(total / repetitions, "33344", strict=True)]
        yield f"| {' | '.join([design, *cells])} |"
