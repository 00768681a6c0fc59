"""Tar files: what ``tarfile`` writes is read alike in each of its forms, and links are never followed."""

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from stages.crawl.archives import Broken, tars
from stages.errors import SourceError

LONG = "/".join(["folder" * 5] * 4) + "/picture.jpg"


def listed(content, most=1000):
    return list(tars.entries(io.BytesIO(content), most=most))


def header(name=b"a.jpg", kind=b"0", size=b"00000000001\0", **fields):
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = kind
    for place, value in fields.items():
        offset = int(place.removeprefix("at"))
        block[offset : offset + len(value)] = value
    block[148:156] = b"%06o\0 " % (sum(block) + 8 * 32)
    return bytes(block)


END = bytes(1024)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_tarfile_packs_is_read_alike(tarred, taken, form):
    files = {"a.jpg": b"A" * 1000, "ü/b.jpg": b"B" * 512, LONG: b"C", "empty.jpg": b""}
    assert taken(tarred(files, form=form)) == (files, {})


def test_folders_are_no_files(tarred, taken):
    assert taken(tarred({"d": {"type": tarfile.DIRTYPE}, "d/a.jpg": b"1"})) == ({"d/a.jpg": b"1"}, {})


def test_a_tar_older_than_ustar_is_read(taken):
    old = header(kind=b"\0") + b"1".ljust(512, b"\0") + header(name=b"d/", kind=b"\0", size=b"0") + END
    assert taken(old) == ({"a.jpg": b"1"}, {})


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (tarfile.SYMTYPE, "a symbolic link, no plain file"),
        (tarfile.LNKTYPE, "a hard link, no plain file"),
        (tarfile.CHRTYPE, "a device, no plain file"),
        (tarfile.FIFOTYPE, "a pipe, no plain file"),
        (tarfile.GNUTYPE_SPARSE, "of a special kind, no plain file"),
    ],
)
def test_what_is_no_plain_file_costs_only_itself(tarred, taken, kind, fault):
    content = tarred({"x.jpg": {"type": kind, "linkname": "/etc/passwd"}, "a.jpg": b"1"}, form=tarfile.GNU_FORMAT)
    assert taken(content) == ({"a.jpg": b"1"}, {"x.jpg": fault})


def test_a_sparse_file_of_pax_is_refused(taken):
    record = b"22 GNU.sparse.major=1\n"
    content = header(kind=b"x", size=b"%011o\0" % len(record)) + record.ljust(512, b"\0") + header() + bytes(512) + END
    assert taken(content) == ({}, {"a.jpg": "of a special kind, no plain file"})


def test_a_name_that_is_no_utf8_costs_only_itself(taken):
    content = header(name=b"\xff.jpg") + bytes(512) + header() + b"1".ljust(512, b"\0") + END
    assert taken(content) == ({"a.jpg": b"1"}, {"\\xff.jpg": "its name is not UTF-8 text"})


def test_a_name_too_long_for_any_file_system_costs_only_itself(tarred, taken):
    files, faults = taken(tarred({"x" * 4097: b"1", "y" * 4096: b"2"}))
    assert files == {"y" * 4096: b"2"}
    assert faults == {"x" * 4096: "its name has more than 4,096 bytes"}


def test_a_file_that_shrinks_while_it_is_read_is_broken(tarred):
    content = tarred({"a.jpg": b"1" * 100})
    (entry,) = listed(content)
    with pytest.raises(Broken, match="cut off"):
        tars.read(io.BytesIO(content[: entry.start + 50]), entry)


def test_the_last_of_two_notes_on_a_path_is_for_one_file_only(tarred):
    entries = listed(tarred({LONG: b"1", "a.jpg": b"2"}, form=tarfile.GNU_FORMAT))
    assert [entry.name for entry in entries] == [LONG, "a.jpg"]


@pytest.mark.parametrize(
    ("field", "number"),
    [
        (b"00000000017\0", 15),
        (b"     17 \0", 15),
        (b"\x80" + (2**40).to_bytes(11), 2**40),
        (b"\xff" * 12, -1),
        (b"00000000018\0", -1),
        (bytes(12), 0),
    ],
)
def test_numbers_are_octal_or_of_base_256_and_never_negative(field, number):
    assert tars._number(field) == number


def test_a_negative_size_ends_the_reading():
    with pytest.raises(Broken, match="cut off"):
        listed(header(size=b"\xff" * 12) + END)


def test_a_huge_size_ends_the_reading():
    with pytest.raises(Broken, match="cut off"):
        listed(header(size=b"\x80" + (2**60).to_bytes(11)) + END)


@pytest.mark.parametrize("record", [b"0 path=a\n", b"999 path=a\n", b"path=a\n", b"-3 path\n", b"\n" * 9, b"9" * 300])
def test_damaged_notes_end_the_reading(record):
    content = header(kind=b"x", size=b"%011o\0" % len(record)) + record.ljust(512, b"\0") + header() + bytes(512) + END
    with pytest.raises(Broken, match="a header of it is damaged"):
        listed(content)


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_a_note_too_long_to_be_one_is_not_read(kind):
    content = header(kind=kind, size=b"%011o\0" % 1_000_000) + bytes(1_000_448) + header() + bytes(512) + END
    with pytest.raises(Broken, match="has a header of 1,000,000 bytes; at most 65,536 are read"):
        listed(content)


def test_a_damaged_checksum_ends_the_reading():
    with pytest.raises(Broken, match="a header of it is damaged"):
        listed(header() + bytes(512) + header().replace(b"a.jpg", b"b.jpg") + END)


def test_more_entries_than_allowed_are_refused(tarred):
    content = tarred({f"{n}.jpg": b"1" for n in range(5)})
    assert len(listed(content, most=5)) == 5
    with pytest.raises(Broken, match=r"more than 4 files \(max_entries\)"):
        listed(content, most=4)


def test_what_follows_the_end_is_not_read(tarred, taken):
    assert taken(tarred({"a.jpg": b"1"}) + b"anything") == ({"a.jpg": b"1"}, {})


@pytest.mark.parametrize("kept", [512, 700, 1024, 1500])
def test_a_tar_that_is_cut_off_is_one_message(tarred, taken, kept):
    with pytest.raises(SourceError, match=r"archive: cut off.*; give a folder, or a whole ZIP"):
        taken(tarred({"a.jpg": b"1" * 600, "b.jpg": b"1"}, form=tarfile.USTAR_FORMAT)[:kept])


def test_a_block_of_zeros_or_of_text_is_no_tar():
    assert not tars.looks_like_one(bytes(512))
    assert not tars.looks_like_one(b"x" * 512)
    assert not tars.looks_like_one(header()[:511])
    assert tars.looks_like_one(header())


@how(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_changed_in_a_tar_it_is_read_or_refused(tarred, data):
    content = bytearray(tarred({LONG: b"A" * 50, "b.jpg": b"B" * 50})[:6144])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for start in range(0, len(content), 512):  # so that the changes are not all caught by a checksum
        block = content[start : start + 512]
        if len(block) == 512 and data.draw(st.booleans()):
            content[start + 148 : start + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    with suppress(Broken):
        for entry in listed(bytes(content)):
            assert len(tars.read(io.BytesIO(content), entry)) == entry.size
