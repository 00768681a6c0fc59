from types import SimpleNamespace

import numpy as np
import pytest

from stages.evaluate.metrics import copy_rate as copies
from stages.evaluate.metrics.copy_rate import Config, build, copied, nearest
from stages.evaluate.scores import Question, Resampling


def drawn(seed, count, width=384):
    return np.random.default_rng(seed).standard_normal((count, width))


@pytest.mark.parametrize("planted", [0, 2, 5, 20])
def test_planted_copies_are_found_and_nothing_else(planted):
    """shared/research/evaluation.md, section 4.4: shares of 0, 0.02, 0.05 and 0.2 exactly."""
    training, generated = drawn(0, 50), drawn(1, 100)
    generated[:planted] = training[:planted] + 0.05 * drawn(2, planted)
    found = copied(generated, training, range(50), factor=0.5)
    assert found.dtype == np.bool_
    assert found.mean() == planted / 100
    assert found[:planted].all()


def test_near_duplicates_in_the_training_set_do_not_hide_copies():
    """Each picture lies there twice; within a group the distance is not the usual one."""
    once = drawn(0, 25)
    training = np.concatenate([once, once + 0.001])
    generated = np.concatenate([once[:5] + 0.05 * drawn(1, 5), drawn(2, 45)])
    groups = [*range(25), *range(25)]
    assert copied(generated, training, groups, factor=0.5).mean() == 0.1
    assert copied(generated, training, range(50), factor=0.5).mean() == 0.0


def test_a_larger_factor_finds_more():
    training, generated = drawn(0, 50), drawn(1, 100)
    assert copied(generated, training, range(50), factor=2.0).all()


def test_distances_are_euclidean():
    one, other = drawn(0, 4), drawn(1, 3)
    expected = np.linalg.norm(one[:, None] - other[None], axis=2)
    np.testing.assert_allclose(copies._distances(one, other), expected)


def test_thumbnails_are_small_colours_of_zero_to_one():
    pictures = [np.full((64, 48, 3), (255, 0, 51), dtype=np.uint8), np.zeros((16, 16, 3), dtype=np.uint8)]
    small = copies.thumbnails(pictures)
    assert small.shape == (2, 768)
    np.testing.assert_allclose(small[0].reshape(16, 16, 3)[5, 5], [1.0, 0.0, 0.2])
    assert not small[1].any()


def test_the_nearest_is_named_with_its_distance():
    training = np.array([[0.0, 0.0], [1.0, 0.0]])
    which, distances = nearest(np.array([[0.9, 0.0], [0.0, 0.5]]), training)
    assert which.tolist() == [1, 0]
    assert distances == pytest.approx([0.1, 0.5])


def test_where_all_training_pictures_are_one_group_nothing_is_said_of_copies():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    rows = [
        SimpleNamespace(id=number, digest="", text="", group="page", prompt=str(number), seed=0) for number in range(4)
    ]

    def scored(groups):
        training = [SimpleNamespace(**{**vars(row), "group": group}) for row, group in zip(rows, groups, strict=True)]
        pictures = SimpleNamespace(
            by_arm=lambda arm, role: rows,
            training=lambda role: training,
            real=lambda row: pixels[row.id],
            drawn=lambda row: pixels[row.id],
        )
        evidence = SimpleNamespace(
            pictures=pictures,
            base="base",
            adapters=["adapter"],
            arms=["base", "adapter"],
            how=Resampling(resamples=5, seed=0),
            question=lambda metric, arm, better, *, by: Question(
                metric=metric, arm=arm, better=better, margin=None, definition=""
            ),
        )
        return list(build(Config(factor=0.5))(evidence))

    assert [score.adapter for score in scored(["one", "other"] * 2)] == [1.0]
    assert scored(["page"] * 4) == []
