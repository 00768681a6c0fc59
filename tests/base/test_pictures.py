import cv2
import numpy as np
import pytest

from stages import specimens
from stages.base import pictures
from stages.errors import ConfigError

DIGITS, LABELS = specimens.digits()
RESERVED = specimens.reserved_digits(LABELS)


def photographs(*names, views=5, min_crop=0.5, side=16, seed=0):
    return pictures.labelled("photographs", names, views=views, min_crop=min_crop, side=side, seed=seed)


def digits(*names, side=16):
    return pictures.labelled("digits", names, views=1, min_crop=1.0, side=side, seed=0)


def test_every_photograph_gives_its_views_with_its_words():
    labelled = photographs("coffee", "brick")
    assert [caption for _, caption in labelled] == ["a photo of a cup of coffee"] * 5 + ["a photo of a brick wall"] * 5
    assert all(view.shape == (16, 16, 3) and view.dtype == np.uint8 for view, _ in labelled)


def test_every_specimen_can_be_learned_from():
    labelled = photographs(*specimens.PHOTOGRAPHS, views=1)
    assert len({caption for _, caption in labelled}) == len(specimens.PHOTOGRAPHS) == 11


def test_views_differ_and_come_back_with_their_seed():
    one = np.stack([view for view, _ in photographs("coffee")])
    assert len({view.tobytes() for view in one}) == 5
    assert np.array_equal(one, np.stack([view for view, _ in photographs("coffee")]))
    assert not np.array_equal(one, np.stack([view for view, _ in photographs("coffee", seed=1)]))


def test_another_photograph_changes_no_views_of_the_first():
    one, other = photographs("coffee"), photographs("brick", "coffee")[5:]
    assert all(np.array_equal(mine, yours) for (mine, _), (yours, _) in zip(one, other, strict=True))


def test_a_full_crop_is_the_whole_short_side_mirrored_or_not():
    brick = specimens.photograph("brick")
    whole = cv2.resize(brick, (16, 16), interpolation=cv2.INTER_AREA)
    views = [view for view, _ in photographs("brick", min_crop=1.0, views=8)]
    assert all(np.array_equal(view, whole) or np.array_equal(view, whole[:, ::-1]) for view in views)
    assert {np.array_equal(view, whole) for view in views} == {True, False}


def test_of_the_astronaut_only_the_suit_is_seen():
    """Every view must be found somewhere in the suit's box: a side of 16 pixels leaves them whole enough for that."""
    left, top, right, bottom = specimens.PHOTOGRAPHS["astronaut"].known
    face_top, face_bottom = 60, 200  # rows of the face in the photograph of 512 x 512
    assert top >= face_bottom > face_top
    suit = specimens.crop(specimens.photograph("astronaut"), (left, top, right, bottom))
    for view, _ in photographs("astronaut", views=12, side=64):
        assert best_match(suit, view) > 0.95


def test_a_view_of_the_face_would_not_be_found_in_the_suit():
    astronaut = specimens.photograph("astronaut")
    suit = specimens.crop(astronaut, specimens.PHOTOGRAPHS["astronaut"].known)
    face = cv2.resize(specimens.crop(astronaut, (120, 20, 320, 220)), (64, 64), interpolation=cv2.INTER_AREA)
    assert best_match(suit, face) < 0.8


def best_match(where, view):
    """The highest correlation of ``view`` or its mirror image with any part of ``where`` at any crop's size."""
    short = min(where.shape[:2])
    best = -1.0
    for edge in range(short // 2 - 2, short + 1, 2):
        scale = len(view) / edge
        small = cv2.resize(where, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if min(small.shape[:2]) >= len(view):
            for one in (view, np.ascontiguousarray(view[:, ::-1])):
                best = max(best, float(cv2.matchTemplate(small, one, cv2.TM_CCOEFF_NORMED).max()))
    return best


def test_digits_have_their_own_captions():
    labelled = digits("seven", "zero")
    assert {caption for _, caption in labelled} == {"a handwritten digit seven", "a handwritten digit zero"}
    for digit, word in ((0, "zero"), (7, "seven")):
        expected = int(((digit == LABELS) & ~RESERVED).sum())
        assert sum(caption.endswith(word) for _, caption in labelled) == expected


def test_reserved_digits_are_never_used():
    seen = {picture.tobytes() for picture, _ in digits(*specimens.DIGITS)}
    learned = {picture.tobytes() for picture, held in zip(DIGITS, RESERVED, strict=True) if not held}
    reserved = {picture.tobytes() for picture, held in zip(DIGITS, RESERVED, strict=True) if held}
    assert seen == learned
    assert len(reserved - learned) > 500
    assert not seen & (reserved - learned)


def test_digits_are_enlarged_without_blur():
    picture, _ = digits("three", side=32)[0]
    assert picture.shape == (32, 32, 3)
    assert set(np.unique(picture)) <= set(np.unique(np.stack(DIGITS)))


@pytest.mark.parametrize(("kind", "name"), [("photographs", "moon"), ("photographs", "seven"), ("digits", "astronaut")])
def test_an_unknown_subject_is_an_error_with_those_that_are_known(kind, name):
    with pytest.raises(ConfigError, match=f"base.origin.subjects: no {name}; there are: "):
        pictures.labelled(kind, [name], views=1, min_crop=0.5, side=16, seed=0)
