import hashlib
import io
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import shards
from stages.errors import TableError
from stages.shards import Place


def named(*contents):
    return {hashlib.sha256(content).hexdigest(): content for content in contents}


FILES = named(*(bytes([number % 256]) * (number * 37 % 1500) + str(number).encode() for number in range(60)))


def bytes_of(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=1100), max_size=6), st.sampled_from([1, 2]))
def test_what_is_written_is_read_back(tmp_path_factory, contents, digits):
    folder, files = tmp_path_factory.mktemp("shards"), named(*contents)
    places = shards.write(folder, files, digits=digits)
    assert {name: shards.read(folder, place) for name, place in places.items()} == files


def test_the_tar_module_finds_the_same_bytes_at_the_same_offsets(tmp_path):
    places, seen = shards.write(tmp_path, FILES, digits=1), 0
    for file in tmp_path.iterdir():
        with tarfile.open(file) as archive:
            for member in archive:
                place = places[member.name]
                assert (place.shard, place.offset, place.size) == (file.name, member.offset_data, member.size)
                assert archive.extractfile(member).read() == FILES[member.name] == shards.read(tmp_path, place)
                seen += 1
    assert seen == len(FILES) == 60


def test_members_are_sorted_and_say_nothing_of_who_wrote_them_and_when(tmp_path):
    shards.write(tmp_path, FILES, digits=1)
    for file in tmp_path.iterdir():
        with tarfile.open(file) as archive:
            members = archive.getmembers()
        assert [member.name for member in members] == sorted(member.name for member in members)
        facts = {(each.uid, each.gid, each.mtime, each.mode, each.uname, each.gname) for each in members}
        assert facts == {(0, 0, 0, 0o644, "", "")}


def test_a_shard_holds_the_names_that_begin_like_its_own(tmp_path):
    places = shards.write(tmp_path, FILES, digits=2)
    assert all(place.shard == f"shard-{name[:2]}.tar" for name, place in places.items())
    assert {file.name for file in tmp_path.iterdir()} == {place.shard for place in places.values()}


def test_the_same_files_in_any_order_give_the_same_bytes(tmp_path):
    one = shards.write(tmp_path / "one", FILES, digits=1)
    two = shards.write(tmp_path / "two", ((name, FILES[name]) for name in reversed(list(FILES))), digits=1)
    assert one == two
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_one_more_file_changes_one_shard(tmp_path):
    shards.write(tmp_path / "before", FILES, digits=1)
    shards.write(tmp_path / "after", FILES | named(b"one more"), digits=1)
    before, after = bytes_of(tmp_path / "before"), bytes_of(tmp_path / "after")
    assert [name for name in after if before.get(name) != after[name]] == [
        f"shard-{next(iter(named(b'one more')))[0]}.tar"
    ]


def test_no_files_make_an_empty_folder(tmp_path):
    assert shards.write(tmp_path / "new", {}, digits=1) == {}
    assert bytes_of(tmp_path / "new") == {}


def test_names_with_a_suffix_and_empty_contents_are_kept(tmp_path):
    places = shards.write(tmp_path, {"0a-00.png": b"", "0a-01.png": b"x"}, digits=1)
    assert [shards.read(tmp_path, place) for place in places.values()] == [b"", b"x"]
    with tarfile.open(tmp_path / "shard-0.tar") as archive:
        assert archive.getnames() == ["0a-00.png", "0a-01.png"]


def test_a_shard_is_a_whole_number_of_blocks_and_ends_as_tar_wants(tmp_path):
    shards.write(tmp_path, {"0a": b"x" * 513}, digits=1)
    content = (tmp_path / "shard-0.tar").read_bytes()
    assert len(content) % tarfile.RECORDSIZE == 0
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert archive.getmember("0a").size == 513


def test_the_bytes_are_what_they_always_were(tmp_path):
    shards.write(tmp_path, FILES, digits=1)
    whole = b"".join(content for _, content in sorted(bytes_of(tmp_path).items()))
    assert hashlib.sha256(whole).hexdigest() == "adf473585effd87665a28889f38e160ca27301d376d8180454624f2ea8426e37"


def test_a_writer_packs_when_it_is_left_and_its_places_are_those_of_all_files_at_once(tmp_path):
    with shards.Writer(tmp_path / "one by one", digits=1) as writer:
        for name in reversed(FILES):
            writer.add(name, FILES[name])
        assert bytes_of(tmp_path / "one by one") == {}
    assert writer.places == shards.write(tmp_path / "at once", FILES, digits=1)
    assert bytes_of(tmp_path / "one by one") == bytes_of(tmp_path / "at once")


def test_the_later_of_two_contents_of_a_name_stays(tmp_path):
    places = shards.write(tmp_path, [("0a", b"first"), ("0b", b"other"), ("0a", b"second")], digits=1)
    assert [shards.read(tmp_path, place) for place in places.values()] == [b"second", b"other"]


def test_an_error_while_writing_packs_nothing_and_leaves_the_old_shards(tmp_path):
    shards.write(tmp_path, {"0a": b"old"}, digits=1)
    before = bytes_of(tmp_path)
    files = ((name, {"0a": b"new"}[name]) for name in ("0a", "0b"))
    with pytest.raises(KeyError, match="0b"):
        shards.write(tmp_path, files, digits=1)
    assert bytes_of(tmp_path) == before


def test_memory_holds_one_content_and_never_all(tmp_path):
    content = bytes(1_000_000)
    tracemalloc.start()
    with shards.Writer(tmp_path, digits=1) as writer:
        for number in range(40):
            writer.add(f"{number % 16:x}{number}", content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(writer.places) == 40
    assert peak < 6_000_000


def test_a_missing_shard_says_how_to_get_it_back(tmp_path):
    with pytest.raises(TableError, match="there is no such shard; `dvc repro` or `dvc checkout` brings it back"):
        shards.read(tmp_path, Place(shard="shard-0.tar", offset=512, size=1))


def test_a_shard_that_is_cut_off_is_an_error_and_not_fewer_bytes(tmp_path):
    places = shards.write(tmp_path, {"0a": b"content"}, digits=1)
    (tmp_path / "shard-0.tar").write_bytes((tmp_path / "shard-0.tar").read_bytes()[:515])
    with pytest.raises(TableError, match=r"shard-0.tar: ends before byte 519"):
        shards.read(tmp_path, places["0a"])
