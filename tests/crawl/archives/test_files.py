"""Folders and archives alike: names to contents, and limits that hold whatever an archive claims."""

import bz2
import gzip
import io
import lzma
import os
import tempfile
import zipfile
from pathlib import Path

import pytest

from stages import machine
from stages.crawl.archives import Broken, Limits, files
from stages.errors import SourceError

LIMITS = Limits(total=10**9, ratio=100, entries=1000)
PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.fixture
def written(tmp_path):
    """Write bytes where an archive may lie."""

    def write(content):
        place = tmp_path / "archive"
        place.write_bytes(content)
        return place

    return write


def left_over():
    """All files below the test's cache folder."""
    return [path for path in machine.cache("crawl").rglob("*") if path.is_file()]


def test_a_folder_gives_the_same_as_a_zip_and_a_tar(tmp_path, zipped, tarred, taken):
    inside = {"a.jpg": b"1", "d/b.jpg": b"2", "d/e/c.txt": b"3"}
    for name, content in inside.items():
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_bytes(content)
    with files.opened(tmp_path / "own", LIMITS) as found:
        assert {name: found.read(name, limit=10) for name in found.names} == inside
    assert taken(zipped(inside)) == taken(tarred(inside)) == (inside, {})


@pytest.mark.skipif(os.name != "posix", reason="other file systems have no such names")
def test_a_name_in_a_folder_that_is_no_text_is_a_fault(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / os.fsdecode(b"\xff.jpg")).write_bytes(b"1")
    (tmp_path / "own" / "bell\a.jpg").write_bytes(b"2")
    with files.opened(tmp_path / "own", LIMITS) as found:
        assert found.names == frozenset()
        reason = "its name is empty or holds what is no text"
        assert found.faults == {"\\udcff.jpg": reason, "bell\\x07.jpg": reason}


def test_a_file_of_a_folder_that_is_gone_or_too_large_is_broken(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"12")
    (tmp_path / "b.jpg").write_bytes(b"12")
    with files.opened(tmp_path, LIMITS) as found:
        (tmp_path / "b.jpg").unlink()
        with pytest.raises(Broken, match=r"more than 1 bytes \(max_bytes\)"):
            found.read("a.jpg", limit=1)
        with pytest.raises(Broken, match=r"cannot be read .No such file"):
            found.read("b.jpg", limit=1)


@pytest.mark.parametrize(
    "name",
    ["../a", "a/../../b", "/etc/a", "//host/a", "C:/a", "C:a", "..\\a", "\\a", "\\\\host\\a", "a/..", "..", "a\n", "",
     "\x1b[2J", "gpj.\u202eexe", "a\u2028b", "\ud800"],
)  # fmt: skip
def test_names_that_lead_out_or_are_no_text_are_faults(name):
    assert files.name_fault(name)
    files.printable(name).encode()


@pytest.mark.parametrize(
    "name", ["a..b", "...a", "d/a", "ü", "a\u202fb \u00a0.png", "日本/写真", "👩\u200d🚀.jpg", "x" * 4096]
)
def test_names_that_people_give_are_none(name):
    assert files.name_fault(name) == ""
    assert files.printable(name) == name


def test_slip_names_of_either_kind_of_archive_reach_no_file_system(zipped, tarred, taken, tmp_path):
    inside = {"../../escaped.jpg": b"1", "/tmp/darkroom-escaped.jpg": b"2", "a.jpg": b"3"}
    for content in (zipped(inside), tarred(inside)):
        found, faults = taken(content)
        assert found == {"a.jpg": b"3"}
        assert set(faults) == {"../../escaped.jpg", "/tmp/darkroom-escaped.jpg"}
    assert [path.name for path in tmp_path.rglob("*")] == ["archive"]
    assert not Path("/tmp/darkroom-escaped.jpg").exists()


def test_a_name_that_stands_twice_is_not_brought_at_all(zipped, tarred, taken):
    content = zipped({"a.jpg": b"1", "z.jpg": b"2", "b.jpg": b"3"}).replace(b"z.jpg", b"a.jpg")
    twice = {"a.jpg": "2 files of the archive have this name"}
    assert taken(content) == ({"b.jpg": b"3"}, twice)
    assert taken(tarred({"a.jpg": b"1", "./a.jpg": b"2", "b.jpg": b"3"})) == ({"b.jpg": b"3"}, twice)


def test_names_that_differ_in_case_are_two(zipped, taken):
    assert taken(zipped({"a.jpg": b"1", "A.jpg": b"2"}))[0] == {"A.jpg": b"2", "a.jpg": b"1"}


def test_a_file_of_just_the_limit_is_read_and_a_larger_one_not(zipped, tarred, written):
    for content in (zipped({"a.jpg": b"x" * 10}), tarred({"a.jpg": b"x" * 10})):
        with files.opened(written(content), LIMITS) as found:
            assert len(found.read("a.jpg", limit=10)) == 10
            with pytest.raises(Broken, match=r"more than 9 bytes \(max_bytes\)"):
                found.read("a.jpg", limit=9)


def test_a_file_that_unpacks_to_too_many_times_its_bytes_is_not_unpacked(zipped, written):
    content = zipped({"a.jpg": b"\0" * (files.SLACK + 10**6)}, zipfile.ZIP_DEFLATED)
    with files.opened(written(content), LIMITS) as found, pytest.raises(Broken, match="more than 100 times its bytes"):
        found.read("a.jpg", limit=10**9)


def test_all_files_together_stay_within_the_total(zipped, written):
    content = zipped({"a.jpg": b"x" * 40, "b.jpg": b"x" * 40, "c.jpg": b"x" * 20})
    with files.opened(written(content), Limits(total=60, ratio=100, entries=10)) as found:
        found.read("a.jpg", limit=100)
        with pytest.raises(Broken, match=r"the archive unpacks to more than 60 bytes \(max_total\)"):
            found.read("b.jpg", limit=100)
        found.read("c.jpg", limit=100)


@pytest.mark.parametrize("packer", ["gz", "bz2", "xz"])
def test_a_packed_tar_in_several_streams_is_read_whole(tarred, taken, packer):
    content = tarred({"a.jpg": b"1" * 3000})
    parts = PACK[packer](content[:1000]) + PACK[packer](content[1000:])
    assert taken(parts) == ({"a.jpg": b"1" * 3000}, {})


@pytest.mark.parametrize("packer", ["gz", "bz2", "xz"])
def test_a_packed_bomb_is_not_unpacked_beyond_the_ratio_or_the_total(tarred, taken, packer, monkeypatch):
    written = []
    bomb = PACK[packer](tarred({"a.jpg": b"\0" * 3_000_000}))
    real = files._parts
    monkeypatch.setattr(files, "_parts", lambda *a: (written.append(len(part)) or part for part in real(*a)))
    with pytest.raises(SourceError, match=r"unpacks to more than 200,000 bytes \(max_total, max_ratio\)"):
        taken(bomb, total=200_000)
    assert sum(written) <= 200_000 + files.CHUNK
    with pytest.raises(SourceError, match="unpacks to more than 1,"):
        taken(bomb, ratio=1)
    assert left_over() == []


@pytest.mark.parametrize("packer", ["gz", "bz2", "xz"])
@pytest.mark.parametrize(
    "harm", [lambda whole: whole[:-10], lambda whole: whole[:40], lambda whole: whole[:30] + b"harm" + whole[34:]]
)
def test_a_packed_tar_that_is_damaged_or_cut_off_is_one_message(tarred, taken, packer, harm):
    content = PACK[packer](tarred({"a.jpg": os.urandom(2000)}))
    with pytest.raises(SourceError, match=r"archive: damaged or cut off .*; give a folder, or a whole ZIP") as caught:
        taken(harm(content))
    assert "\n" not in str(caught.value)


def test_an_xz_stream_that_asks_for_much_memory_is_refused(tarred, taken):
    content = lzma.compress(tarred({"a.jpg": b"1"}), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**28}])
    with pytest.raises(SourceError, match="Memory usage limit"):
        taken(content)


def test_what_is_packed_and_no_tar_is_one_message(zipped, taken):
    for content in (b"just text", zipped({"a.jpg": b"1"})):
        with pytest.raises(SourceError, match="archive: holds no tar, only something that gzip packed"):
            taken(gzip.compress(content))
    with pytest.raises(SourceError, match="archive: packed by zstd, which is not read"):
        taken(b"\x28\xb5\x2f\xfd" + bytes(100))


def test_a_full_disk_is_no_fault_of_the_archive(tarred, written, monkeypatch):
    class Full(io.BytesIO):
        def write(self, part):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with (
        pytest.raises(SourceError, match=r"cannot be read .No space left on device"),
        files.opened(written(gzip.compress(tarred({"a.jpg": b"1"}))), LIMITS),
    ):
        pass


def test_errors_of_those_who_read_are_not_taken_for_faults_of_the_archive(zipped, written):
    with pytest.raises(OSError, match="mine"), files.opened(written(zipped({"a.jpg": b"1"})), LIMITS):
        raise OSError("mine")


def test_nothing_is_left_over(tarred, taken):
    taken(tarred({"a.jpg": b"1"}, "gz"))
    assert left_over() == []
