import numpy as np
import pytest

from stages.evaluate.metrics.neighbours import NAMES, neighbourhoods


def drawn(seed, count, width=32, shift=0.0):
    return np.random.default_rng(seed).standard_normal((count, width)) + shift


def measured(one, real, neighbours=5):
    found = neighbourhoods(one, real, neighbours=neighbours)
    return {name: getattr(found, name)(np.arange(len(one))) for name in NAMES}


def test_the_four_numbers_are_those_of_their_papers():
    """Every ball and every picture in it, counted one by one."""
    one, real = drawn(0, 9, 3), drawn(1, 12, 3)

    def radius(those, place):
        return np.sort(np.linalg.norm(those - those[place], axis=1))[2]  # of itself 0, then the nearest two

    in_real = np.array([[np.linalg.norm(one[g] - real[r]) < radius(real, r) for g in range(9)] for r in range(12)])
    in_drawn = np.array([[np.linalg.norm(one[g] - real[r]) < radius(one, g) for g in range(9)] for r in range(12)])
    assert measured(one, real, neighbours=2) == pytest.approx(
        {
            "precision": in_real.any(axis=0).mean(),
            "recall": in_drawn.any(axis=1).mean(),
            "density": in_real.sum() / (2 * 9),
            "coverage": in_real.any(axis=1).mean(),
        }
    )


@pytest.mark.parametrize(("count", "neighbours"), [(50, 5), (200, 3)])
def test_equal_distributions_have_the_expected_values(count, neighbours):
    """Naeem et al.: density 1, coverage 1 - the product of (n - i) / (2 n - i) for i from 1 to k."""
    rows = [measured(drawn(seed, count), drawn(500 + seed, count), neighbours) for seed in range(1000 // count + 10)]
    expected = 1 - np.prod([(count - i) / (2 * count - i) for i in range(1, neighbours + 1)])
    assert np.mean([row["coverage"] for row in rows]) == pytest.approx(expected, abs=0.03)
    assert np.mean([row["density"] for row in rows]) == pytest.approx(1, abs=0.1)


def test_sets_apart_have_nothing_in_common():
    assert measured(drawn(0, 30, shift=100), drawn(1, 30)) == dict.fromkeys(NAMES, 0.0)


def test_an_outlier_spoils_precision_and_not_density():
    real = drawn(0, 500)
    real[0] += 40
    found = measured(drawn(1, 500, shift=3), real)
    assert found["precision"] == 1.0
    assert found["density"] <= 0.2


def test_one_picture_drawn_again_and_again_covers_little():
    found = neighbourhoods(drawn(0, 40), drawn(1, 40), neighbours=5)
    assert found.coverage(np.zeros(40, dtype=np.int64)) < found.coverage(np.arange(40))
