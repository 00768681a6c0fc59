import cv2
import numpy as np
import pdqhash
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import specimens
from stages.hashes import distances, looks, pdq, words
from stages.measure import signals

GREYS = {
    name: cv2.cvtColor(specimens.photograph(name), cv2.COLOR_RGB2GRAY)
    for name in ("chelsea", "coffee", "rocket", "brick")
}
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)


def digits(grey):
    return pdq(grey).digits


def apart(one, other):
    first, second = words([digits(one), digits(other)])
    return int(distances(first, second[None])[0])


def reference(pixels):
    """What Meta's own code says: the hash as the hex digits that others exchange, and its quality."""
    bits, quality = pdqhash.compute(np.ascontiguousarray(pixels))
    return np.packbits(bits).tobytes().hex(), quality


def resized(pixels, size):
    return pixels if size is None else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("size", [None, (512, 512), (300, 200), (129, 257), (100, 90), (64, 64), (50, 40)])
@pytest.mark.parametrize("name", specimens.PHOTOGRAPHS)
def test_it_is_the_hash_of_the_reference(name, size):
    pixels = resized(specimens.photograph(name), size)
    ours, (theirs, quality) = pdq(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)), reference(pixels)
    far = (int(ours.digits, 16) ^ int(theirs, 16)).bit_count()
    assert far <= 4  # of the 10 that the reference allows at quality 80; ours has its grey rounded to whole numbers
    assert abs(ours.quality - quality) <= 1


@pytest.mark.parametrize("name", specimens.PHOTOGRAPHS)
def test_made_smaller_first_it_moves_no_more_than_the_reference_does_which_shrinks_large_pictures_too(name):
    large = cv2.resize(specimens.photograph(name), None, fx=2.6, fy=2.6, interpolation=cv2.INTER_CUBIC)
    ours = int(pdq(signals.grey(signals.smaller(large, side=512))).digits, 16)
    whole, shrunk = (int(reference(each)[0], 16) for each in (large, resized(large, (512, 512))))
    assert (ours ^ whole).bit_count() <= max(8, (shrunk ^ whole).bit_count() + 2)
    assert (ours ^ whole).bit_count() < 32 or name == "brick"  # 50: PDQ aliases fine grids, whoever computes it


@pytest.mark.parametrize("contrast", [0, 2, 6, 20, 60])
def test_the_quality_is_that_of_the_reference_from_flat_to_rich(contrast):
    noise = np.random.default_rng(1).normal(0, 1, (24, 24)).astype(np.float32)
    grey = np.clip(cv2.resize(noise, (512, 512), interpolation=cv2.INTER_CUBIC) * contrast + 128, 0, 255).astype(
        np.uint8
    )
    theirs = reference(np.stack([grey] * 3, axis=-1))[1]
    assert abs(pdq(grey).quality - theirs) <= 1


def test_a_flat_picture_has_no_quality():
    assert pdq(np.full((80, 60), 77, dtype=np.uint8)).quality == 0


def changed(grey, how):
    height, width = grey.shape
    return {
        "smaller": lambda: cv2.resize(grey, (width // 2, height // 2), interpolation=cv2.INTER_AREA),
        "squeezed": lambda: cv2.resize(grey, (width // 2, height), interpolation=cv2.INTER_AREA),
        "JPEG": lambda: cv2.imdecode(
            cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE
        ),
        "lighter": lambda: np.clip(grey * 0.9 + 15, 0, 255).astype(np.uint8),
        "blurred": lambda: cv2.GaussianBlur(grey, (0, 0), 1.5),
    }[how]()


@pytest.mark.parametrize("name", GREYS)
def test_a_hash_is_64_hex_digits_and_always_the_same(name):
    one = digits(GREYS[name])
    assert len(one) == 64
    assert int(one, 16)
    assert one == digits(GREYS[name].copy()) == digits(np.asfortranarray(GREYS[name]))


@pytest.mark.parametrize("name", GREYS)
def test_about_half_of_the_bits_are_set_because_the_median_parts_them(name):
    assert int(digits(GREYS[name]), 16).bit_count() == 128


@pytest.mark.parametrize("how", ["smaller", "squeezed", "JPEG", "lighter", "blurred"])
@pytest.mark.parametrize("name", GREYS)
def test_a_changed_copy_is_near(name, how):
    assert apart(GREYS[name], changed(GREYS[name], how)) < (60 if name == "brick" else 24)  # PDQ aliases fine grids


def test_other_pictures_are_far():
    names = sorted(GREYS)
    far = [apart(GREYS[one], GREYS[other]) for one in names for other in names if one < other]
    assert len(far) == 6
    assert min(far) > 80


def test_a_mirrored_picture_is_another():
    assert apart(GREYS["chelsea"], GREYS["chelsea"][:, ::-1]) > 80


@pytest.mark.parametrize("shape", [(1, 1), (1, 600), (7, 3), (64, 64)])
def test_any_size_has_a_hash(shape):
    grey = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert len(digits(grey)) == 64


@given(HASHES, st.lists(HASHES, max_size=6))
def test_a_distance_is_the_number_of_bits_that_differ(one, many):
    found = distances(words([one])[0], words(many))
    assert found.dtype == np.int64
    assert found.tolist() == [(int(one, 16) ^ int(other, 16)).bit_count() for other in many]


def test_words_keep_the_order_of_the_bits():
    assert words(["0" * 15 + "1" + "0" * 48]).tolist() == [[1, 0, 0, 0]]
    assert words([]).shape == (0, 4)


def test_the_farthest_two_hashes_are_256_bits_apart():
    assert distances(words(["f" * 64])[0], words(["0" * 64, "f" * 64])).tolist() == [256, 0]


TURNS = {
    "mirrored": lambda grey: grey[:, ::-1],
    "upside down": lambda grey: grey[::-1],
    "half round": lambda grey: np.rot90(grey, 2),
    "left": np.rot90,
    "right": lambda grey: np.rot90(grey, 3),
    "transposed": np.transpose,
    "transposed the other way": lambda grey: np.rot90(grey, 2).T,
}


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket"])
@pytest.mark.parametrize("turn", TURNS)
def test_one_of_the_looks_is_near_the_hash_of_the_turned_picture_and_the_others_are_not(name, turn):
    turned = words([digits(np.ascontiguousarray(TURNS[turn](GREYS[name])))])[0]
    far = sorted(int(distances(turned, look)[0]) for look in looks(words([digits(GREYS[name])]), "turned"))
    assert far[0] <= 24
    assert far[1] >= 88


@given(st.lists(HASHES, max_size=3))
def test_looks_are_seven_others_of_which_the_first_is_the_mirror(hashes):
    plain = words(hashes)
    assert looks(plain, "plain") == []
    turned = looks(plain, "turned")
    (mirrored,) = looks(plain, "mirrored")
    assert np.array_equal(turned[0], mirrored)
    assert np.array_equal(looks(mirrored, "mirrored")[0], plain)
    assert [look.shape for look in turned] == [plain.shape] * 7
    for row in range(len(plain)):
        assert len({tuple(look[row]) for look in [plain, *turned]}) in (4, 8)  # 4 for a hash that equals its transpose


@given(st.lists(HASHES, min_size=1, max_size=3))
def test_the_looks_of_a_look_are_the_same_eight(hashes):
    plain = words(hashes)
    eight = {look.tobytes() for look in [plain, *looks(plain, "turned")]}
    for look in looks(plain, "turned"):
        assert {each.tobytes() for each in [look, *looks(look, "turned")]} == eight
