"""A folder, ZIP or tar of one's own pictures: what is read, what is said of the rights, and what is refused."""

import io
import tarfile
import zipfile

import pytest

from stages.crawl.sources import Found, Missed, Visit, folder
from stages.crawl.sources.folder import Config, build
from stages.errors import SourceError
from stages.records import Evidence

LIMITS = {"max_total": 10**9, "max_ratio": 100, "max_entries": 1000}


@pytest.fixture
def bring(manners, tmp_path):
    """Put files into a folder, and give what the source brings of it."""

    def collect(files, path="own", **others):
        for name, content in files.items():
            place = tmp_path / path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(build(Config(path=path, **LIMITS))(Visit(manners=manners(**others), own=tmp_path, fresh_hours=1.0)))

    return collect


def archive(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def bring_zip(manners, tmp_path):
    """Write bytes as a ZIP file, and give what the source brings of it."""

    def collect(content, **others):
        (tmp_path / "own.zip").write_bytes(content)
        visit = Visit(manners=manners(**others), own=tmp_path, fresh_hours=1.0)
        return list(build(Config(path="own.zip", **LIMITS))(visit))

    return collect


def test_pictures_and_videos_are_brought_in_the_order_of_their_names(bring):
    found = bring({"b.jpg": b"2", "a/c.PNG": b"1", "film.mp4": b"3", "notes.md": b"4", "noending": b"5"})
    assert [(each.url, each.kind, each.body) for each in found] == [
        ("file:a/c.PNG", "image", b"1"),
        ("file:b.jpg", "image", b"2"),
        ("file:film.mp4", "video", b"3"),
    ]


def test_without_rights_a_picture_has_no_licence_and_its_name_for_a_title(bring):
    (found,) = bring({"my_old_cat.jpg": b"1"})
    assert (found.title, found.licence_evidence, found.consent, found.author) == ("my old cat", (), "", "")
    assert (found.page, found.alt, found.signals) == ("", "", ())


RIGHTS = """
"*":           {licence: CC-BY-4.0, author: Studio Lux}
"portraits/*": {consent: release-2026-07}
"lent.jpg":    {licence: CC-BY-NC-4.0, author: A. Friend, url: "https://example.org/lent", title: Lent}
"""


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("cat.jpg", "cat.png", True),
        ("cat.jpg", "Cat-Crop2.JPG", True),
        ("a/cat_crop_1.jpg", "a/cat_crop_2.jpg", True),
        ("cat - Copy.jpg", "cat copy (3).jpg", True),
        ("cat.jpg", "cat-edited-640x480.jpg", True),
        ("cat_Kopie 2.jpg", "cat-bearbeitet.jpg", True),
        ("cat.jpg", "a/cat.jpg", False),
        ("a/cat.jpg", "b/cat-crop.jpg", False),
        ("IMG_0001.jpg", "IMG_0002.jpg", False),
        ("cat (1).jpg", "cat (2).jpg", False),
        ("beach-1.jpg", "beach-2.jpg", False),
        ("crop 1.jpg", "crop 2.jpg", False),
        ("haircut1.jpg", "haircut2.jpg", False),
        ("a" * 300 + "-crop1.jpg", "a" * 300 + "-crop2.jpg", False),
    ],
)
def test_a_file_belongs_with_those_that_its_name_calls_copies_of_it(one, other, together):
    assert (folder._group(one) == folder._group(other)) is together


def test_no_name_takes_long_to_read():
    for stem in ("-copy" * 50 + "!", "-" * 255, "a-copy--" * 31, "a" + "-1x1" * 60):
        folder._group(f"{stem}.jpg")


def test_what_belongs_together_can_be_stated_and_a_statement_overrules_the_name(bring):
    stated = '"*": {group: ""}\n"shoot/*": {group: shoot}\n'
    files = {"rights.yaml": stated, "cat.jpg": b"1", "cat-crop.jpg": b"2", "shoot/a.jpg": b"3", "shoot/b.jpg": b"4"}
    assert {each.url: each.group for each in bring(files)} == {
        "file:cat.jpg": "",
        "file:cat-crop.jpg": "",
        "file:shoot/a.jpg": "shoot",
        "file:shoot/b.jpg": "shoot",
    }
    (named,) = bring({"rights.yaml": '"*": {author: Ann}', "cat.jpg": b"1"}, path="other")
    assert named.group == "file:cat"


def test_the_last_pattern_that_fits_wins_key_by_key(bring):
    found = bring({"rights.yaml": RIGHTS, "lent.jpg": b"1", "portraits/ann.jpg": b"2", "x.jpg": b"3"})
    lent, ann, other = found
    assert lent.licence_evidence == (Evidence(where="sidecar", raw="CC-BY-NC-4.0", scope="picture"),)
    assert (lent.author, lent.url, lent.title, lent.consent) == ("A. Friend", "https://example.org/lent", "Lent", "")
    assert (ann.author, ann.consent, ann.licence_evidence[0].raw) == ("Studio Lux", "release-2026-07", "CC-BY-4.0")
    assert (other.author, other.consent, other.title) == ("Studio Lux", "", "x")


def test_a_later_wide_pattern_wins_over_an_earlier_narrow_one(bring):
    (found,) = bring({"rights.yaml": '"a.jpg": {author: Ann}\n"*": {author: Bob}\n', "a.jpg": b"1"})
    assert found.author == "Bob"


def test_patterns_read_case_and_folders(bring):
    found = bring({"rights.yaml": '"A*.jpg": {author: Ann}\n', "a.jpg": b"1", "Ab.jpg": b"2", "d/Ac.jpg": b"3"})
    assert {each.url: each.author for each in found} == {"file:a.jpg": "", "file:Ab.jpg": "Ann", "file:d/Ac.jpg": ""}


def test_a_caption_written_by_hand_lies_beside_its_picture(bring):
    found = bring({"cat.jpg": b"1", "cat.txt": " A cat\n", "d/dog.png": b"2", "d/dog.txt": b"\xff dog", "e.jpg": b"3"})
    assert [each.alt for each in found] == ["A cat", "\ufffd dog", ""]


def test_a_zip_is_read_like_a_folder(bring, bring_zip):
    files = {"rights.yaml": RIGHTS, "lent.jpg": b"1", "portraits/ann.jpg": b"2", "portraits/ann.txt": b"Ann", "d/": b""}
    assert bring_zip(archive(files)) == bring({name: content for name, content in files.items() if name != "d/"})


def test_an_absolute_path_is_taken_as_it_is(manners, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"1")
    visit = Visit(manners=manners(), own=tmp_path / "other", fresh_hours=1.0)
    assert len(list(build(Config(path=str(tmp_path), **LIMITS))(visit))) == 1


def test_a_file_of_just_the_limit_is_brought_and_a_larger_one_missed(bring):
    small, large = bring({"a.jpg": b"x" * 1000, "b.jpg": b"x" * 1001}, max_bytes=1000)
    assert isinstance(small, Found)
    assert large == Missed(url="file:b.jpg", reason="more than 1,000 bytes (max_bytes)", forbidden=False)


def test_a_zip_bomb_is_missed_and_not_unpacked(bring_zip):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.jpg", b"\0" * 5_000_000)
    (missed,) = bring_zip(buffer.getvalue(), max_bytes=1_000_000)
    assert "more than 1,000,000 bytes" in missed.reason


def test_links_are_said_and_never_followed(bring, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "b.jpg").write_bytes(b"secret")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "own" / "linked").symlink_to(tmp_path / "secrets")
    *missed, found = bring({"a.jpg": b"1"})
    assert [(each.url, each.reason) for each in missed] == [
        ("file:link.jpg", "a link, which is not followed"),
        ("file:linked", "a link, which is not followed"),
    ]
    assert found.url == "file:a.jpg"


def test_a_folder_that_is_not_there_is_one_message(bring):
    with pytest.raises(SourceError, match=r"own: there is no such folder or archive; set crawl.sources.folder.path"):
        bring({})


@pytest.mark.parametrize(
    "name", ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "C:/a.jpg", "C:a.jpg", "..\\a.jpg", "\\a.jpg"]
)
def test_a_name_that_leads_out_of_a_zip_is_missed_and_the_others_brought(bring_zip, name):
    missed, found = bring_zip(archive({"good.jpg": b"1", name: b"2"}))
    assert (missed.url, missed.reason) == (f"file:{name}", "its name leads out of the archive")
    assert found.url == "file:good.jpg"


def test_dots_inside_a_name_lead_nowhere(bring_zip):
    assert len(bring_zip(archive({"a..b.jpg": b"1", "...jpg.jpg": b"2"}))) == 2


@pytest.mark.parametrize("cut", [lambda whole: b"", lambda whole: b"no ZIP", lambda whole: whole[: len(whole) // 2]])
def test_what_is_no_whole_zip_is_one_message(bring_zip, cut):
    with pytest.raises(
        SourceError, match=r"own.zip: no ZIP and no tar, or cut off; give a folder, or a whole ZIP, .tar"
    ):
        bring_zip(cut(archive({"a.jpg": b"1" * 1000})))


def test_a_damaged_picture_in_a_zip_is_missed_and_the_others_brought(bring_zip):
    whole = archive({"a.jpg": b"AAAA", "b.jpg": b"BBBB"})
    missed, found = bring_zip(whole.replace(b"AAAA", b"AXXA"))
    assert missed.url == "file:a.jpg"
    assert missed.reason == "damaged (its checksum is another)"
    assert found.body == b"BBBB"


def test_a_picture_behind_a_password_is_missed(bring_zip):
    whole = bytearray(archive({"a.jpg": b"AAAA"}))
    whole[6] |= 1  # the flag for encryption, in the file's header
    whole[whole.index(b"PK\x01\x02") + 8] |= 1  # and in the directory
    (missed,) = bring_zip(bytes(whole))
    assert "password" in missed.reason


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("a: [", "is not YAML"),
        ("\ta: b", "is not YAML"),
        (b"\xff\xff\xff", "is not YAML"),
        ("", "the file: Input should be a valid dictionary"),
        ("- a\n", "the file: Input should be a valid dictionary"),
        ('"*": CC0-1.0\n', r"\*: "),
        ('"*": {license: CC0-1.0}\n', r"\*\.license: there is no such key; each line"),
        ('"*": {licence: 4.0}\n', r"\*\.licence: Input should be a valid string"),
        ('"*": {licence: [CC0-1.0]}\n', r"\*\.licence: Input should be a valid string"),
        ("1: {licence: CC0-1.0}\n", "Input should be a valid string"),
    ],
)
def test_rights_that_cannot_be_read_are_one_message_with_file_and_fault(bring, content, fault):
    with pytest.raises(SourceError, match=rf"own/rights.yaml: .*{fault}") as caught:
        bring({"rights.yaml": content, "a.jpg": b"1"})
    assert "\n" not in str(caught.value)


def test_rights_with_a_wrong_key_name_the_remedy(bring):
    with pytest.raises(
        SourceError, match="each line maps a pattern of names to licence, author, title, url, consent or group"
    ):
        bring({"rights.yaml": '"*": {license: CC0-1.0}\n'})


def test_rights_are_found_inside_a_zip_and_its_faults_named(bring_zip):
    with pytest.raises(SourceError, match=r"own.zip/rights.yaml: is not YAML"):
        bring_zip(archive({"rights.yaml": "a: [", "a.jpg": b"1"}))


@pytest.fixture
def bring_tar(manners, tmp_path):
    """Pack files into a tar, and give what the source brings of it."""

    def collect(files, packer="", **others):
        with tarfile.open(tmp_path / "own.tar", f"w:{packer}") as made:
            for name, content in files.items():
                header = tarfile.TarInfo(name)
                header.size = len(content)
                made.addfile(header, io.BytesIO(content if isinstance(content, bytes) else content.encode()))
        visit = Visit(manners=manners(**others), own=tmp_path, fresh_hours=1.0)
        return list(build(Config(path="own.tar", **LIMITS))(visit))

    return collect


@pytest.mark.parametrize("packer", ["", "gz", "bz2", "xz"])
def test_a_tar_however_packed_is_read_like_a_folder(bring, bring_tar, packer):
    files = {"lent.jpg": b"1", "rights.yaml": RIGHTS.encode(), "portraits/ann.jpg": b"2", "portraits/ann.txt": b"Ann"}
    assert bring_tar({f"./{name}": content for name, content in files.items()}, packer) == bring(files)


def test_rights_in_a_deeper_folder_are_about_what_lies_there_and_go_first(bring):
    found = bring(
        {
            "a/b/rights.yaml": '"x.jpg": {author: Deep}\n',
            "a/rights.yaml": '"*": {author: Middle, licence: CC0-1.0}\n',
            "rights.yaml": '"*": {author: Top}\n',
            "a/b/x.jpg": b"1",
            "a/y.jpg": b"2",
            "x.jpg": b"3",
        }
    )
    assert [each.author for each in found] == ["Deep", "Middle", "Top"]
    assert [len(each.licence_evidence) for each in found] == [1, 1, 0]


def test_a_pattern_that_fits_no_picture_is_said(bring):
    missed, found = bring({"rights.yaml": '"cats/*": {consent: r1}\n"*": {author: Ann}\n', "cat/a.jpg": b"1"})
    assert (missed.url, missed.reason) == ("file:rights.yaml", "its pattern 'cats/*' fits no picture and no video")
    assert (found.author, found.consent) == ("Ann", "")


def test_a_caption_without_its_picture_is_said_and_papers_are_none(bring):
    missed, found = bring(
        {"a.jpg": b"1", "b.txt": b"a dog", "README.txt": b"read", "urls.txt": b"http://a.test/", "LICENSE.txt": b"free"}
    )
    assert (missed.url, missed.reason) == ("file:b.txt", "a caption without its picture")
    assert found.alt == ""


def test_an_archive_inside_is_said_and_not_opened(bring, bring_zip):
    inner = archive({"b.jpg": b"2"})
    for missed, found in (
        bring({"a.jpg": b"1", "more.zip": inner}),
        bring_zip(archive({"a.jpg": b"1", "more.zip": inner})),
    ):
        assert (missed.url, missed.reason) == ("file:more.zip", "an archive inside; name it in path, it is not opened")
        assert found.url == "file:a.jpg"


def test_what_macos_adds_to_a_zip_is_passed_over(bring_zip):
    (found,) = bring_zip(archive({"a.jpg": b"1", "__MACOSX/._a.jpg": b"2", "d/._b.jpg": b"3"}))
    assert found.url == "file:a.jpg"


def test_a_caption_too_large_to_be_one_is_said(bring):
    (missed,) = bring({"a.jpg": b"1", "a.txt": b"x" * 2_000_000})
    assert missed.reason == "its caption: more than 1,048,576 bytes (max_bytes)"


def test_rights_too_large_or_twice_there_are_one_message(bring, bring_zip):
    with pytest.raises(SourceError, match=r"own/rights.yaml: more than 1,048,576 bytes"):
        bring({"a.jpg": b"1", "rights.yaml": b"#" * 2_000_000})
    twice = archive({"rights.yaml": '"*": {licence: CC0-1.0}', "rightz.yaml": '"*": {licence: CC-BY-4.0}'})
    with pytest.raises(SourceError, match=r"own.zip/rights.yaml: 2 files of the archive have this name; without it"):
        bring_zip(twice.replace(b"rightz", b"rights"))


def test_rights_nested_without_end_are_one_message(bring):
    with pytest.raises(SourceError, match=r"own/rights.yaml: is not YAML"):
        bring({"rights.yaml": "[" * 50_000, "a.jpg": b"1"})


def test_the_order_does_not_depend_on_the_archive(bring_zip):
    files = {name: name.encode() for name in ("b.jpg", "a/z.jpg", "C.jpg", "a.jpg")}
    assert bring_zip(archive(files)) == bring_zip(archive(dict(reversed(files.items()))))


def test_names_that_differ_in_case_are_two_pictures(bring_zip):
    found = bring_zip(archive({"rights.yaml": '"A.jpg": {author: Ann}', "a.jpg": b"1", "A.jpg": b"2"}))
    assert [(each.url, each.body, each.author) for each in found] == [
        ("file:A.jpg", b"2", "Ann"),
        ("file:a.jpg", b"1", ""),
    ]


def test_a_mask_lies_beside_its_picture_and_is_none(bring):
    found = bring({"a/cat.jpg": b"1", "a/cat.mask.png": b"2", "dog.png": b"3", "cow.mask.png": b"4", "film.mp4": b"5"})
    assert [(each.url, each.body, each.mask) for each in found if isinstance(each, Found)] == [
        ("file:a/cat.jpg", b"1", b"2"),
        ("file:dog.png", b"3", b""),
        ("file:film.mp4", b"5", b""),
    ]
    assert [(each.url, each.reason) for each in found if isinstance(each, Missed)] == [
        ("file:cow.mask.png", "a mask without its picture")
    ]
