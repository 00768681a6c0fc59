"""What is listed by digest or by hash never enters, and an entry that is none is named."""

import numpy as np
import pytest

from stages.clean.blocklist import FILE, Blocklist, blocked, read
from stages.errors import ConfigError
from stages.records import Frame, Quality
from stages.shards import Place

A, B, C, D = ("0" * 63 + digit for digit in "abcd")
FACTS = {"format": "PNG", "width": 9, "height": 9, "sharpness": 9.0, "brightness": 99.0, "contrast": 9.0, "dark": 0.0}
FACTS |= {"bright": 0.0, "entropy": 7.0, "colourfulness": 9.0, "text": 0.0, "watermark": 0.0, "faces": ()}
FACTS |= {"aesthetic": None, "nsfw": None, "hash_quality": 100}


def test_entries_come_from_the_settings_and_from_the_file(tmp_path):
    (tmp_path / FILE).write_text(f"# asked for by mail\n\nPDQ:{C.upper()}  # the logo\n{D}\nsha256:{A}\n")
    assert read(tmp_path, (f"sha256:{A}", B)) == Blocklist(digests=frozenset({A, B, D}), hashes=(C,))


def test_without_a_file_and_entries_nothing_is_listed(tmp_path):
    assert read(tmp_path / "none", ()) == Blocklist(digests=frozenset(), hashes=())


@pytest.mark.parametrize("entry", ["abc", f"md5:{A}", f"pdq:{A}0", f"pdq:{'g' * 64}", f"sha256: {A}"])
def test_an_entry_that_is_none_is_named_with_its_place(tmp_path, entry):
    with pytest.raises(
        ConfigError, match=rf"^clean.blocklist\[1\]: '{entry}' is no entry; write sha256: or pdq: and 64"
    ):
        read(tmp_path, (A, entry))
    (tmp_path / FILE).write_text(f"{A}\n\n{entry}\n")
    with pytest.raises(ConfigError, match=rf"{FILE}:3: '{entry}' is no entry"):
        read(tmp_path, ())


def frames(*ids, item=None):
    return [
        Frame(
            id=id,
            item=item or id,
            pts=0,
            time_base="",
            time_ms=0.0,
            store="crawl",
            place=Place(shard="s", offset=0, size=1),
        )
        for id in ids
    ]


def quality(id, digits):
    return Quality(id=id, hash=digits, **FACTS)


def test_a_digest_blocks_the_frame_or_all_stills_of_the_item():
    listed = Blocklist(digests=frozenset({A}), hashes=())
    assert blocked(frames(A, B), [], listed, distance=31) == {A}
    assert blocked(frames(B, C, item=A), [], listed, distance=31) == {B, C}


def hexed(bits):
    return np.packbits(bits).tobytes().hex()


def test_a_hash_blocks_what_is_near_it_up_to_the_distance_and_in_all_its_forms():
    bits = np.random.default_rng(0).integers(0, 2, 256, dtype=np.uint8)
    near, far = bits.copy(), bits.copy()
    near[:31] ^= 1
    far[:32] ^= 1
    transposed = bits.reshape(16, 16).T.ravel()
    facts = [quality(id, hexed(each)) for id, each in zip("abcd", (bits, near, far, transposed), strict=True)]
    listed = Blocklist(digests=frozenset(), hashes=(hexed(bits),))
    assert blocked(frames(*"abcd"), facts, listed, distance=31) == {"a", "b", "d"}
    assert blocked(frames(*"abcd"), facts, listed, distance=0) == {"a", "d"}
    assert blocked(frames(*"abcd"), facts, listed, distance=-1) == set()


def test_an_empty_list_blocks_nothing():
    assert (
        blocked(frames("a"), [quality("a", "0" * 64)], Blocklist(digests=frozenset(), hashes=()), distance=31) == set()
    )
