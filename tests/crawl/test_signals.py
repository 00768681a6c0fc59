"""What each signal says, by golden tables of raw values; the examples of the drafts are among them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.crawl import signals
from stages.records import Signal
from stages.web import robots

GENERATIVE, ANY, INDEX, TDM = "train-generative", "train-any", "index", "tdm"
A, D, U = "allow", "deny", "unknown"


def said(found):
    """Category to verdict."""
    return {each.category: each.verdict for each in found}


USAGE = [
    ("train-ai=n", {GENERATIVE: D}),
    ("train-ai=y", {GENERATIVE: A}),
    ("search=n", {INDEX: D}),
    ("search=y, train-ai=n", {INDEX: A, GENERATIVE: D}),
    ("train-ai=n,search=y", {INDEX: A, GENERATIVE: D}),
    ("  train-ai=n  ", {GENERATIVE: D}),
    ("train-ai=n;exception=1", {GENERATIVE: D}),
    ("train-ai=y, train-ai=n", {GENERATIVE: D}),
    ("train-ai=n, train-ai=y", {GENERATIVE: A}),
    ('train-ai=y, train-ai, search=n, search="n"', {GENERATIVE: U, INDEX: U}),
    ("train-ai", {GENERATIVE: U}),
    ("train-ai=?0", {GENERATIVE: U}),
    ("train-ai=?1", {GENERATIVE: U}),
    ('train-ai="n"', {GENERATIVE: U}),
    ("train-ai=N", {GENERATIVE: U}),
    ("train-ai=no", {GENERATIVE: U}),
    ("train-ai=0", {GENERATIVE: U}),
    ("train-ai=(n)", {GENERATIVE: U}),
    ("train-ai=n,", {GENERATIVE: U}),
    ("train-ai = n", {GENERATIVE: U}),
    ("TRAIN-AI=n", {}),
    ("tdm=n, other=y", {}),
    ("train-ai=n, other=(1 2);x, more=:aGk=:", {GENERATIVE: D}),
    ("", {}),
    ("\x00train-ai=n", {GENERATIVE: U}),
    ("train-ai=n\u00e9", {GENERATIVE: U}),
]


@pytest.mark.parametrize(("raw", "verdicts"), USAGE)
def test_content_usage(raw, verdicts):
    found = signals.content_usage(raw, layer="http", scope="picture")
    assert said(found) == verdicts
    assert {(each.raw, each.layer, each.kind, each.scope) for each in found} <= {
        (raw, "http", "content-usage", "picture")
    }


CONTENT_SIGNALS = [
    ("ai-train=no", {ANY: D}),
    ("ai-train=yes", {ANY: A}),
    ("search=yes, ai-train=no", {INDEX: A, ANY: D}),
    ("search=yes,ai-train=no", {INDEX: A, ANY: D}),
    ("ai-train=no, search=yes, ai-input=yes", {INDEX: A, ANY: D}),
    ("ai-input=no", {}),
    ("AI-Train=NO", {ANY: D}),
    ("ai-train = no", {ANY: D}),
    ("ai-train=maybe", {ANY: U}),
    ("ai-train", {ANY: U}),
    ("ai-train=", {ANY: U}),
    ("ai_train=no", {}),
    ("", {}),
]


@pytest.mark.parametrize(("raw", "verdicts"), CONTENT_SIGNALS)
def test_content_signal(raw, verdicts):
    found = signals.content_signal(raw, scope="site")
    assert said(found) == verdicts
    assert all((each.raw, each.layer, each.kind) == (raw, "site", "content-signal") for each in found)


TAGS = [  # the lines of the header, whether training is refused; fourteen of them trip other crawlers
    (["noai"], True),
    (["NoAI"], True),
    (["noimageai"], True),
    (["noml"], True),
    (["all"], False),
    (["otherbot: noai"], False),
    (["darkroom: noai"], True),
    (["DarkRoom: noai"], True),
    (["*: noai"], True),
    (["otherbot: nofollow, noai"], False),
    (["darkroom: nofollow, noai"], True),
    (["nofollow", "noai"], True),
    (["otherbot: noai", "darkroom: noai"], True),
    (["otherbot: nofollow", "noai"], True),
    (["otherbot: noai", "nofollow"], False),
    (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], True),
    (["unavailable_after: Wed, 25 Jun 2030 15:00:00 GMT, noai"], True),
    (["max-image-preview:large, noai"], True),
    (["max-snippet:20"], False),
    (["otherbot: max-snippet:20, noai"], False),
    (["otherbot: noai, darkroom: noai"], True),
    (["darkroom: noindex, otherbot: noai"], False),
    (["darkroom2: noai"], False),
    (["noaisle"], False),
    ([""], False),
    ([",,:,"], False),
]


@pytest.mark.parametrize(("lines", "refused"), TAGS)
def test_x_robots_tag(lines, refused):
    raw = "\n".join(lines)
    found = signals.x_robots_tag(raw, agent="Darkroom", scope="picture")
    refusals = [each for each in found if each.category == ANY]
    expected = Signal(layer="http", kind="x-robots-tag", raw=raw, verdict=D, category=ANY, scope="picture")
    assert refusals == ([expected] if refused else [])


METAS = [
    ("robots", "noai", {ANY: D}),
    ("ROBOTS", "NOAI, NOIMAGEAI", {ANY: D}),
    ("robots", "noindex", {INDEX: D}),
    ("robots", "none", {INDEX: D}),
    ("robots", "noimageindex, noml", {INDEX: D, ANY: D}),
    ("robots", "index, follow", {}),
    ("robots", "max-image-preview:large", {}),
    ("Darkroom", "noai", {ANY: D}),
    ("googlebot", "noai", {}),
    ("author", "noai", {}),
    ("", "noai", {}),
]


@pytest.mark.parametrize(("name", "content", "verdicts"), METAS)
def test_meta_robots(name, content, verdicts):
    assert said(signals.meta_robots(name, content, agent="darkroom")) == verdicts


RULES = [
    {"location": "/art/free/*", "tdm-reservation": 0},
    {"location": "/art/", "tdm-reservation": 1, "tdm-policy": "https://example.org/policy.json"},
    {"location": "/*.jpg$", "tdm-reservation": 1},
    {"location": "/odd/", "tdm-reservation": "1"},
    {"location": "/odd/", "tdm-reservation": 1},
    {"location": "/true/", "tdm-reservation": True},
    {"location": "/two/", "tdm-reservation": 2},
    {"tdm-reservation": 1},
    "no rule",
    {"location": 3, "tdm-reservation": 1},
    {"location": "", "tdm-reservation": 1},
    {"location": "/late", "tdm-reservation": 1},
]
LOCATIONS = [
    ("/art/a.html", ("1", "/art/")),
    ("/art/free/a.html", ("0", "/art/free/*")),
    ("/b/c.jpg", ("1", "/*.jpg$")),
    ("/b/c.jpg?d", None),
    ("/odd/a", None),
    ("/true/a", None),
    ("/two/a", None),
    ("/", None),
    ("/late", ("1", "/late")),
]


@pytest.mark.parametrize(("target", "rule"), LOCATIONS)
def test_the_first_location_of_tdmrep_json_that_matches_counts(target, rule):
    assert signals.tdm_rule(json.dumps(RULES).encode(), target) == rule


@pytest.mark.parametrize("content", [b"", b"{}", b"[", b"1", b"null", b"\xff", b"[" * 100_000, b'{"location": "/"}'])
def test_a_tdmrep_json_that_is_none_says_nothing(content):
    assert signals.tdm_rule(content, "/a") is None


TDM_PLACES = [  # file, header, meta; the verdicts of those that were found
    ("", "", "", []),
    ("1", "", "", [D]),
    ("0", "", "", [A]),
    ("", "1", "", [D]),
    ("", "0", "", [A]),
    ("", "", "1", [D]),
    ("1", "0", "", [U, A]),
    ("0", "1", "", [U, D]),
    ("1", "", "0", [U, A]),
    ("", "1", "0", [U, A]),
    ("0", "0", "1", [U, U, D]),
    ("1", "1", "0", [U, U, A]),
    ("1", "yes", "", [D, U]),
    ("", "1", "true", [D, U]),
    ("", "yes", "", [U]),
    ("1", "0", "2", [U, A, U]),
]


@pytest.mark.parametrize(("file", "header", "meta", "verdicts"), TDM_PLACES)
def test_a_reservation_is_read_from_the_file_then_the_header_then_the_page(file, header, meta, verdicts):
    found = signals.tdm(file=(file, "/a/") if file else None, header=header, meta=meta, scope="page")
    assert [each.verdict for each in found] == verdicts
    assert [each.raw for each in found] == [raw for raw in (file, header, meta) if raw]
    layers = zip(("site", "http", "html"), (file, header, meta), strict=True)
    assert [each.layer for each in found] == [layer for layer, raw in layers if raw]
    assert {each.category for each in found} <= {TDM}


@pytest.mark.parametrize(("location", "scope"), [("/", "site"), ("*", "site"), ("/*", "site"), ("/a/", "picture")])
def test_a_rule_for_the_root_is_about_the_whole_site(location, scope):
    (found,) = signals.tdm(file=("1", location), header="", meta="", scope="picture")
    assert found.scope == scope


AI_TXT = [
    ("User-Agent: *\nDisallow: *.jpg\n", "/a/b.jpg", D, "Disallow: *.jpg"),
    ("User-Agent: *\nDisallow: *.jpg\n", "/a/b.png", None, ""),
    ("User-Agent: *\nDisallow: /\nAllow: *.png\n", "/b.png", A, "Allow: *.png"),
    ("User-Agent: *\nDisallow: /\n", "/b.png", D, "Disallow: /"),
    ("User-Agent: *\nDisallow: *.jpg$\nDisallow: *.png$\n", "/b.png", D, "Disallow: *.png$"),
    ("User-Agent: Darkroom\nAllow: /\nUser-Agent: *\nDisallow: /\n", "/b.png", A, "Allow: /"),
    ("User-Agent: Other\nDisallow: /\n", "/b.png", None, ""),
    ("<!doctype html><p>Not found</p>", "/b.png", None, ""),
    ("", "/b.png", None, ""),
]


@pytest.mark.parametrize(("text", "target", "verdict", "raw"), AI_TXT)
def test_ai_txt(text, target, verdict, raw):
    found = signals.ai_txt(text.encode(), target, agent="Darkroom", scope="picture")
    assert [(each.verdict, each.raw, each.category) for each in found] == ([(verdict, raw, ANY)] if verdict else [])


def licence(inner, url="/"):
    return f'<rsl xmlns="https://rslstandard.org/rsl"><content url="{url}"><license>{inner}</license></content></rsl>'


PERMITS, PROHIBITS = '<permits type="usage">{}</permits>', '<prohibits type="usage">{}</prohibits>'
RSL = [
    (licence(PROHIBITS.format("train-ai")), D),
    (licence(PROHIBITS.format("ai-train")), D),
    (licence(PROHIBITS.format("search, ai-train")), D),
    (licence(PROHIBITS.format("search ai-all")), D),
    (licence(PROHIBITS.format("all")), D),
    (licence(PROHIBITS.format("search")), U),
    (licence(PERMITS.format("train-ai")), A),
    (licence(PERMITS.format("all") + '<payment type="free"/>'), A),
    (licence(PERMITS.format("train-ai") + '<payment type="subscription"/>'), U),
    (licence(PERMITS.format("train-ai") + "<payment/>"), U),
    (licence(PERMITS.format("search")), U),
    (licence(PERMITS.format("train-ai") + PROHIBITS.format("train-ai")), D),
    (licence('<prohibits type="geo">US</prohibits>'), U),
    (licence(PROHIBITS.format("train-ai"), url="/other/"), U),
    (licence(PROHIBITS.format("train-ai"), url="/a/*.jpg"), D),
    (licence(PROHIBITS.format("train-ai"), url="https://example.org/a/"), D),
    (licence(PERMITS.format("all")) + licence(PROHIBITS.format("train-ai")), D),
    (licence(PROHIBITS.format("train-ai")) + licence(PERMITS.format("all")), D),
    ("", U),
    ("<html>not here</html>", U),
    ('<!DOCTYPE x [<!ENTITY a "' + "x" * 100 + '">]>' + licence(PERMITS.format("&a;" * 1000)), U),
]


@pytest.mark.parametrize(("xml", "verdict"), RSL)
def test_rsl(xml, verdict):
    found = signals.rsl("https://example.org/l.xml", xml.encode(), "/a/b.jpg", layer="site", scope="site")
    assert found == (
        Signal(layer="site", kind="rsl", raw="https://example.org/l.xml", verdict=verdict, category=ANY, scope="site"),
    )


LINKS = [
    ('<https://e.org/l.xml>; rel="license"; type="application/rsl+xml"', ["https://e.org/l.xml"]),
    ("</l.xml>; rel=license; type=application/rsl+xml", ["/l.xml"]),
    ('<https://e.org/cc>; rel="license"', []),
    ('<https://e.org/l.xml>; rel="next"; type="application/rsl+xml"', []),
    ('<a>; rel="next", <b>; rel="license"; type="application/rsl+xml", <c>; rel="prev"', ["b"]),
    ("", []),
]


@pytest.mark.parametrize(("link", "addresses"), LINKS)
def test_a_link_header_names_rsl_licences(link, addresses):
    assert signals.rsl_links({"link": link}) == addresses


DRAFT = """User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: / train-ai=n
Content-Usage: /ai-ok/ train-ai=y

User-Agent: ExampleBot
Allow: /
Content-Usage: / train-ai=y
"""
ROBOTS = [  # robots.txt, agent, target, verdicts of training, raw values
    (DRAFT, "Darkroom", "/test", {GENERATIVE: D}, ["train-ai=n"]),
    (DRAFT, "Darkroom", "/ai-ok/test", {GENERATIVE: A}, ["train-ai=y"]),
    (DRAFT, "ExampleBot", "/test", {GENERATIVE: A}, ["train-ai=y"]),
    ("User-agent: *\nContent-Usage: train-ai=n\n", "Darkroom", "/a", {GENERATIVE: D}, ["train-ai=n"]),
    ("User-agent: *\nContent-Usage: /a\ttrain-ai=n\n", "Darkroom", "/a", {GENERATIVE: D}, ["train-ai=n"]),
    ("User-agent: *\nContent-Usage: /b train-ai=n\n", "Darkroom", "/a", {}, []),
    ("User-agent: *\nContent-Usage: /*.jpg$ train-ai=n\n", "Darkroom", "/a.jpg", {GENERATIVE: D}, ["train-ai=n"]),
    ("User-agent: *\nContent-Usage: /caf%C3%A9 train-ai=n\n", "Darkroom", "/caf\u00e9", {GENERATIVE: D}, ["train-ai=n"]),
    ("User-agent: Other\nContent-Usage: train-ai=n\n", "Darkroom", "/a", {}, []),
    ("Content-Usage: train-ai=n\nUser-agent: *\n", "Darkroom", "/a", {}, []),
    ("User-agent: *\nContent-Signal: search=yes,ai-train=no\nAllow: /\n", "Darkroom", "/a", {ANY: D, INDEX: A}, None),
    ("User-agent: *\nContent-Signal: /art/ ai-train=no\n", "Darkroom", "/a", {}, []),
    ("User-agent: *\nContent-Signal: /art/ ai-train=no\n", "Darkroom", "/art/a", {ANY: D}, ["ai-train=no"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "agent", "target", "verdicts", "raws"), ROBOTS)
def test_robots_txt(text, agent, target, verdicts, raws):
    found = signals.of_robots(robots.parse(text.encode(), agent), target, scope="picture")
    assert said(found) == verdicts
    assert raws is None or [each.raw for each in found] == raws


def test_of_two_rules_for_one_path_both_are_kept():
    text = b"User-agent: *\nContent-Usage: / train-ai=y\nContent-Usage: / train-ai=n\n"
    found = signals.of_robots(robots.parse(text, "Darkroom"), "/a", scope="picture")
    assert [(each.verdict, each.scope) for each in found] == [(A, "site"), (D, "site")]


def test_headers_are_read_together():
    headers = {"content-usage": "train-ai=n", "x-robots-tag": "noai", "content-type": "text/html"}
    found = signals.of_headers(headers, agent="Darkroom", scope="picture")
    assert [each.kind for each in found] == ["content-usage", "x-robots-tag"]
    assert signals.of_headers({}, agent="Darkroom", scope="picture") == ()


def test_the_tables_are_whole():
    tables = (USAGE, CONTENT_SIGNALS, TAGS, METAS, LOCATIONS, TDM_PLACES, AI_TXT, RSL, LINKS, ROBOTS)
    assert sum(map(len, tables)) >= 140
    assert len(TAGS) >= 14


@given(raw=st.text(max_size=60), content=st.binary(max_size=200))
def test_nothing_makes_them_raise(raw, content):
    signals.content_usage(raw, layer="http", scope="picture")
    signals.content_signal(raw, scope="site")
    signals.x_robots_tag(raw, agent="Darkroom", scope="picture")
    signals.meta_robots("robots", raw, agent="Darkroom")
    signals.tdm(file=signals.tdm_rule(content, "/a"), header=raw, meta=raw, scope="picture")
    signals.ai_txt(content, "/a", agent="Darkroom", scope="picture")
    signals.rsl(raw, content, "/a", layer="http", scope="picture")
    signals.rsl_links({"link": raw})
