"""Every near pair is found, whichever way; heads are those that the plain rule gives; links join what pairs join."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import neighbours
from stages.neighbours import Pairs, cosine_heads, cosine_nearest, cosine_pairs, heads, links, near_any, nearest, pairs


def apart(one, other):
    return sum((int(a) ^ int(b)).bit_count() for a, b in zip(one, other, strict=True))


def brute(words, radius, looks=()):
    """All near pairs and their distances, by the definition."""
    found = {}
    for one, other in itertools.combinations(range(len(words)), 2):
        forms = [apart(words[one], words[other])]
        forms += [apart(words[one], look[other]) for look in looks] + [apart(words[other], look[one]) for look in looks]
        if min(forms) <= radius:
            found[one, other] = min(forms)
    return found


def plain_heads(near, count):
    """The rule of ``heads``, word by word, over the distances of near pairs."""
    head = list(range(count))
    for row in range(count):
        staying = [(near[one, row], one) for one in range(row) if head[one] == one and (one, row) in near]
        if staying:
            head[row] = min(staying)[1]
    return head


def listed(blocks):
    blocks = list(blocks)
    found = [
        ((int(one), int(other)), float(far))
        for block in blocks
        for one, other, far in zip(block.left, block.right, block.apart, strict=True)
    ]
    assert len(found) == len(dict(found)), "a pair came twice"
    return dict(found)


@st.composite
def hash_tables(draw):
    """A few random hashes, and copies of them with a few bits turned, so that there is something near."""
    width = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    words = rng.integers(0, 2**64, (draw(st.integers(1, 8)), width), dtype=np.uint64)
    for _ in range(draw(st.integers(0, 20))):
        copy = words[rng.integers(len(words))].copy()
        for bit in rng.integers(0, 64 * width, draw(st.integers(0, 12))):
            copy[bit // 64] ^= np.uint64(1 << int(bit % 64))
        words = np.concatenate([words, copy[None]])
    return words[rng.permutation(len(words))]


RADII = st.integers(-1, 20)


@pytest.fixture(scope="module", params=["whole", "in small pieces"], autouse=True)
def pieces(request):
    """Run every test also with blocks so small that all borders lie within a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in small pieces":
            for name, size in {"BLOCK": 5, "CHUNK": 7, "STRIP": 2, "TILE": 3, "RUN": 4}.items():
                patch.setattr(neighbours, name, size)
        yield


@given(hash_tables(), RADII)
def test_pairs_are_all_near_pairs_once(words, radius):
    assert listed(pairs(words, radius)) == brute(words, radius)


@given(hash_tables(), st.integers(0, 20))
def test_bands_find_the_same_pairs_whether_they_are_shorter_or_not(words, radius):
    bounds = [64 * words.shape[1] * number // (radius + 1) for number in range(radius + 2)]
    cuts = [(start, min(end, start + 64)) for start, end in itertools.pairwise(bounds)]
    assert listed(neighbours._along_bands(words, radius, cuts)) == brute(words, radius)


@given(hash_tables(), RADII, st.integers(0, 2**32))
def test_what_is_near_in_another_look_is_near(words, radius, seed):
    mask = np.random.default_rng(seed).integers(0, 2**64, words.shape[1], dtype=np.uint64)
    looks = [words ^ mask]
    words = np.concatenate([words, looks[0][:2]])
    looks = [words ^ mask]
    near = brute(words, radius, looks)
    assert listed(pairs(words, radius, looks=looks)) == near
    assert heads(words, radius, looks=looks).tolist() == plain_heads(near, len(words))


@given(hash_tables(), RADII)
def test_each_row_goes_to_the_nearest_earlier_one_that_stays(words, radius):
    assert heads(words, radius).tolist() == plain_heads(brute(words, radius), len(words))


def test_a_chain_keeps_what_is_unlike_its_head():
    words = np.array([[0], [0b1111], [0b11111111]], dtype=np.uint64)
    assert heads(words, 4).tolist() == [0, 0, 2]


@given(hash_tables(), hash_tables(), RADII)
def test_near_any_is_near_one_of_those_listed(words, others, radius):
    width = min(words.shape[1], others.shape[1])
    words, others = words[:, :width], np.concatenate([others[:, :width], words[:1, :width]])
    found = near_any(words, others, radius).tolist()
    assert found == [any(apart(one, other) <= radius for other in others) for one in words]
    turned = near_any(words, others[:0], radius, looks=[others[:0]])
    assert not turned.any()


def test_a_row_near_another_look_of_a_listed_one_is_near():
    listed_ones, mask = np.array([[5]], dtype=np.uint64), np.uint64(0xFF00)
    words = np.array([[5], [5 ^ 0xFF00], [5 ^ 0xFF0000]], dtype=np.uint64)
    assert near_any(words, listed_ones, 1).tolist() == [True, False, False]
    assert near_any(words, listed_ones, 1, looks=[listed_ones ^ mask]).tolist() == [True, True, False]


@given(hash_tables(), hash_tables(), RADII, st.booleans())
def test_nearest_is_the_nearest_of_those_listed_and_of_equal_ones_the_first(words, others, radius, mirrored):
    width = min(words.shape[1], others.shape[1])
    words, others = words[:, :width], np.concatenate([others[:, :width], words[:1, :width]])
    looks = [others ^ np.uint64(0xFFFF)] if mirrored else []
    far = [[min(apart(one, form[place]) for form in (others, *looks)) for place in range(len(others))] for one in words]
    expected = [row.index(min(row)) if min(row) <= radius else -1 for row in far]
    assert nearest(words, others, radius, looks=looks).tolist() == expected


def test_by_bands_the_nearest_are_the_same(monkeypatch):
    words, _ = planted(300, 4, 3, np.random.default_rng(3))
    taken = []
    along = neighbours._along_bands
    monkeypatch.setattr(neighbours, "_along_bands", lambda *given: taken.append(1) or along(*given))
    found = nearest(words[:200], words[200:], 4)
    monkeypatch.setattr(neighbours, "_cuts", lambda *_: [])
    assert taken
    assert (found >= 0).sum() > 3
    assert nearest(words[:200], words[200:], 4).tolist() == found.tolist()


@pytest.mark.parametrize("count", [0, 1])
def test_none_and_one_have_no_neighbours(count):
    words = np.zeros((count, 4), dtype=np.uint64)
    assert listed(pairs(words, 64)) == {}
    assert heads(words, 64).tolist() == list(range(count))
    assert cosine_heads(np.ones((count, 3), dtype=np.float32), 0.5).tolist() == list(range(count))


def test_opposite_hashes_are_near_only_at_the_full_radius():
    words = np.array([[0] * 4, [2**64 - 1] * 4], dtype=np.uint64)  # 256 bits apart, which 8 bits cannot count
    assert listed(pairs(words, 255)) == {}
    assert listed(pairs(words, 256)) == {(0, 1): 256}


@given(st.lists(st.integers(0, 2**64 - 1), min_size=3, max_size=3), st.integers(0, 191), st.integers(1, 64))
def test_a_band_is_the_bits_from_its_first_to_its_last_across_words(row, start, length):
    end = min(start + length, 192)
    whole = sum(word << 64 * place for place, word in enumerate(row))
    (key,) = neighbours._band(np.array([row], dtype=np.uint64), (start, end))
    assert int(key) == (whole >> start) % 2 ** (end - start)


def planted(count, width, flips, rng):
    """Random hashes of which some are copies of others with ``flips`` bits turned, and the pairs of these."""
    words = rng.integers(0, 2**64, (count, width), dtype=np.uint64)
    order = rng.permutation(count)
    sources, copies = order[: count // 20], order[-(count // 20) :]
    words[copies] = words[sources]
    for copy in copies:
        for bit in rng.choice(64 * width, flips, replace=False):
            words[copy, bit // 64] ^= np.uint64(1 << int(bit % 64))
    return words, {tuple(sorted(pair)) for pair in zip(sources.tolist(), copies.tolist(), strict=True)}


@pytest.mark.parametrize(("width", "radius"), [(1, 4), (4, 10), (4, 40), (4, 64)])
def test_planted_pairs_are_found_at_the_very_radius_and_not_below(width, radius, pieces):
    words, truth = planted(600, width, radius, np.random.default_rng(7))
    assert set(listed(pairs(words, radius))) == truth
    assert set(listed(pairs(words, radius - 1))) == set()


def test_bands_are_taken_where_they_are_shorter_and_not_where_all_hashes_are_alike():
    words, _ = planted(4000, 4, 8, np.random.default_rng(0))
    assert len(neighbours._cuts(words, 8)) == 9
    assert neighbours._cuts(words, 64) == []
    assert neighbours._cuts(np.zeros_like(words), 8) == []


def test_where_near_pairs_are_too_many_to_hold_heads_are_the_same(monkeypatch):
    words, _ = planted(600, 1, 3, np.random.default_rng(1))
    expected = heads(words, 3)
    monkeypatch.setattr(neighbours, "HELD", 10)
    assert heads(words, 3).tolist() == expected.tolist()


def test_the_number_of_workers_changes_nothing(monkeypatch):
    words, _ = planted(300, 4, 30, np.random.default_rng(2))
    results = []
    for workers in ("1", "3"):
        monkeypatch.setenv("DARKROOM_WORKERS", workers)
        results.append([each.tolist() for block in pairs(words, 40) for each in block])
    assert results[0] == results[1]


VECTORS = st.lists(
    st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0, 2.0]), min_size=3, max_size=3), min_size=1, max_size=14
).map(lambda rows: np.array(rows, dtype=np.float32))


def cosines(vectors):
    """The cosine of every pair, by the definition; that of nothing is 0."""
    found = {}
    for one, other in itertools.combinations(range(len(vectors)), 2):
        a, b = vectors[one].astype(np.float64), vectors[other].astype(np.float64)
        length = float(np.linalg.norm(a) * np.linalg.norm(b))
        found[one, other] = round(float(a @ b) / length, 9) if length else 0.0
    return found


@given(VECTORS, st.sampled_from([-1.0, 0.0, 0.5, 0.9, 0.97, 1.0]))
def test_cosine_pairs_and_heads_are_those_of_the_definition(vectors, least):
    near = {pair: 1 - cosine for pair, cosine in cosines(vectors).items() if cosine >= least}
    found = listed(cosine_pairs(vectors, least))
    assert found == pytest.approx(near)
    assert cosine_heads(vectors, least).tolist() == plain_heads(found, len(vectors))


@given(VECTORS, VECTORS, st.sampled_from([-1.0, 0.0, 0.5, 0.9, 1.0]))
def test_the_nearest_by_cosine_is_that_of_the_definition(vectors, others, least):
    near = cosines(np.concatenate([vectors, others]))
    rows = [[near[row, len(vectors) + place] for place in range(len(others))] for row in range(len(vectors))]
    assert cosine_nearest(vectors, others, least).tolist() == [
        row.index(max(row)) if max(row) >= least else -1 for row in rows
    ]


def test_a_cosine_that_just_meets_the_bound_is_near():
    vectors = np.array([[1, 0], [0.6, 0.8]], dtype=np.float64).astype(np.float32)
    assert listed(cosine_pairs(vectors, 0.6)) == {(0, 1): pytest.approx(0.4)}
    assert listed(cosine_pairs(vectors, 0.6001)) == {}


def test_the_length_of_vectors_does_not_matter_and_what_has_none_is_like_nothing():
    vectors = np.array([[1, 2], [1e-20, 2e-20], [1e15, 2e15], [0, 0], [1e-40, 2e-40]], dtype=np.float32)
    assert set(listed(cosine_pairs(vectors, 0.999))) == {(0, 1), (0, 2), (1, 2)}


@given(hash_tables(), RADII)
def test_links_join_what_pairs_join_and_are_no_more_than_needed(words, radius):
    near, count = brute(words, radius), len(words)
    found = list(links(count, pairs(words, radius)))
    parts = components(count, near)
    assert components(count, found) == parts
    assert len(found) == count - len(set(parts))


def components(count, joined):
    colour = list(range(count))
    for one, other in joined:
        old, new = colour[one], colour[other]
        colour = [new if each == old else each for each in colour]
    first = {}
    return [first.setdefault(each, place) for place, each in enumerate(colour)]


def test_links_of_no_pairs_are_none():
    assert list(links(3, [])) == []
    assert list(links(0, [Pairs(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))])) == []
