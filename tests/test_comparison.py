"""Which differences are real: cases whose answer is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cifar2.comparison import differences


def variants(
    *rates: float, seeds: int = 5, images: int = 2000, spread: float = 0.0
) -> dict[str, NDArray[np.bool_]]:
    """Draw networks that are right on images at certain rates, each image as hard for all."""
    generator = np.random.default_rng(1)
    hardness = generator.random(images)
    return {
        str(index): np.array(
            [hardness < rate + spread * generator.standard_normal() for _ in range(seeds)]
        )
        for index, rate in enumerate(rates)
    }


def test_the_mean_is_the_difference_of_the_means_and_in_the_interval() -> None:
    correct = variants(0.9, 0.88, 0.5)
    found = differences(correct)
    assert [(d.a, d.b) for d in found] == [("0", "1"), ("0", "2"), ("1", "2")]
    for d in found:
        assert d.mean == pytest.approx(correct[d.a].mean() - correct[d.b].mean())
        assert d.low < d.mean < d.high
        assert d.real


def test_on_the_same_images_a_small_difference_is_seen() -> None:
    """Ten images of 2,000 on which one is right and the other is not: far from luck, as McNemar's
    test says too (p = 0.002), where two independent samples would tell nothing.
    """
    right = np.ones((3, 2000), dtype=bool)
    right[:, :200] = False
    worse = right.copy()
    worse[:, 200:210] = False
    (d,) = differences({"a": right, "b": worse})
    assert d.real and d.mean == pytest.approx(0.005)
    # A binomial count of 10: 95% within 4 and 16 or so.
    assert (d.low, d.high) == pytest.approx((0.002, 0.008), abs=0.0006)


def test_a_difference_smaller_than_the_seeds_spread_is_not_real() -> None:
    for wanted, spread in ((True, 0.001), (False, 0.02)):
        (d,) = differences(variants(0.9, 0.89, spread=spread))
        assert d.real is wanted


def told_apart(seeds: int, seed_spread: float, image_noise: float) -> float:
    """Return how often two variants that do not differ are told apart, by so many seeds each."""
    generator = np.random.default_rng(2)
    trials, told = 200, 0
    for _ in range(trials):
        hardness = generator.random(500)

        def variant(hardness: NDArray[np.float64] = hardness) -> NDArray[np.bool_]:
            ability = 0.9 + seed_spread * generator.standard_normal((seeds, 1))
            return hardness + image_noise * generator.standard_normal((seeds, 500)) < ability

        (d,) = differences({"a": variant(), "b": variant()}, resamples=400)
        told += d.real
    return told / trials


@pytest.mark.parametrize("seeds", [3, 5])
def test_two_of_a_kind_are_seldom_told_apart(seeds: int) -> None:
    """Where seeds differ on the whole alone, up to three times as often as one time in twenty;
    where they differ on single images, hardly ever.
    """
    assert 0.03 < told_apart(seeds, seed_spread=0.02, image_noise=0.0) < 0.15
    assert told_apart(seeds, seed_spread=0.0, image_noise=0.1) < 0.03


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_tell_nothing(seeds: int) -> None:
    right, wrong = np.ones((seeds, 2000), dtype=bool), np.zeros((3, 2000), dtype=bool)
    (d,) = differences({"a": right, "b": wrong})
    assert (d.mean, d.low, d.high, d.real) == (1.0, 1.0, 1.0, False)


def test_another_variant_leaves_the_others_as_they_are() -> None:
    correct = variants(0.9, 0.89, 0.88, spread=0.01)
    without = {name: correct[name] for name in ("0", "2")}
    assert differences(without) == [d for d in differences(correct) if (d.a, d.b) == ("0", "2")]


def test_equal_accuracies_are_equal() -> None:
    """However many the seeds: no rounding decides."""
    right = np.random.default_rng(3).random(2000) < 0.9
    (d,) = differences({"a": np.stack(2 * [right]), "b": np.stack(5 * [right])})
    assert (d.low, d.high, d.real) == (0.0, 0.0, False)


def test_the_same_numbers_every_time() -> None:
    correct = variants(0.9, 0.89, spread=0.01)
    assert differences(correct) == differences(correct)


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images"):
        differences({"a": np.ones((1, 3), dtype=bool), "b": np.ones((1, 4), dtype=bool)})
