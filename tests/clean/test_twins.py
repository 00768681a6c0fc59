"""Of what shows the same the best stays, whatever the order of the rows."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import hashes
from stages.clean.twins import ByEmbedding, ByHash, merged, ranked
from stages.records import Quality

FACTS = {"format": "PNG", "sharpness": 9.0, "brightness": 99.0, "contrast": 9.0, "dark": 0.0, "bright": 0.0}
FACTS |= {
    "entropy": 7.0,
    "colourfulness": 9.0,
    "text": 0.0,
    "watermark": 0.0,
    "faces": (),
    "aesthetic": None,
    "nsfw": None,
}


def quality(id, *, digits="0" * 64, width=200, hash_quality=100):
    return Quality(id=id, width=width, height=100, hash=digits, hash_quality=hash_quality, **FACTS)


def near_duplicates(images, sizes, distance, *, looks="plain", min_quality=0):
    near = ByHash(distance=distance, looks=looks, min_quality=min_quality)
    return near.duplicates(ranked(images, sizes))


def lookalikes(images, sizes, vectors, least):
    return ByEmbedding(vectors=vectors, least=least).duplicates(ranked(images, sizes))


def ones(count):
    """A hash of which the lowest ``count`` bits are set."""
    return f"{(1 << count) - 1:064x}"


PICTURES = st.lists(
    st.tuples(st.integers(0, 256), st.integers(100, 103), st.integers(1, 3), st.sampled_from([49, 50, 100])),
    min_size=1,
    max_size=12,
)


@given(PICTURES, st.integers(-1, 60), st.randoms(use_true_random=False))
def test_those_that_stay_are_apart_and_those_that_go_are_near_one_that_stays(pictures, distance, random):
    facts = [
        quality(f"{n:02d}", digits=ones(bits), width=width, hash_quality=sure)
        for n, (bits, width, _, sure) in enumerate(pictures)
    ]
    sizes = {f"{n:02d}": size for n, (_, _, size, _) in enumerate(pictures)}
    bits = {f"{n:02d}": each[0] for n, each in enumerate(pictures)}
    unsure = {each.id for each in facts if each.hash_quality < 50}
    twins = near_duplicates(facts, sizes, distance, min_quality=50)
    staying = [each.id for each in facts if each.id not in twins]
    compared = [id for id in staying if id not in unsure]
    assert unsure <= set(staying)
    assert all(abs(bits[one] - bits[other]) > distance for one, other in itertools.combinations(compared, 2))
    assert all(other in compared and abs(bits[one] - bits[other]) <= distance for one, other in twins.items())
    rank = {each.id: place for place, each in enumerate(ranked(facts, sizes))}
    assert all(rank[other] < rank[one] for one, other in twins.items())
    random.shuffle(facts)
    assert near_duplicates(facts, sizes, distance, min_quality=50) == twins


def test_no_pictures_have_no_twins_and_no_lookalikes():
    assert near_duplicates([], {}, 40, looks="turned") == {}
    assert lookalikes([], {}, {}, 0.9) == {}


def grey(seed):
    """A smooth picture of random waves, uint8[64, 64], which has no symmetry."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:64, 0:64] / 64
    waves = sum(
        rng.normal() / (1 + p + q) * np.cos(np.pi * (p * x + q * y) + rng.uniform(0, 6))
        for p in range(7)
        for q in range(7)
    )
    return np.uint8(255 * (waves - waves.min()) / np.ptp(waves))


TURNS = {
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "half round": lambda image: np.rot90(image, 2),
    "left": np.rot90,
    "right": lambda image: np.rot90(image, 3),
    "along a diagonal": np.transpose,
    "along the other": lambda image: np.rot90(image, 2).T,
}


@pytest.mark.parametrize("turn", TURNS)
def test_copies_are_found_in_the_looks_that_are_asked_for(turn):
    copy = np.ascontiguousarray(TURNS[turn](grey(3)))
    facts = [
        quality("a", digits=hashes.pdq(grey(3)).digits),
        quality("b", digits=hashes.pdq(copy).digits),
        quality("c", digits=hashes.pdq(grey(4)).digits),
    ]
    sizes = dict.fromkeys("abc", 1)
    found = {looks: near_duplicates(facts, sizes, 40, looks=looks) for looks in ("plain", "mirrored", "turned")}
    assert found == {"plain": {}, "mirrored": {"b": "a"} if turn == "mirrored" else {}, "turned": {"b": "a"}}


def test_of_lookalikes_the_better_stays_and_what_has_no_embedding_stays_too():
    facts = [quality("a"), quality("b", width=300), quality("c"), quality("d")]
    vectors = {id: np.array(v, dtype=np.float32) for id, v in {"a": [2, 0.1], "b": [1, 0], "c": [0, 1]}.items()}
    assert lookalikes(facts, dict.fromkeys("abcd", 1), vectors, 0.9) == {"a": "b"}


def test_whose_stand_in_goes_later_is_given_the_last():
    assert merged({"c": "b", "d": "e"}, {"b": "a"}) == {"b": "a", "c": "a", "d": "e"}


COPIES = {"distance": 10, "looks": "plain", "min_quality": 50}


def test_a_copy_names_the_nearest_of_those_refused_and_is_not_compared_with_others():
    refused = [quality("r", digits=ones(20)), quality("s", digits=ones(8)), quality("t", hash_quality=49)]
    images = [quality("a", digits=ones(14)), quality("b", digits=ones(13)), quality("c", digits=ones(31))]
    images.append(quality("d", digits=ones(8), hash_quality=49))
    near = ByHash(**COPIES)
    assert near.copies(images, refused) == {"a": "r", "b": "s"}
    assert near.copies(images, []) == near.copies([], refused) == {}
    assert ByHash(**(COPIES | {"distance": -1})).copies(refused, refused) == {}


def test_a_mirrored_copy_of_a_refused_picture_is_one_where_mirrors_count():
    images = [quality("a", digits=hashes.pdq(np.ascontiguousarray(grey(3)[:, ::-1])).digits)]
    refused = [quality("r", digits=hashes.pdq(grey(3)).digits)]
    found = {
        looks: ByHash(distance=40, looks=looks, min_quality=0).copies(images, refused)
        for looks in ("plain", "mirrored")
    }
    assert found == {"plain": {}, "mirrored": {"a": "r"}}


def test_lookalikes_of_refused_pictures_are_found_and_what_has_no_embedding_is_none():
    vectors = {id: np.array(v, dtype=np.float32) for id, v in {"a": [2, 0.1], "r": [1, 0], "c": [0, 1]}.items()}
    near = ByEmbedding(vectors=vectors, least=0.9)
    assert near.copies([quality(id) for id in "abc"], [quality("r"), quality("s")]) == {"a": "r"}
    assert near.copies([quality("a")], []) == near.copies([], [quality("r")]) == {}
    assert ByEmbedding(vectors={}, least=0.9).copies([quality("a")], [quality("r")]) == {}
