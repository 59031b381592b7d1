"""Which differences are real: cases whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from zoo.comparison import Difference, differences, differences_on_folds, table


def variants(
    *rates: float, seeds: int = 5, images: int = 2000, spread: float = 0.0
) -> dict[str, NDArray[np.bool_]]:
    """Draw networks that are right on images at certain rates; an image is equally hard for all."""
    generator = np.random.default_rng(1)
    hardness = generator.random(images)
    return {
        str(index): np.array(
            [hardness < rate + spread * generator.standard_normal() for _ in range(seeds)]
        )
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


@pytest.mark.parametrize(("spread", "real"), [(0.001, True), (0.02, False)])
def test_difference_is_real_only_where_it_exceeds_the_spread_of_the_seeds(
    spread: float, real: bool
) -> None:
    (d,) = differences(variants(0.9, 0.89, spread=spread), resamples=1000)
    assert d.real is real


def false_positives(seeds: int, seed_spread: float, image_noise: float) -> float:
    """Return how often two equal variants are called different, with so many seeds each."""
    generator = np.random.default_rng(2)
    trials, found = 200, 0
    for _ in range(trials):
        hardness = generator.random(200)

        def variant(hardness: NDArray[np.float64] = hardness) -> NDArray[np.bool_]:
            ability = 0.9 + seed_spread * generator.standard_normal((seeds, 1))
            return hardness + image_noise * generator.standard_normal((seeds, 200)) < ability

        (d,) = differences({"a": variant(), "b": variant()}, resamples=200)
        found += d.real
    return found / trials


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_equal_variants_are_seldom_called_different(seeds: int) -> None:
    """Where seeds differ overall, up to three times as often as the 5% of an exact interval."""
    assert 0.03 < false_positives(seeds, seed_spread=0.02, image_noise=0.0) < 0.15
    if seeds < 10:  # for time
        assert false_positives(seeds, seed_spread=0.0, image_noise=0.1) < 0.03


def test_interval_is_the_middle_95_percent_of_one_seed_fewer_than_there_are() -> None:
    """Of six seeds one is wrong throughout, and five are drawn.

    Three or more of the five are the wrong one in 3.5% of the resamples, four or more in 0.3%. So
    the lowest 2.5% end at three of five; the lowest 5% would end at two of five.
    """
    seeds = np.ones((6, 10), dtype=bool)
    seeds[0] = False
    others = np.ones((6, 10), dtype=bool)
    (d,) = differences({"a": seeds, "b": others})
    assert (d.low, d.high) == pytest.approx((-3 / 5, 0))


@pytest.mark.parametrize("seeds", [1, 2])
def test_difference_is_not_real_with_fewer_than_three_seeds(seeds: int) -> None:
    right, wrong = np.ones((seeds, 2000), dtype=bool), np.zeros((3, 2000), dtype=bool)
    (d,) = differences({"a": right, "b": wrong}, resamples=1000)
    assert (d.mean, d.low, d.high, d.real) == (1.0, 1.0, 1.0, False)


def test_another_variant_leaves_the_other_differences_as_they_are() -> None:
    correct = variants(0.9, 0.89, 0.88, spread=0.01)
    without = {name: correct[name] for name in ("0", "2")}
    (expected,) = (d for d in differences(correct, resamples=1000) if (d.a, d.b) == ("0", "2"))
    assert differences(without, resamples=1000) == [expected]
    assert differences(without, resamples=1000, seed=1) != [expected]


def test_equal_accuracies_have_a_difference_of_exactly_zero() -> None:
    """Whatever the numbers of seeds, rounding does not decide."""
    right = np.random.default_rng(3).random(2000) < 0.9
    correct = {"a": np.stack(2 * [right]), "b": np.stack(4 * [right])}
    (d,) = differences(correct, resamples=1000)
    assert (d.low, d.high, d.real) == (0.0, 0.0, False)


def test_variants_on_different_images_are_an_error() -> None:
    with pytest.raises(ValueError, match="not on the same images"):
        differences({"a": np.ones((1, 3), dtype=bool), "b": np.ones((1, 4), dtype=bool)})


# On folds


def on_folds(
    *rates: float, folds: int = 5, images: int = 400, spread: float = 0.0
) -> dict[str, list[NDArray[np.bool_]]]:
    """Draw a network for each fold, which has images of its own."""
    generator = np.random.default_rng(2)
    hardness = [generator.random(images + fold) for fold in range(folds)]
    return {
        str(index): [each < rate + spread * generator.standard_normal() for each in hardness]
        for index, rate in enumerate(rates)
    }


def test_settings_on_folds_are_compared_over_all_their_images() -> None:
    correct = on_folds(0.9, 0.87)
    (d,) = differences_on_folds(correct, resamples=1000)
    means = [np.concatenate(each).mean() for each in correct.values()]
    assert d.mean == pytest.approx(means[0] - means[1])
    assert d.low < d.mean < d.high
    assert d.real


def test_difference_on_folds_is_real_only_where_it_exceeds_the_spread_of_three_trainings() -> None:
    (steady,) = differences_on_folds(on_folds(0.9, 0.88), resamples=1000)
    (spread,) = differences_on_folds(on_folds(0.9, 0.88, spread=0.05), resamples=1000)
    (few,) = differences_on_folds(on_folds(0.9, 0.5, folds=2), resamples=100)
    assert (steady.real, spread.real, few.real) == (True, False, False)
    assert spread.high - spread.low > steady.high - steady.low
    assert few.low > 0


def test_settings_on_different_folds_are_an_error() -> None:
    correct = on_folds(0.9) | {"other": on_folds(0.9, images=300)["0"]}
    with pytest.raises(ValueError, match="not on the same folds"):
        differences_on_folds(correct)


# The table


def test_table_has_exact_bytes() -> None:
    """The results in Git rely on them."""
    found = [
        Difference("baseline", "width", -0.004, -0.0138749, 0.0065, False),
        Difference("baseline", "fast", -1 / 30, -0.05, -0.01, True),
    ]
    assert table(found) == (
        "a,b,difference,low,high,real\n"
        "baseline,width,-0.00400,-0.01387,0.00650,false\n"
        "baseline,fast,-0.03333,-0.05000,-0.01000,true\n"
    )
