"""Weights and counts, by their bounds."""

from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.feedback.advice import slice_weight, wanted, weights


def test_a_weight_grows_with_the_effect_between_its_bounds():
    assert [slice_weight(effect, boost=1.0, most=3.0) for effect in (-1, 0, 0.5, 2, 9)] == [1, 1, 1.5, 3, 3]


@given(
    st.dictionaries(st.sampled_from("uvwxyz"), st.sets(st.sampled_from("abc")), min_size=1),
    st.dictionaries(st.sampled_from("abc"), st.floats(1, 3)),
)
@settings(max_examples=30, deadline=None)
def test_weights_have_the_mean_one_and_no_picture_weighs_more_than_the_most_times_another(slices_of, by_slice):
    found = weights(slices_of, by_slice)
    assert found.keys() == slices_of.keys()
    assert fmean(found.values()) == pytest.approx(1)
    assert max(found.values()) <= 3.000001 * min(found.values())


def test_a_picture_of_two_flagged_slices_has_the_larger_weight():
    found = weights({"x": ["a", "b"], "y": ["a"], "z": []}, {"a": 1.5, "b": 3.0})
    assert found["x"] / found["z"] == pytest.approx(3)
    assert found["y"] / found["z"] == pytest.approx(1.5)


def test_nothing_to_train_on_has_no_weights():
    assert weights({}, {"a": 2.0}) == {}


def test_what_is_wanted_makes_up_by_number_what_the_weight_says_and_is_capped():
    assert wanted(8, 3.0, most=100) == 16
    assert wanted(7, 1.1, most=100) == 1
    assert wanted(400, 3.0, most=100) == 100
    assert wanted(8, 1.0, most=100) == 0
