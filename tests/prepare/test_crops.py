"""Which part of a picture is kept, for any picture, face and bucket."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stages import specimens
from stages.prepare.buckets import centre
from stages.prepare.crops import TEMPLATE, Config, aligned, around, crop, largest, saliency, salient, similarity
from stages.records import Region

SIDE = st.integers(1, 400)
BUCKET = st.tuples(st.integers(1, 12), st.integers(1, 12)).map(lambda sides: (8 * sides[0], 8 * sides[1]))
SHARE = st.floats(0, 1)


def region(left, top, width, height, score=1.0, landmarks=()):
    return Region(left=left, top=top, width=width, height=height, score=score, landmarks=landmarks)


@st.composite
def faces(draw):
    """Width and height of a picture, and a face inside it."""
    width, height = draw(SIDE), draw(SIDE)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return width, height, region(left, top, draw(st.integers(1, width - left)), draw(st.integers(1, height - top)))


def assert_sound(window, width, height, bucket):
    """It lies inside the picture and has the bucket's aspect to the pixel."""
    assert 0 <= window.left <= window.left + window.width <= width
    assert 0 <= window.top <= window.top + window.height <= height
    least = max((window.width - 1) / bucket[0], (window.height - 1) / bucket[1])
    most = min((window.width + 1) / bucket[0], (window.height + 1) / bucket[1])
    assert least <= most + 1e-9


@given(SIDE, SIDE, BUCKET)
def test_the_middle_is_as_large_as_can_be(width, height, bucket):
    window = centre(width, height, bucket)
    assert_sound(window, width, height, bucket)
    assert window.width == width or window.height == height
    assert abs(2 * window.left + window.width - width) <= 1
    assert abs(2 * window.top + window.height - height) <= 1


@given(faces(), BUCKET, SHARE)
def test_a_window_around_a_face_is_sound_and_holds_the_face_whenever_one_can(picture, bucket, margin):
    width, height, face = picture
    window = around(face, width, height, bucket, margin=margin)
    assert_sound(window, width, height, bucket)
    most = min(width / bucket[0], height / bucket[1])
    if face.width <= bucket[0] * most and face.height <= bucket[1] * most:
        assert window.left <= face.left
        assert window.top <= face.top
        assert face.left + face.width <= window.left + window.width
        assert face.top + face.height <= window.top + window.height


@given(faces(), BUCKET, SHARE)
def test_a_window_around_a_face_is_not_smaller_than_the_bucket_where_the_picture_is_not(picture, bucket, margin):
    width, height, face = picture
    assume(width >= bucket[0])
    assume(height >= bucket[1])
    window = around(face, width, height, bucket, margin=margin)
    assert window.width >= bucket[0]
    assert window.height >= bucket[1]


@pytest.mark.parametrize("bucket", [(16, 24), (56, 72), (48, 40)])
def test_rounding_cuts_no_face(bucket):
    for side in range(1, 300):
        window = around(region(5, 5, side, 1), 2000, 2000, bucket, margin=0.0)
        assert window.width >= side
        assert around(region(5, 5, 1, side), 2000, 2000, bucket, margin=0.0).height >= side


def test_more_margin_keeps_more():
    tight, wide = (around(region(90, 90, 20, 20), 400, 400, (8, 8), margin=margin) for margin in (0.0, 1.0))
    assert (tight.width, wide.width) == (20, 60)
    assert (wide.left, wide.top) == (70, 70)


def test_a_face_at_the_edge_moves_the_window_and_not_its_size():
    assert around(region(0, 380, 20, 20), 400, 400, (8, 8), margin=1.0) == (0, 340, 60, 60)


def test_the_largest_face_that_is_sure_enough_is_chosen():
    small, large, unsure = region(0, 0, 5, 5), region(9, 9, 8, 8), region(0, 0, 50, 50, 0.4)
    assert largest((small, unsure, large), min_score=0.5) == large
    assert largest((small, unsure, large), min_score=0.3) == unsure
    assert largest((unsure,), min_score=0.5) is None


@given(st.integers(1, 90), st.integers(1, 90), BUCKET, st.integers(0, 2**32 - 1))
def test_the_salient_window_is_sound_and_as_large_as_the_middle(width, height, bucket, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    window, middle = salient(pixels, bucket), centre(width, height, bucket)
    assert_sound(window, width, height, bucket)
    assert (window.width, window.height) == (middle.width, middle.height)


@pytest.mark.parametrize("place", [30, 150, 270])
def test_what_stands_out_is_kept(place):
    pixels = np.full((100, 300, 3), 128, dtype=np.uint8)
    cv2.circle(pixels, (place, 50), 20, (250, 30, 30), -1)
    window = salient(pixels, (64, 64))
    assert window.left <= max(0, place - 20)
    assert min(300, place + 20) <= window.left + window.width
    turned = salient(np.ascontiguousarray(pixels.swapaxes(0, 1)), (64, 64))
    assert turned.top <= max(0, place - 20) <= min(300, place + 20) <= turned.top + turned.height


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_where_nothing_stands_out_the_middle_is_kept(grey):
    assert salient(np.full((100, 300, 3), grey, dtype=np.uint8), (64, 64)) == centre(300, 100, (64, 64))


def test_saliency_is_brightest_where_the_odd_one_is():
    pixels = np.zeros((128, 128, 3), dtype=np.uint8)
    pixels[8::16, :] = 90
    cv2.circle(pixels, (96, 40), 6, (255, 255, 255), -1)
    stands_out = saliency(pixels)
    assert (stands_out.shape, stands_out.dtype, stands_out.max()) == ((64, 64), np.uint8, 255)
    row, column = np.unravel_index(stands_out.argmax(), stands_out.shape)
    assert math.hypot(row - 20, column - 48) < 8


@given(st.floats(0.1, 10), st.floats(-math.pi, math.pi), st.floats(-100, 100), st.floats(-100, 100))
def test_a_similarity_is_found_again(scale, angle, right, down):
    points = np.array(TEMPLATE)
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = points @ turn.T + (right, down)
    found = similarity(points, moved)
    assert found == pytest.approx(np.column_stack([turn, (right, down)]), abs=1e-6)


def test_a_mirrored_face_is_not_mirrored_back():
    points = np.array(TEMPLATE)
    found = similarity(points * (-1, 1), points)
    assert np.linalg.det(found[:, :2]) > 0


@pytest.mark.parametrize("bucket", [(64, 64), (96, 64), (64, 96)])
@pytest.mark.parametrize("angle", [0.0, 0.7, 3.0])
@pytest.mark.parametrize("size", [0.4, 3.0])
def test_eyes_nose_and_mouth_come_to_their_places(bucket, angle, size):
    turn = size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    marks = (np.array(TEMPLATE) - 56) @ turn.T + 300
    pixels = np.zeros((600, 600, 3), dtype=np.uint8)
    for x, y in marks:
        cv2.circle(pixels, (round(x), round(y)), max(3, round(6 * size)), (255, 255, 255), -1)
    face = region(200, 200, 200, 200, landmarks=tuple(map(tuple, marks.tolist())))
    upright, scale, _ = aligned(pixels, face, bucket, margin=0.25)
    side = min(bucket) / 1.5
    wanted = np.array(TEMPLATE) * side / 112 + (np.array(bucket) - side) / 2
    assert upright.shape == (bucket[1], bucket[0], 3)
    assert scale == pytest.approx(side / 112 / size)
    for x, y in wanted:
        assert upright[round(y), round(x)].min() > 150
    assert upright[2, 2].max() == 0


def test_a_large_face_comes_out_smooth():
    rows, columns = np.mgrid[:900, :900]
    chequered = np.repeat((255 * ((rows + columns) % 2)).astype(np.uint8)[..., None], 3, axis=2)
    marks = tuple((x * 7 + 60, y * 7 + 60) for x, y in TEMPLATE)
    upright, _, _ = aligned(chequered, region(60, 60, 780, 780, landmarks=marks), (64, 64), margin=0.0)
    assert np.abs(upright.astype(int) - 127).max() < 40


def test_an_aligned_photograph_has_its_nose_in_the_middle():
    astronaut = specimens.photograph("astronaut")
    marks = ((203.2, 101.7), (247.0, 104.5), (223.3, 125.1), (203.4, 142.3), (241.3, 144.4))  # by CenterFace
    face = region(182, 58, 88, 120, 0.93, marks)
    straight, _, _ = aligned(astronaut, face, (112, 112), margin=0.0)
    turned_marks = tuple((y, 511 - x) for x, y in marks)
    turned, _, _ = aligned(
        np.ascontiguousarray(np.rot90(astronaut)), region(0, 0, 9, 9, 1.0, turned_marks), (112, 112), margin=0.0
    )
    assert np.abs(straight.astype(int) - turned.astype(int)).mean() < 2


@pytest.mark.parametrize("mode", ["centre", "face", "saliency", "aligned"])
def test_every_mode_fills_the_bucket_and_says_what_is_lost(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 300, 3), dtype=np.uint8)
    face = region(10, 10, 40, 40, landmarks=((20.0, 20.0), (40.0, 20.0), (30.0, 30.0), (22.0, 40.0), (38.0, 40.0)))
    result = crop(pixels, (64, 64), face, Config(mode=mode, margin=0.5, min_score=0.5))
    assert (result.plain.shape, result.plain.dtype) == ((64, 64, 3), np.uint8)
    assert result.plain.flags.c_contiguous
    lost = {"centre": 2 / 3, "saliency": 2 / 3, "face": 1 - 80 * 80 / 30000}
    assert result.lost == pytest.approx(lost[mode]) if mode in lost else 0.5 < result.lost < 1


@pytest.mark.parametrize("mode", ["face", "aligned"])
def test_without_a_face_the_middle_is_kept(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (100, 300, 3), dtype=np.uint8)
    config = Config(mode=mode, margin=0.5, min_score=0.5)
    middle = crop(pixels, (64, 64), None, Config(mode="centre", margin=0.5, min_score=0.5))
    assert (crop(pixels, (64, 64), None, config).plain == middle.plain).all()


def test_a_face_without_landmarks_is_none_to_align_by():
    pixels = np.random.default_rng(0).integers(0, 256, (100, 300, 3), dtype=np.uint8)
    found = [
        crop(pixels, (64, 64), region(10, 10, 40, 40), Config(mode=mode, margin=0.5, min_score=0.5)).plain
        for mode in ("aligned", "centre")
    ]
    assert (found[0] == found[1]).all()


def test_an_aligned_face_says_where_its_middle_lies_in_the_scaled_picture():
    pixels = np.zeros((200, 300, 3), dtype=np.uint8)
    marks = tuple((100 + x, 60 + y) for x, y in TEMPLATE)  # upright already, at the template's own size
    config = Config(mode="aligned", margin=0.0, min_score=0.5)
    result = crop(pixels, (112, 112), region(100, 60, 112, 112, landmarks=marks), config)
    assert result.window == (0, 0, 112, 112)
    assert result.whole == pytest.approx((100, 60, 300, 200), abs=1)
    half = crop(pixels, (56, 56), region(100, 60, 112, 112, landmarks=marks), config)
    assert half.whole == pytest.approx((50, 30, 150, 100), abs=1)
