"""A folder or ZIP of one's own pictures: what is read, what is said of the rights, and what is refused."""

import io
import zipfile

import pytest

from stages.crawl.sources import Found, Missed, Visit
from stages.crawl.sources.folder import Config, build
from stages.errors import SourceError
from stages.records import Evidence


@pytest.fixture
def bring(manners, tmp_path):
    """Put files into a folder, and give what the source brings of it."""

    def collect(files, path="own", **others):
        for name, content in files.items():
            place = tmp_path / path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(build(Config(path=path))(Visit(manners=manners(**others), own=tmp_path, fresh_hours=1.0)))

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
        return list(build(Config(path="own.zip"))(visit))

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
    assert len(list(build(Config(path=str(tmp_path)))(visit))) == 1


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


def test_symlinks_are_passed_over(bring, tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "b.jpg").write_bytes(b"secret")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "own" / "linked").symlink_to(tmp_path / "secrets")
    assert [each.url for each in bring({"a.jpg": b"1"})] == ["file:a.jpg"]


def test_a_folder_that_is_not_there_is_one_message(bring):
    with pytest.raises(SourceError, match=r"own: there is no such folder or ZIP; set crawl.sources.folder.path"):
        bring({})


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "a/../../b.jpg", "/etc/a.jpg", "C:/a.jpg", "C:a.jpg", "..\\a.jpg", "\\a.jpg", "\\\\host\\a.jpg"],
)
def test_a_zip_with_a_name_that_leads_out_of_it_is_refused(bring_zip, name):
    with pytest.raises(
        SourceError, match=r"own.zip: holds .*, a name that leads out of it; make the ZIP anew"
    ) as caught:
        bring_zip(archive({"a.jpg": b"1", name: b"2"}))
    assert "\n" not in str(caught.value)


def test_dots_inside_a_name_lead_nowhere(bring_zip):
    assert len(bring_zip(archive({"a..b.jpg": b"1", "...jpg.jpg": b"2"}))) == 2


@pytest.mark.parametrize("cut", [lambda whole: b"", lambda whole: b"no ZIP", lambda whole: whole[: len(whole) // 2]])
def test_what_is_no_whole_zip_is_one_message(bring_zip, cut):
    with pytest.raises(SourceError, match=r"own.zip: not a ZIP file .*; give a folder or a whole ZIP"):
        bring_zip(cut(archive({"a.jpg": b"1" * 1000})))


def test_a_damaged_picture_in_a_zip_is_missed_and_the_others_brought(bring_zip):
    whole = archive({"a.jpg": b"AAAA", "b.jpg": b"BBBB"})
    missed, found = bring_zip(whole.replace(b"AAAA", b"AXXA"))
    assert missed.url == "file:a.jpg"
    assert "cannot be read from the ZIP (Bad CRC-32" in missed.reason
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
        ('"*": {license: CC0-1.0}\n', r"\*\.license: Unexpected keyword argument"),
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
        SourceError, match="each line maps a pattern of names to licence, author, title, url or consent"
    ):
        bring({"rights.yaml": '"*": {license: CC0-1.0}\n'})


def test_rights_are_found_inside_a_zip_and_its_faults_named(bring_zip):
    with pytest.raises(SourceError, match=r"own.zip/rights.yaml: is not YAML"):
        bring_zip(archive({"rights.yaml": "a: [", "a.jpg": b"1"}))
