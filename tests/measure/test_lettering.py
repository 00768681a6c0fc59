"""Lettering: seen where it was drawn, not seen where there is none, and how often, so that the docstring stays true."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from stages import specimens
from stages.measure import lettering, signals

WORDS = ("Copyright Anna Smith", "SALE 50% OFF TODAY", "www.example-photos.com", "Read the manual first")
PLAIN = np.full((300, 400, 3), 120, dtype=np.uint8)


def crops():
    """66 parts of the photographs, 512 pixels long, always the same."""
    rng = np.random.default_rng(7)
    for name in specimens.PHOTOGRAPHS:
        whole = specimens.photograph(name)
        for _ in range(6):
            height, width = (int(length * rng.uniform(0.5, 1)) for length in whole.shape[:2])
            top, left = (int(rng.integers(0, more + 1)) for more in (whole.shape[0] - height, whole.shape[1] - width))
            scale = 512 / max(height, width)
            part = whole[top : top + height, left : left + width]
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            yield cv2.resize(part, None, fx=scale, fy=scale, interpolation=how)


@pytest.fixture(scope="module")
def clean():
    return list(crops())


def written(pixels, *, size, alpha=255, colour=255, edge=0, top=None, text=WORDS[0]):
    """``pixels`` with a line of ``text``: at the height ``top``, or else near the lower edge."""
    image = Image.fromarray(pixels).convert("RGBA")
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    where = (20, image.height - 2 * size if top is None else top)
    style = {"stroke_width": edge, "stroke_fill": (0, 0, 0, alpha)} if edge else {}
    font = ImageFont.load_default(size)
    ImageDraw.Draw(layer).text(where, text, font=font, fill=(colour,) * 3 + (alpha,), **style)
    return np.asarray(Image.alpha_composite(image, layer).convert("RGB"))


def seen(pixels):
    """The share of ``pixels`` under lettering, and how likely it is a mark."""
    grey = signals.grey(pixels)
    rows = lettering.lines(grey)
    return lettering.share(rows, grey), lettering.at_the_border(rows, grey)


def shares(pictures, **how):
    return [seen(written(each, text=WORDS[n % 4], **how))[0] for n, each in enumerate(pictures)]


def rate(values):
    return float(np.mean([value > 0 for value in values]))


def test_in_66_parts_of_photographs_no_letters_are_seen(clean):
    assert len(clean) == 66
    assert [seen(each) for each in clean] == [(0.0, 0.0)] * 66


def test_outlined_letters_are_always_seen(clean):
    assert rate(shares(clean, size=28, edge=2)) == 1.0


def test_white_letters_are_seen_in_three_of_five_at_least(clean):
    assert rate(shares(clean, size=16)) > 0.6
    assert rate(shares(clean, size=28)) > 0.6


def test_pale_letters_near_the_edge_are_seen_as_a_mark_in_two_of_five_at_least(clean):
    marks = [seen(written(each, size=24, alpha=160))[1] for each in clean]
    assert rate(marks) > 0.4


@pytest.mark.parametrize("colour", [0, 255])
@pytest.mark.parametrize("size", [12, 20, 40])
def test_on_a_plain_ground_letters_of_any_size_and_colour_are_seen(colour, size):
    assert seen(written(PLAIN, size=size, colour=colour, top=100))[0] > 0.001


def test_larger_letters_cover_more():
    found = [seen(written(PLAIN, size=size, top=100))[0] for size in (12, 20, 30)]
    assert found == sorted(found)
    assert found[0] < found[2] < 0.2


@pytest.mark.parametrize(("top", "mark"), [(4, True), (270, True), (140, False)])
def test_only_lettering_along_the_upper_or_lower_edge_may_be_a_mark(top, mark):
    text, likely = seen(written(PLAIN, size=16, top=top))
    assert text > 0
    assert (likely > 0.5) == mark


def test_a_page_is_full_of_letters():
    page = PLAIN.copy()
    for line in range(12):
        page = written(page, size=16, colour=0, top=5 + 24 * line, text=" ".join(WORDS[:2]))
    assert seen(page)[0] > 0.2
    assert len(lettering.lines(signals.grey(page))) >= 12


def test_a_few_letters_are_no_line():
    assert seen(written(PLAIN, size=20, text="Anna")) == (0.0, 0.0)


def test_a_column_of_letters_is_no_line():
    pixels = PLAIN
    for number, letter in enumerate("COPYRIGHT"):
        pixels = written(pixels, size=20, top=10 + 30 * number, text=letter)
    assert seen(pixels) == (0.0, 0.0)


def test_the_boxes_of_a_line_go_from_left_to_right_around_the_letters():
    row = max(lettering.lines(signals.grey(written(PLAIN, size=20, top=100))), key=len)
    assert len(row) >= lettering.LETTERS
    assert (np.diff(row[:, 0]) > 0).all()
    assert (row[:, 1] >= 98).all()
    assert (row[:, 1] + row[:, 3] <= 132).all()


def test_lines_that_overlap_count_once():
    box = np.array([[0, 0, 10, 10, 50]], dtype=np.int32)
    assert lettering.share([box, box], np.zeros((20, 20), dtype=np.uint8)) == 0.25


def test_nothing_is_written_on_what_is_flat():
    assert seen(PLAIN) == (0.0, 0.0)


@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(0, 2**32 - 1))
def test_any_noise_of_any_size_has_a_share_between_0_and_1(shape, seed):
    grey = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    rows = lettering.lines(grey)
    assert 0 <= lettering.share(rows, grey) <= 1
    assert 0 <= lettering.at_the_border(rows, grey) < 1


def test_as_many_blobs_as_can_be_are_counted():
    grey = np.zeros((520, 520), dtype=np.uint8)
    grey[::2, ::2] = 255  # 67,600 of them, more than 16 bits can number
    assert lettering.lines(grey) == []
