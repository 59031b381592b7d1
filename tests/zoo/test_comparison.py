"""The four answers and their intervals, where they are known, and on simulated runs."""

from pathlib import Path

import numpy as np
import pytest

from cifar2.report import results
from cifar2.report.results import Prediction
from zoo import check_method
from zoo.check_method import components, simulate
from zoo.comparison import (
    FEWEST,
    MARGIN,
    PRIMARY,
    Difference,
    Estimate,
    Scores,
    answer,
    differences,
    estimate,
    in_words,
    moments,
    table,
    table_of_scores,
)

GENERATOR = np.random.default_rng(1)
FOLDS = np.arange(6)[:, None] % 3 == np.repeat(np.arange(3), 40)  # six trainings on three folds
VAL = np.full((6, 30), True)


def draw(rate: float, seen: np.ndarray = VAL) -> Scores:
    """Draw the probability of the actual class for each training and image that it saw."""
    right = GENERATOR.random(seen.shape) < rate
    return np.where(seen, np.where(right, 0.9, 0.2), np.nan)


def test_balanced_design_agrees_with_the_analysis_of_variance() -> None:
    trainings, images = GENERATOR.random((2, 5, 1)), GENERATOR.random((2, 1, 40))
    a, b = GENERATOR.random((2, 5, 40)) + trainings + images
    found = estimate(moments(a), moments(b))
    assert found.mean == pytest.approx(a.mean() - b.mean())
    squares = [each.mean(axis=1).var(ddof=1) / 5 for each in (a, b)]
    # Images and trainings, less the noise, which is in both.
    noise = [(each - each.mean(0) - each.mean(1)[:, None] + each.mean()) for each in (a, b)]
    both = sum((each**2).sum() / (4 * 39) / (5 * 40) for each in noise)
    variance = (a.mean(0) - b.mean(0)).var(ddof=1) / 40 + sum(squares) - both
    assert found.error**2 == pytest.approx(variance)
    assert found.freedom == pytest.approx(variance**2 / sum(each**2 / 4 for each in squares))


def test_mean_varies_at_least_as_the_means_of_the_trainings_do() -> None:
    """Each image has one wrong answer, so the images' means do not vary."""
    scores = np.arange(3)[:, None] != np.repeat([0, 1, 2], [10, 20, 30])
    found = estimate(moments(scores.astype(float)))
    variance = scores.mean(axis=1).var(ddof=1) / 3
    assert found == pytest.approx((2 / 3, variance**0.5, 2))


def test_single_training_on_each_fold_is_a_paired_t_test_of_the_folds() -> None:
    a, b = draw(0.9, FOLDS[:3]), draw(0.8, FOLDS[:3])
    found = estimate(moments(a), moments(b))
    of_folds = np.nanmean(a, axis=1) - np.nanmean(b, axis=1)
    assert found == pytest.approx((of_folds.mean(), of_folds.std(ddof=1) / 3**0.5, 2))


@pytest.mark.parametrize(
    ("freedom", "level", "intervals", "expected"),
    [(4, 0.95, 1, 2.7764), (15, 0.9, 1, 1.7531), (30, 0.95, 8, 2.9409), (np.inf, 0.95, 1, 1.96)],
)
def test_reach_has_the_quantiles_of_students_t(
    freedom: float, level: float, intervals: int, expected: float
) -> None:
    found = Estimate(0, 1, freedom).reach(level, intervals)
    assert found == pytest.approx(expected, abs=0.0005)


def test_images_count_the_same_however_many_trainings_saw_them() -> None:
    seen = np.hstack([FOLDS, VAL])
    a, b = draw(0.9, seen), draw(0.6, seen)
    rates = [np.nanmean(np.where(np.isnan(p), np.nan, p > 0.5), axis=0) for p in (a, b)]
    (found,) = differences({}, {"b": b, "a": a})
    assert (found.a, found.b) == ("a", "b")
    assert found.mean == pytest.approx(rates[0].mean() - rates[1].mean())
    with pytest.raises(ValueError):
        differences({}, {"a": a, "b": b[:, :120]})


def test_variants_are_compared_on_folds_if_both_were_and_else_on_val() -> None:
    """Without val, where one was chosen by looking at it."""
    val = {name: draw(0.9) for name in ("a", "b", "c", "fast")}
    seen = np.hstack([FOLDS, VAL])
    on_folds = {name: draw(0.6, seen) for name in ("b", "c", "fast")}
    found = {(d.a, d.b): d for d in differences(val | {"few": draw(0.9)[: FEWEST - 1]}, on_folds)}
    on = {pair: each.on for pair, each in found.items()}
    assert on == dict.fromkeys([("b", "a"), ("c", "a"), ("fast", "a")], "val") | {
        ("c", "b"): "folds and val",
        ("fast", "b"): "folds",
        ("fast", "c"): "folds",
    }
    (b_a,) = differences({name: val[name] for name in ("a", "b")}, {})
    (c_b,) = differences({}, {name: on_folds[name] for name in ("b", "c")})
    apart = {name: each[:, : FOLDS.shape[1]] for name, each in on_folds.items()}
    (fast_b,) = differences({}, {name: apart[name] for name in ("b", "fast")})
    alone = b_a, c_b, fast_b
    assert table([found[each.a, each.b] for each in alone]) == table(alone)


def test_answers_of_known_cases() -> None:
    """Trainings that all agree leave only the images, of which a variant gets some more wrong.

    A count of 7 has a deviation of 2.6: enough for a single interval, but not for one of eight.
    """
    wrong = {"baseline": 0, "kernel": 7, "x": 7, "y": 140}
    images = np.arange(20_000)
    scores = {k: np.tile(np.where(images < v, 0.1, 0.9), (3, 1)) for k, v in wrong.items()}
    found = {(d.a, d.b): d for d in differences(scores, {})}
    kernel, x = found["kernel", "baseline"], found["x", "baseline"]
    same = found["x", "kernel"]
    assert (kernel.kind, kernel.answer) == ("primary", "equivalent")
    assert (x.kind, x.answer) == ("exploratory", "worse")
    assert kernel.low < x.low < x.high < 0 < kernel.high
    assert kernel.alone == pytest.approx(x.mean - x.low)
    assert (same.low, same.high, same.answer) == (0, 0, "equivalent")
    assert found["y", "x"].answer == "worse"
    assert differences({"a": draw(0.9), "b": draw(0.9)}, {})[0].answer == "undecided"
    errors = [(MARGIN - 0.001) / quantile for quantile in (1.66, 1.63)]  # of 5%: 1.645
    assert [answer(Estimate(0.001, each, np.inf)) for each in errors] == ["equivalent", "undecided"]


def test_simulated_answers_have_the_given_components_and_right_intervals() -> None:
    """`python -m zoo check-method` counts more exactly."""
    given = [0.9, 0.05, 0.01, 1e-4]
    seen, generator = np.full((8, 1000), True), np.random.default_rng(3)
    found, inside, margin = [], [], []
    for _ in range(60):
        reference, *equal, worse = simulate(given, seen, generator)
        found.append(components(np.stack([reference, *equal], axis=1)))
        each = [estimate(moments(other), moments(reference)) for other in equal]
        inside += [abs(it.mean) < it.reach() for it in each]
        margin.append(np.mean(equal) - worse.mean())
    assert np.mean(found, axis=0) == pytest.approx(given, rel=0.15)
    assert np.mean(margin) == pytest.approx(MARGIN, abs=0.002)
    assert 0.92 < np.mean(inside) < 0.98


def test_method_is_checked_with_the_components_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (f"{variant}-{seed}" for variant in ("baseline", *PRIMARY) for seed in (1, 2)):
        right = enumerate(GENERATOR.random(40) < 0.8)
        rows = [Prediction(image, "bird", "bird" if it else "cat", 0.9) for image, it in right]
        results.write_predictions(tmp_path / name / "predictions.csv", rows)
    monkeypatch.setattr(check_method, "DESIGNS", {"small": np.full((3, 50), True)})
    first, *lines = "\n".join(check_method.check(tmp_path, 2)).splitlines()
    assert first.startswith("accuracy 0.") and lines[-1].startswith("| small | ")


D = Difference("kernel", "baseline", -1 / 30, -0.0538749, -0.0065, 0.02, "worse", "primary", "val")


def test_tables_and_words_have_exact_bytes() -> None:
    """The results in Git rely on them."""
    assert table([D]).splitlines() == [
        "a,b,difference,low,high,alone,answer,kind,on",
        "kernel,baseline,-0.03333,-0.05387,-0.00650,0.02000,worse,primary,val",
    ]
    words = "Its accuracy on val is worse: the difference is -0.0333, its 95% interval"
    words += ", one of 8 that hold together, is -0.0539 to -0.0065."
    known = f"\n## Compared with `baseline`\n\n{words}\n"
    assert in_words(D) == known
    half = np.full((3, 4), 0.5001)
    assert table_of_scores({"a": half, "few": half[:2]}).splitlines() == [
        "variant,trainings,accuracy,accuracy ±,log loss,log loss ±,Brier score,Brier score ±",
        "a,3,1.0000,0.0000,0.6929,0.0000,0.2499,0.0000",
    ]
