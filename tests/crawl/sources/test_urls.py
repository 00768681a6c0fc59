"""Lists of addresses in every form, and what is brought of them."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from stages.crawl import site
from stages.crawl.journal import Journal
from stages.crawl.sources import Found, Missed, Visit, urls
from stages.errors import SourceError
from stages.records import Evidence
from stages.web.client import Client

HOME = f"http://{site.HOST}"
NONE = dict.fromkeys(("page", "licence", "author", "title", "caption", "credit"), "")
RECORDS = [
    {
        "URL": f"{HOME}/a.jpg",
        "licence": "CC0-1.0",
        "who": "Ann Lee",
        "words": "a caf\u00e9, with a comma",
        "year": 1999,
    },
    {"URL": f"{HOME}/b.jpg", "licence": "", "who": None, "words": "", "year": 2000},
    {"URL": "", "licence": "CC0-1.0", "who": "nobody", "words": "", "year": 2001},
]
NAMED = NONE | {"url": "URL", "licence": "licence", "author": "who", "caption": "words"}


def picture(text):
    return site.Resource(body=text.encode(), type="image/jpeg")


SITE = {
    "/a.jpg": picture("a"),
    "/b.jpg": picture("b"),
    "/film.mp4": site.Resource(body=b"film", type="application/octet-stream"),
    "/page.html": site.Resource(body=b"<p>gone</p>", type="text/html; charset=utf-8"),
    "/robots.txt": site.Resource(body=b"User-agent: *\nDisallow: /no/\n", type="text/plain"),
    "/kept.jpg": site.Resource(body=b"kept", type="image/jpeg", headers=(("X-Robots-Tag", "noai"),)),
}


@pytest.fixture
def listed(manners, tmp_path):
    """What the addresses of a file bring."""

    def crawl(name, content, *, pages=SITE, columns=None, max_items=100):
        file = tmp_path / name
        file.write_bytes(content)
        config = urls.Config(path=name, columns=urls.Columns(**(columns or NONE | {"url": "url"})), max_items=max_items)
        with site.served(pages) as address:
            client = Client(manners(retries=0), connect_to={site.HOST: address})
            return list(urls.crawl(config, file, Journal(client, tmp_path / "journal", fresh_hours=1.0)))

    return crawl


def as_csv(separator):
    lines = [separator.join(["URL", "licence", "who", "words", "year"])]
    lines += [separator.join(f'"{"" if each is None else each}"' for each in record.values()) for record in RECORDS]
    return "\r\n".join(lines).encode()


def as_parquet(tmp_path):
    parquet.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "made.parquet")
    return (tmp_path / "made.parquet").read_bytes()


FORMS = {
    "list.csv": lambda _: as_csv(","),
    "marked.csv": lambda _: b"\xef\xbb\xbf" + as_csv(","),
    "list.tsv": lambda _: as_csv("\t"),
    "list.jsonl": lambda _: "\n\n".join(map(json.dumps, RECORDS)).encode(),
    "list.parquet": as_parquet,
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_a_table_brings_the_same(listed, tmp_path, name):
    first, second = listed(name, FORMS[name](tmp_path), columns=NAMED)
    assert (first.url, first.body, first.kind, first.alt) == (
        f"{HOME}/a.jpg",
        b"a",
        "image",
        "a caf\u00e9, with a comma",
    )
    assert (first.author, first.title, first.page, first.credit) == ("Ann Lee", "", first.url, "")
    assert first.licence_evidence == (Evidence(where="list", raw="CC0-1.0", scope="picture"),)
    assert (second.url, second.author, second.licence_evidence) == (f"{HOME}/b.jpg", "", ())


def test_plain_text_has_an_address_a_line(listed):
    found = listed("list.txt", f"# mine\n{HOME}/b.jpg\n\n  {HOME}/a.jpg  \r\n".encode())
    assert [each.url for each in found] == [f"{HOME}/b.jpg", f"{HOME}/a.jpg"]


def test_a_video_is_known_by_its_ending_where_its_type_says_nothing(listed):
    (found,) = listed("list.txt", f"{HOME}/film.mp4".encode())
    assert found.kind == "video"


def test_what_cannot_be_brought_is_missed_with_its_reason(listed):
    lines = [f"{HOME}/gone.jpg", f"{HOME}/page.html", f"{HOME}/no/a.jpg", "no address", f"ftp://{site.HOST}/a.jpg"]
    missed = listed("list.txt", "\n".join(lines).encode())
    assert [(each.reason, each.forbidden) for each in missed] == [
        ("answered 404 Not Found", False),
        ("is text/html; charset=utf-8, no picture", False),
        ("robots.txt forbids it", True),
        ("only http and https addresses are fetched", False),
        ("only http and https addresses are fetched", False),
    ]
    assert [each.url for each in missed] == lines


def test_a_password_in_an_address_is_sent_nowhere_and_written_nowhere(listed, tmp_path):
    found, missed = listed(
        "list.txt", f"http://me:secret@{site.HOST}/a.jpg\nhttp://me:secret@{site.HOST}/x.jpg".encode()
    )
    assert (found.url, missed.url) == (f"{HOME}/a.jpg", f"{HOME}/x.jpg")
    assert "secret" not in repr(found) + repr(missed)
    assert all(b"secret" not in file.read_bytes() for file in (tmp_path / "journal").rglob("*") if file.is_file())


def test_an_opt_out_of_the_answer_is_kept(listed):
    (found,) = listed("list.txt", f"{HOME}/kept.jpg".encode())
    assert [(each.kind, each.verdict, each.scope) for each in found.signals] == [("x-robots-tag", "deny", "picture")]


def test_no_more_addresses_are_read_than_allowed(listed):
    found = listed("list.txt", f"{HOME}/a.jpg\n{HOME}/b.jpg\n{HOME}/c.jpg".encode(), max_items=2)
    assert [each.url for each in found] == [f"{HOME}/a.jpg", f"{HOME}/b.jpg"]


def test_a_list_longer_than_one_helping_is_read_to_its_end(listed, monkeypatch):
    monkeypatch.setattr(urls, "AHEAD", 2)
    found = listed("list.txt", f"{HOME}/a.jpg\n".encode() * 5)
    assert len(found) == 5


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("list.csv", b"address,who\nhttp://a.test/,x\n", "has no column 'url', but 'address', 'who'; set columns.url"),
        ("list.csv", b'url\n"http://a.test/\n', "cannot be read as UTF-8 .csv"),
        ("list.csv", b"url\n\xff\xfe\n", "cannot be read as UTF-8 .csv"),
        ("list.jsonl", b'{"url": "http://a.test/"}\n{"url": \n', "list.jsonl:2: is no JSON object; give one"),
        ("list.jsonl", b"[1]\n", "list.jsonl:1: is no JSON object"),
        ("list.parquet", b"PAR1 not", "cannot be read as Parquet"),
        ("list.xlsx", b"", ".xlsx is no kind of list; give one of .txt, .csv, .tsv, .jsonl, .parquet"),
        ("list", b"", "no ending is no kind of list"),
    ],
)
def test_a_list_that_cannot_be_read_is_a_fault_that_says_what_would_be_right(listed, name, content, reason):
    with pytest.raises(SourceError) as caught:
        listed(name, content, pages={})
    assert reason in str(caught.value)


def test_a_relative_path_lies_below_the_users_own_folder(manners, tmp_path, monkeypatch):
    monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own").mkdir()
    (tmp_path / "own/list.txt").write_text("ftp://a.test/\n")
    visit = Visit(manners=manners(), own=tmp_path / "own", fresh_hours=1.0)
    config = urls.Config(path="list.txt", columns=urls.Columns(**NONE | {"url": "url"}), max_items=1)
    assert [type(each) for each in urls.build(config)(visit)] == [Missed]
    missing = urls.Config(path="other.txt", columns=config.columns, max_items=1)
    with pytest.raises(SourceError, match=r"other.txt: there is no such file; set crawl.sources.urls.path"):
        list(urls.build(missing)(visit))


def test_found_and_missed_are_all_there_is(listed):
    brought = listed("list.txt", f"{HOME}/a.jpg\n{HOME}/gone.jpg".encode())
    assert [type(each) for each in brought] == [Found, Missed]
