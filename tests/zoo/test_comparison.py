"""Which differences are real: cases whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.comparison import Answers, Difference, differences, differences_on_folds, table


def variants(*rates: float, spread: float = 0.0) -> dict[str, Answers]:
    """Draw networks that are right on images at certain rates; an image is equally hard for all."""
    generator = np.random.default_rng(1)
    hardness = generator.random(2000)
    return {
        str(index): hardness < rate + spread * generator.standard_normal((5, 1))
        for index, rate in enumerate(rates)
    }


def test_pairs_are_compared_in_order_and_real_in_either_direction() -> None:
    correct = variants(0.88, 0.9, 0.5)
    found = differences(correct, resamples=1000)
    assert [(d.a, d.b) for d in found] == [("0", "1"), ("0", "2"), ("1", "2")]
    for d in found:
        assert d.mean == pytest.approx(correct[d.a].mean() - correct[d.b].mean())
        assert d.low < d.mean < d.high
        assert d.real


def test_small_difference_on_the_same_images_is_real() -> None:
    """One variant is wrong on ten of 2,000 images on which the other is right.

    McNemar's test says too that this is hardly luck (p = 0.002). Two independent samples would tell
    nothing.
    """
    right = np.ones((3, 2000), dtype=bool)
    right[:, :200] = False
    worse = right.copy()
    worse[:, 200:210] = False
    (d,) = differences({"a": right, "b": worse}, resamples=2000)
    assert d.real
    assert d.mean == pytest.approx(0.005)
    # A count of 10: 95% are between about 4 and 16.
    assert (d.low, d.high) == pytest.approx((0.002, 0.008), abs=0.0006)


@pytest.mark.parametrize(
    ("seeds", "seed_spread", "image_noise", "least", "most"),
    [(3, 0.02, 0.0, 0.03, 0.15), (10, 0.02, 0.0, 0.03, 0.15), (3, 0.0, 0.1, 0.0, 0.03)],
)
def test_equal_variants_are_seldom_called_different(
    seeds: int, seed_spread: float, image_noise: float, least: float, most: float
) -> None:
    """Where seeds differ overall, up to three times as often as the 5% of an exact interval."""
    generator = np.random.default_rng(2)

    def variant(hardness: NDArray[np.float64]) -> Answers:
        ability = 0.9 + seed_spread * generator.standard_normal((seeds, 1))
        return hardness + image_noise * generator.standard_normal((seeds, 200)) < ability

    found = 0
    for _ in range(200):
        hardness = generator.random(200)
        pair = {"a": variant(hardness), "b": variant(hardness)}
        found += differences(pair, resamples=200)[0].real
    assert least <= found / 200 < most


def test_interval_is_the_middle_95_percent_of_one_seed_fewer_than_there_are() -> None:
    """Of six seeds, or folds, one is wrong throughout, and five are drawn.

    Three or more of the five are the wrong one in 3.5% of the resamples, four or more in 0.3%. So
    the lowest 2.5% end at three of five; the lowest 5% would end at two of five.
    """
    right = np.ones((6, 10), dtype=bool)
    seeds = right.copy()
    seeds[0] = False
    (d,) = differences({"a": seeds, "b": right})
    (on_folds,) = differences_on_folds({"a": list(seeds), "b": list(right)})
    assert (d.low, d.high) == (on_folds.low, on_folds.high) == pytest.approx((-3 / 5, 0))


def test_difference_is_not_real_with_fewer_than_three_seeds() -> None:
    right, wrong = np.ones((3, 2000), dtype=bool), np.zeros((3, 2000), dtype=bool)
    for seeds in (1, 2, 3):
        (d,) = differences({"a": right[:seeds], "b": wrong}, resamples=100)
        assert (d.mean, d.low, d.high, d.real) == (1.0, 1.0, 1.0, seeds == 3)


def test_another_variant_leaves_the_other_differences_as_they_are() -> None:
    correct = variants(0.9, 0.89, 0.88, spread=0.01)
    without = {name: correct[name] for name in ("0", "2")}
    (expected,) = (d for d in differences(correct, resamples=1000) if (d.a, d.b) == ("0", "2"))
    assert differences(without, resamples=1000) == [expected]


def test_equal_accuracies_have_a_difference_of_exactly_zero() -> None:
    """Whatever the numbers of seeds, rounding does not decide."""
    right = np.random.default_rng(3).random(2000) < 0.9
    (d,) = differences({"a": np.stack(2 * [right]), "b": np.stack(4 * [right])}, resamples=1000)
    assert (d.low, d.high, d.real) == (0.0, 0.0, False)


def on_folds(difference: float, folds: int = 5, spread: float = 0.0) -> dict[str, list[Answers]]:
    """Draw networks for each fold, which has images of its own; two settings differ so much."""
    generator = np.random.default_rng(2)
    hardness = [generator.random(400 + fold) for fold in range(folds)]
    return {
        name: [each < rate + spread * generator.standard_normal() for each in hardness]
        for name, rate in (("a", 0.9), ("b", 0.9 - difference))
    }


def test_difference_on_folds_is_real_only_where_it_exceeds_the_spread_of_three_trainings() -> None:
    correct = on_folds(0.02)
    (steady,) = differences_on_folds(correct, resamples=1000)
    a, b = (np.concatenate(folds).mean() for folds in correct.values())
    assert steady.mean == pytest.approx(a - b)
    assert steady.low < steady.mean < steady.high
    (spread,) = differences_on_folds(on_folds(0.02, spread=0.05), resamples=1000)
    (few,) = differences_on_folds(on_folds(0.4, folds=2), resamples=100)
    assert (steady.real, spread.real, few.real) == (True, False, False)
    assert few.low > 0


def test_data_on_different_images_or_folds_are_an_error() -> None:
    three, four = np.ones((1, 3), dtype=bool), np.ones((1, 4), dtype=bool)
    with pytest.raises(ValueError, match="not on the same images"):
        differences({"a": three, "b": four})
    with pytest.raises(ValueError, match="not on the same folds"):
        differences_on_folds({"a": list(three), "b": list(four)})


def test_table_has_exact_bytes() -> None:
    """The results in Git rely on them."""
    chance = Difference("baseline", "fast", -1 / 30, -0.0138749, 0.0065, False)
    real = Difference("fast", "vgg", 0.5, 0.25, 0.75, True)
    assert table([chance, real]).splitlines() == [
        "a,b,difference,low,high,real",
        "baseline,fast,-0.03333,-0.01387,0.00650,false",
        "fast,vgg,0.50000,0.25000,0.75000,true",
    ]
