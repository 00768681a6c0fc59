"""ZIP files: what ``zipfile`` writes is read alike, and one odd entry costs only itself."""

import io
import struct
import zipfile
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st

from stages.crawl.archives import Broken, zips
from stages.errors import SourceError


def listed(content, most=1000):
    return list(zips.entries(io.BytesIO(content), most=most))


def patched(content, signature, offset, new, which=0):
    """``content`` with bytes changed, ``offset`` bytes after a signature."""
    place = -1
    for _ in range(which + 1):
        place = content.index(signature, place + 1)
    return content[: place + offset] + new + content[place + offset + len(new) :]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_what_zipfile_packs_is_read_alike(zipped, taken, method):
    files = {"a.jpg": b"A" * 1000, "d/ü.jpg": bytes(range(256)) * 500, "empty.jpg": b""}
    assert taken(zipped(files, method)) == (files, {})


def test_folders_are_no_files(zipped, taken):
    assert taken(zipped({"d/": b"", "d/a.jpg": b"1"})) == ({"d/a.jpg": b"1"}, {})


def test_what_zipfile_streams_without_sizes_in_front_is_read(taken):
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.content = b""

        def writable(self):
            return True

        def write(self, part):
            self.content += bytes(part)
            return len(part)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.jpg", b"A" * 1000)
    assert taken(pipe.content) == ({"a.jpg": b"A" * 1000}, {})


def test_zip64_is_read(taken):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made, made.open("a.jpg", "w", force_zip64=True) as file:
        file.write(b"A" * 10)
    assert taken(buffer.getvalue()) == ({"a.jpg": b"A" * 10}, {})


def test_sizes_of_zip64_stand_in_its_extra_field():
    extra = struct.pack("<2HL", 9, 4, 0) + struct.pack("<2H3Q", 1, 24, 5_000_000_000, 4_900_000_000, 6_000_000_000)
    assert zips._wide(extra, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF) == (4_900_000_000, 5_000_000_000, 6_000_000_000)
    assert zips._wide(extra, 7, 0xFFFFFFFF, 8) == (7, 5_000_000_000, 8)
    assert zips._wide(b"\1\0\10\0", 7, 0xFFFFFFFF, 8) == (7, 0xFFFFFFFF, 8)  # cut off


def test_a_zip64_end_record_is_followed(zipped):
    content = zipped({"a.jpg": b"1"})
    end = content.index(b"PK\x05\x06")
    size, start = struct.unpack_from("<2L", content, end + 12)
    record = zips.END64.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, start)
    locator = zips.LOCATOR64.pack(b"PK\x06\x07", 0, end, 1)
    last = zips.END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert [entry.name for entry in listed(content[:end] + record + locator + last)] == ["a.jpg"]


def test_a_program_before_the_zip_and_a_comment_after_it_do_no_harm(zipped, taken):
    content = zipped({"a.jpg": b"1", "b.jpg": b"2"})
    commented = content[:-2] + struct.pack("<H", 5) + b"hello"
    assert taken(b"#!/bin/sh\n" + commented) == ({"a.jpg": b"1", "b.jpg": b"2"}, {})


def test_a_name_in_the_old_letters_of_dos_is_read(zipped, taken):
    content = zipped({"ae.jpg": b"1"}).replace(b"ae.jpg", b"\x84e.jpg")
    assert taken(content) == ({"äe.jpg": b"1"}, {})


def test_a_name_that_claims_utf8_and_is_not_costs_only_itself(zipped, taken):
    content = zipped({"ü.jpg": b"1", "b.jpg": b"2"}).replace("ü".encode(), b"\xff\xfe")
    assert taken(content) == ({"b.jpg": b"2"}, {"\\xff\\xfe.jpg": "its name is not UTF-8 text"})


def test_what_stands_behind_a_nul_in_a_name_is_not_lost(zipped, taken):
    content = zipped({"a.jpg_exe": b"1", "b.jpg": b"2"}).replace(b"a.jpg_exe", b"a.jpg\0exe")
    assert taken(content) == ({"b.jpg": b"2"}, {"a.jpg\\x00exe": "its name is empty or holds what is no text"})


def test_a_name_too_long_for_any_file_system_costs_only_itself(zipped, taken):
    files, faults = taken(zipped({"x" * 4097: b"1", "y" * 4096: b"2"}))
    assert files == {"y" * 4096: b"2"}
    assert faults == {"x" * 4096: "its name has more than 4,096 bytes"}


def test_a_link_is_no_file(zipped, taken):
    link = zipfile.ZipInfo("link.jpg")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    buffer = io.BytesIO(zipped({"a.jpg": b"1"}))
    with zipfile.ZipFile(buffer, "a") as made:
        made.writestr(link, "/etc/passwd")
    assert taken(buffer.getvalue()) == ({"a.jpg": b"1"}, {"link.jpg": "a link or device, no file"})


def test_a_password_or_an_unknown_method_costs_only_its_file(zipped, taken):
    content = zipped({"a.jpg": b"1", "b.jpg": b"2", "c.jpg": b"3"})
    content = patched(content, b"PK\x01\x02", 8, b"\1")
    content = patched(content, b"PK\x01\x02", 10, b"\x0e", which=1)
    files, faults = taken(content)
    assert files == {"c.jpg": b"3"}
    assert "password" in faults["a.jpg"]
    assert faults["b.jpg"] == "compressed by method 14; stored, deflate and bzip2 are read"


@pytest.mark.parametrize(
    ("signature", "offset", "new", "fault"),
    [
        (b"PK\x03\x04", 0, b"XX", "the directory points to no file"),
        (b"PK\x03\x04", 30, b"b", "it has two names"),
        (b"PK\x01\x02", 16, b"\0\0\0\0", "damaged .its checksum"),
        (b"PK\x01\x02", 24, b"\x09", "damaged .its checksum"),  # claims fewer bytes
        (b"PK\x01\x02", 24, b"\xff", "damaged .its checksum"),  # claims more
        (b"PK\x01\x02", 20, b"\x02", "damaged .its checksum"),  # cut off
        (b"PK\x03\x04", 35, b"\xff", "damaged"),
    ],
)
def test_a_file_that_is_not_what_the_directory_says_is_broken(zipped, signature, offset, new, fault):
    content = patched(zipped({"a.jpg": b"A" * 100}, zipfile.ZIP_DEFLATED), signature, offset, new)
    (entry,) = listed(content)
    with pytest.raises(Broken, match=fault):
        zips.read(io.BytesIO(content), entry)


def test_no_more_is_unpacked_than_a_file_claims(zipped):
    content = patched(
        zipped({"a.jpg": b"\0" * 5_000_000}, zipfile.ZIP_DEFLATED), b"PK\x01\x02", 24, struct.pack("<L", 10)
    )
    (entry,) = listed(content)
    assert sum(map(len, zips._unpacked(_at_content(content, entry), entry))) == 11


def _at_content(content, entry):
    stream = io.BytesIO(content)
    stream.seek(entry.start + zips.LOCAL.size + len(entry.raw))
    return stream


def test_files_that_share_their_bytes_are_refused(zipped, taken):
    content = zipped({"a.jpg": b"A" * 100, "b.jpg": b"B" * 100, "c.jpg": b"C"})
    start = content.index(b"PK\x03\x04", 1)
    overlapped = patched(content, b"PK\x01\x02", 42, struct.pack("<L", start))  # a.jpg lies where b.jpg lies
    fault = "its bytes are those of another file, too"
    assert taken(overlapped) == ({"c.jpg": b"C"}, {"a.jpg": fault, "b.jpg": fault})


def test_more_entries_than_allowed_are_refused_before_they_are_read(zipped):
    content = zipped({f"{n}.jpg": b"1" for n in range(5)})
    assert len(listed(content, most=5)) == 5
    with pytest.raises(Broken, match=r"holds 5 files, more than 4 \(max_entries\)"):
        listed(content, most=4)


@pytest.mark.parametrize("kept", [0, 1, 21, 100, -1, -22, -60])
def test_a_zip_that_is_cut_off_is_one_message(zipped, taken, kept):
    with pytest.raises(SourceError, match=r"archive: .*; give a folder, or a whole ZIP"):
        taken(zipped({"a.jpg": b"1" * 100})[:kept])


@how(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_changed_in_a_zip_it_is_read_or_refused(zipped, data):
    content = bytearray(zipped({"a.jpg": b"A" * 50, "b.jpg": b"B" * 50}, zipfile.ZIP_DEFLATED))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    with suppress(Broken):
        for entry in listed(bytes(content)):
            if not entry.fault and entry.size < 10_000:
                assert len(zips.read(io.BytesIO(content), entry)) == entry.size
