"""Two detectors as one: nothing that either finds is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import plugins
from stages.detectors import overlap
from stages.detectors.union import Config, build, joined
from stages.errors import ConfigError
from stages.records import Region

LBP = {"name": "lbp", "side": 512, "min_face": 0.12, "min_neighbours": 10}
BLIND = LBP | {"min_face": 0.9}


def region(left, top, width, height, score=1.0, landmarks=()):
    return Region(left=left, top=top, width=width, height=height, score=score, landmarks=landmarks)


REGIONS = st.lists(st.builds(region, *[st.integers(0, 40)] * 2, *[st.integers(1, 40)] * 2), max_size=12)


def inside(one, other):
    return (
        other.left <= one.left
        and other.top <= one.top
        and one.left + one.width <= other.left + other.width
        and one.top + one.height <= other.top + other.height
    )


@given(REGIONS, st.floats(0, 0.99))
def test_every_region_lies_inside_a_joined_one_and_none_of_those_overlap_further(regions, above):
    result = joined(regions, above=above)
    assert all(any(inside(each, other) for other in result) for each in regions)
    assert all(overlap(one, other) <= above for one in result for other in result if one is not other)
    assert result == joined(reversed(regions), above=above)


def test_overlapping_regions_become_the_rectangle_around_both_with_the_surer_score_and_landmarks():
    marks = ((1.0, 1.0),) * 5
    assert joined([region(0, 0, 10, 10, 1.0), region(4, 2, 10, 10, 0.5, marks)], above=0.2) == (
        region(0, 0, 14, 12, 1.0, marks),
    )


def test_regions_apart_stay_two_in_order():
    assert joined([region(50, 0, 9, 9), region(0, 0, 9, 9)], above=0.0) == (region(0, 0, 9, 9), region(50, 0, 9, 9))


@pytest.mark.parametrize("order", [(LBP, BLIND), (BLIND, LBP)])
def test_what_one_of_the_two_misses_is_found(portrait, order):
    first, second = order
    assert plugins.build("stages.detectors", BLIND)(portrait) == ()
    assert build(Config(first=first, second=second, overlap=0.3))(portrait) == plugins.build("stages.detectors", LBP)(
        portrait
    )


def test_one_face_found_by_both_is_one_region(portrait):
    assert len(build(Config(first=LBP, second=LBP | {"min_neighbours": 8}, overlap=0.3))(portrait)) == 1


def test_a_union_of_unlike_detectors_is_built_by_name(portrait):
    choice = {"name": "union", "first": LBP, "second": {"name": "centerface", "side": 640, "min_score": 0.3}}
    (face,) = plugins.build("stages.detectors", choice | {"overlap": 0.3})(portrait)
    assert face.score == 1.0
    assert len(face.landmarks) == 5


def test_a_part_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match="there is no part 'eyes'"):
        build(Config(first=LBP, second={"name": "eyes"}, overlap=0.3))
