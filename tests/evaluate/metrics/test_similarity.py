import numpy as np
import pytest

from stages.evaluate.metrics.similarity import among, likeness

ROWS = np.random.default_rng(0).standard_normal((5, 8))


def test_identical_pictures_have_a_likeness_of_1_whatever_their_brightness():
    same = np.tile(ROWS[:1], (3, 1))
    np.testing.assert_allclose(likeness(same * [[1], [2], [9]], same), 1)


def test_it_is_the_mean_cosine_to_all_references():
    eye = np.eye(4)
    np.testing.assert_allclose(likeness(eye[:2], eye[[0, 2, 3, 3]]), [0.25, 0])
    np.testing.assert_allclose(likeness(-eye[:1], eye[:1]), -1)


def test_the_ceiling_leaves_each_reference_out_of_its_own_mean():
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    expected = [np.mean([unit[i] @ unit[j] for j in range(5) if j != i]) for i in range(5)]
    np.testing.assert_allclose(among(ROWS, list("abcde")), expected)


def test_near_duplicates_do_not_lift_the_ceiling():
    eye = np.eye(3)
    np.testing.assert_allclose(among(eye[[0, 0, 1]], ["a", "a", "b"]), [0, 0, 0])


@pytest.mark.parametrize("groups", [["a"], ["a", "a"]])
def test_references_of_one_group_have_no_ceiling(groups):
    assert np.isnan(among(ROWS[: len(groups)], groups)).all()
