import numpy as np

from stages.evaluate.report import suspects


def test_a_copy_stands_beside_what_it_was_copied_from(copied):
    pictures, generation, sample = copied
    [pair] = suspects.pairs(pictures, "adapter", 0.5)
    assert pair.copy
    assert (pair.prompt, pair.seed) == (generation.prompt, generation.seed)
    assert pair.distance < 1e-6
    assert np.array_equal(pair.training, pictures.real(sample))
    assert np.array_equal(pair.drawn, pair.training)
    assert not np.array_equal(pair.base, pair.drawn)


def test_where_nothing_is_flagged_the_three_nearest_are_shown_and_not_called_copies(pictures):
    for factor in (1e-6, None):
        pairs = suspects.pairs(pictures, "adapter", factor)
        assert [pair.copy for pair in pairs] == [False] * suspects.NEAREST
        assert [pair.distance for pair in pairs] == sorted(pair.distance for pair in pairs)


def test_without_training_pictures_there_is_nothing_to_be_near_to(with_checkpoints):
    with_checkpoints.samples = []
    assert suspects.pairs(with_checkpoints, "adapter", 0.5) == []
