"""robots.txt against RFC 9309, section by section; the table follows what Google's parser is known to do."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.web import robots

BOTH = "User-agent: Darkroom\nDisallow: /x/\nUser-agent: Darkroom\nDisallow: /y/\n"

# what it shows, robots.txt, target, whether Darkroom may fetch it
CASES = [
    ("nothing is forbidden by an empty file", "", "/a", True),
    ("a rule before any group counts for nobody", "Disallow: /\n", "/a", True),
    ("a rule of our group counts", "User-agent: Darkroom\nDisallow: /a\n", "/a", False),
    ("a path is matched by its head", "User-agent: Darkroom\nDisallow: /a\n", "/abc/d", False),
    ("a path is not matched in its middle", "User-agent: Darkroom\nDisallow: /a\n", "/b/a", True),
    ("keys are read without regard to case", "USER-AGENT: Darkroom\nDISALLOW: /a\n", "/a", False),
    ("paths are read with regard to case", "User-agent: Darkroom\nDisallow: /A\n", "/a", True),
    ("white space around keys and values is left out", " User-agent :  Darkroom \n\tDisallow\t: /a \n", "/a", False),
    ("a line without a colon is passed over", "User-agent: Darkroom\nDisallow /a\n", "/a", True),
    ("a comment ends a line", "User-agent: Darkroom # us\nDisallow: /a#b\n", "/a", False),
    ("a comment line ends no group", "User-agent: Darkroom\n# no\nDisallow: /a\n", "/a", False),
    ("our token is read without regard to case", "User-agent: dArKrOoM\nDisallow: /\n", "/a", False),
    ("a version after the token is left out", "User-agent: Darkroom/2.1\nDisallow: /\n", "/a", False),
    ("words after the token are left out", "User-agent: Darkroom the crawler\nDisallow: /\n", "/a", False),
    ("a longer token is another crawler", "User-agent: DarkroomNews\nDisallow: /\n", "/a", True),
    ("a token with our name in it is another crawler", "User-agent: My-Darkroom\nDisallow: /\n", "/a", True),
    ("the head of our token is another crawler", "User-agent: Dark\nDisallow: /\n", "/a", True),
    ("an empty token is nobody", "User-agent:\nDisallow: /\n", "/a", True),
    ("a token that starts with a digit is nobody", "User-agent: 1Darkroom\nDisallow: /\n", "/a", True),
    ("the star counts where no group is ours", "User-agent: *\nDisallow: /a\n", "/a", False),
    ("the star does not count beside ours", "User-agent: *\nDisallow: /\nUser-agent: Darkroom\nDisallow: /b\n", "/a", True),
    ("the order of groups does not matter", "User-agent: Darkroom\nDisallow: /b\nUser-agent: *\nDisallow: /\n", "/a", True),
    ("a group of ours without a rule hides the star's", "User-agent: *\nDisallow: /\nUser-agent: Darkroom\n", "/a", True),
    ("our group with an empty rule hides the star's", "User-agent: *\nDisallow: /\n\nUser-agent: Darkroom\nDisallow:\n", "/a", True),
    ("groups of ours are merged, the first counts", BOTH, "/x/1", False),
    ("groups of ours are merged, the second counts", BOTH, "/y/1", False),
    ("groups of the star are merged", "User-agent: *\nDisallow: /x\nUser-agent: *\nDisallow: /y\n", "/x", False),
    ("agents that follow each other share a group", "User-agent: Darkroom\nUser-agent: Other\nDisallow: /a\n", "/a", False),
    ("empty lines end no group", "User-agent: Darkroom\n\n\nUser-agent: Other\n\nDisallow: /a\n", "/a", False),
    ("unknown lines between agents end no group", "User-agent: Darkroom\nSitemap: /s\nUser-agent: Other\nDisallow: /a\n", "/a", False),
    ("unknown lines between rules end no group", "User-agent: Darkroom\nAllow: /b\nSitemap: /s\nFoo: 1\nDisallow: /a\n", "/a", False),
    ("an agent after a rule starts a group", "User-agent: Darkroom\nAllow: /\nUser-agent: Other\nDisallow: /\n", "/a", True),
    ("an agent after an empty rule starts a group", "User-agent: Darkroom\nDisallow:\nUser-agent: Other\nDisallow: /\n", "/a", True),
    ("an empty disallow forbids nothing", "User-agent: Darkroom\nDisallow:\n", "/a", True),
    ("an empty allow allows nothing", "User-agent: Darkroom\nDisallow: /\nAllow:\n", "/a", False),
    ("the longest rule wins, an allow", "User-agent: Darkroom\nDisallow: /x\nAllow: /x/page.html\n", "/x/page.html", True),
    ("the longest rule wins, a disallow", "User-agent: Darkroom\nAllow: /x\nDisallow: /x/page.html\n", "/x/page.html", False),
    ("the longest rule wins wherever it stands", "User-agent: Darkroom\nAllow: /x/page.html\nDisallow: /x\n", "/x/page.html", True),
    ("of two equal rules allow wins", "User-agent: Darkroom\nDisallow: /a\nAllow: /a\n", "/a", True),
    ("of two equal rules allow wins in the other order", "User-agent: Darkroom\nAllow: /a\nDisallow: /a\n", "/a", True),
    ("a wildcard counts as one octet of length", "User-agent: Darkroom\nDisallow: /x*\nAllow: /x\n", "/x/y", False),
    ("length is counted in octets of the encoded path", "User-agent: Darkroom\nAllow: /abcdef\nDisallow: /*é\n", "/abcdefé", False),
    ("a star stands for any octets", "User-agent: Darkroom\nDisallow: /*.php\n", "/a/b/c.php?d", False),
    ("a star stands for nothing, too", "User-agent: Darkroom\nDisallow: /a*b\n", "/ab", False),
    ("a final star changes nothing", "User-agent: Darkroom\nDisallow: /a*\n", "/a", False),
    ("stars that follow each other are one", "User-agent: Darkroom\nDisallow: /a***b\n", "/a/x/b", False),
    ("what follows a star must come", "User-agent: Darkroom\nDisallow: /*.php\n", "/a/php", True),
    ("pieces between stars must come in their order", "User-agent: Darkroom\nDisallow: /*a*b\n", "/ba", True),
    ("a dollar is the end", "User-agent: Darkroom\nDisallow: /a$\n", "/a", False),
    ("after the dollar nothing may follow", "User-agent: Darkroom\nDisallow: /a$\n", "/ab", True),
    ("a query follows the path, too", "User-agent: Darkroom\nDisallow: /a$\n", "/a?b", True),
    ("a star before the dollar looks for the last place", "User-agent: Darkroom\nDisallow: /*.php$\n", "/a.php/b.php", False),
    ("a star before the dollar must reach the end", "User-agent: Darkroom\nDisallow: /*.php$\n", "/a.php?x", True),
    ("pieces may not overlap before the dollar", "User-agent: Darkroom\nDisallow: /ab*ba$\n", "/aba", True),
    ("a star and a dollar together match all", "User-agent: Darkroom\nDisallow: /*$\n", "/a?b", False),
    ("a dollar elsewhere is itself", "User-agent: Darkroom\nDisallow: /a$b\n", "/a$bc", False),
    ("a pattern without a slash at its head matches no path", "User-agent: Darkroom\nDisallow: a\n", "/a", True),
    ("a pattern that starts with a star may match", "User-agent: Darkroom\nDisallow: *.gif$\n", "/a.gif", False),
    ("non-ASCII in the rule meets its encoding", "User-agent: Darkroom\nDisallow: /ツ\n", "/%E3%83%84", False),
    ("an encoded rule meets non-ASCII", "User-agent: Darkroom\nDisallow: /%E3%83%84\n", "/ツ", False),
    ("hex digits are compared without regard to case", "User-agent: Darkroom\nDisallow: /%e3%83%84\n", "/%E3%83%84", False),
    ("an encoded letter is the letter", "User-agent: Darkroom\nDisallow: /%62\n", "/b", False),
    ("a letter is the encoded letter", "User-agent: Darkroom\nDisallow: /b\n", "/%62", False),
    ("an encoded slash is no slash", "User-agent: Darkroom\nDisallow: /a/b\n", "/a%2Fb", True),
    ("an encoded star is no wildcard", "User-agent: Darkroom\nDisallow: /a%2Ab\n", "/axb", True),
    ("a percent sign alone is passed on", "User-agent: Darkroom\nDisallow: /100%\n", "/100%/a", False),
    ("a tilde needs no encoding", "User-agent: Darkroom\nDisallow: /%7Ejoe/\n", "/~joe/index.html", False),
    ("robots.txt itself may always be fetched", "User-agent: Darkroom\nDisallow: /\n", "/robots.txt", True),
    ("lines may end in CR LF", "User-agent: Darkroom\r\nDisallow: /a\r\n", "/a", False),
    ("lines may end in CR", "User-agent: Darkroom\rDisallow: /a\r", "/a", False),
    ("the last line needs no end", "User-agent: Darkroom\nDisallow: /a", "/a", False),
    ("a byte order mark is passed over", "\ufeffUser-agent: Darkroom\nDisallow: /a\n", "/a", False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "target", "allowed"),
    [pytest.param(*case, id=name) for name, *case in CASES],
)
def test_the_table_of_cases_holds(text, target, allowed):
    assert robots.parse(text.encode(), "Darkroom").allows(target) is allowed


def test_the_table_is_whole():
    assert len(CASES) >= 65
    assert len({name for name, *_ in CASES}) == len(CASES)


def test_the_crawlers_own_token_is_read_without_regard_to_case():
    assert not robots.parse(b"User-agent: darkroom\nDisallow: /\n", "DARKROOM").allows("/a")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("User-agent: Darkroom\nCrawl-delay: 5\n", 5.0),
        ("User-agent: Darkroom\ncrawl-delay: 0.5\nDisallow: /a\n", 0.5),
        ("User-agent: *\nCrawl-delay: 3\n", 3.0),
        ("User-agent: Darkroom\nDisallow:\nUser-agent: *\nCrawl-delay: 3\n", 0.0),
        ("User-agent: Darkroom\nCrawl-delay: 2\nDisallow:\nUser-agent: Darkroom\nCrawl-delay: 7\n", 7.0),
        ("User-agent: Darkroom\nCrawl-delay: -1\n", 0.0),
        ("User-agent: Darkroom\nCrawl-delay: soon\n", 0.0),
        ("User-agent: Darkroom\nCrawl-delay: 1e9\n", 0.0),
        ("User-agent: Darkroom\nCrawl-delay: nan\n", 0.0),
        ("Crawl-delay: 5\nUser-agent: Darkroom\n", 0.0),
    ],
)
def test_the_crawl_delay_is_our_groups_longest_and_never_nonsense(text, seconds):
    assert robots.parse(text.encode(), "Darkroom").delay == seconds


def test_a_crawl_delay_between_two_agents_ends_no_group():
    text = b"User-agent: Darkroom\nCrawl-delay: 2\nUser-agent: Other\nDisallow: /a\n"
    assert not robots.parse(text, "Darkroom").allows("/a")
    assert robots.parse(text, "Other").delay == 2.0


def test_what_follows_500_kib_is_not_read():
    head = b"User-agent: Darkroom\nDisallow: /a\n"
    filler = b"#" * (robots.MAX_BYTES - len(head) - 1) + b"\n"
    read = robots.parse(head + filler + b"Disallow: /b\n", "Darkroom")
    assert not read.allows("/a")
    assert read.allows("/b")
    assert robots.MAX_BYTES == 500 * 1024


def test_a_line_that_the_cut_falls_into_does_not_raise():
    read = robots.parse(b"User-agent: Darkroom\nDisallow: /" + "é".encode() * robots.MAX_BYTES, "Darkroom")
    assert read.allows("/b")


@pytest.mark.parametrize(
    "junk",
    [
        "User-agent: Darkroom\nDisallow: /\n".encode("utf-16"),
        b"\x00\x00User-agent: Darkroom\x00\nDisallow: /\n",
        b"<!doctype html><html><p>Not found: sorry</p></html>",
        b"\xff\xfe\xfd:\xfc",
        b":\n:::\n",
    ],
)
def test_what_is_no_robots_txt_forbids_nothing(junk):
    assert robots.parse(junk, "Darkroom").allows("/a")


def test_a_nul_in_a_path_is_an_octet_like_another():
    assert not robots.parse(b"User-agent: Darkroom\nDisallow: /a\x00b\n", "Darkroom").allows("/a%00b")


@given(content=st.binary(max_size=400), target=st.text(max_size=40).map(lambda tail: f"/{tail}"))
def test_no_bytes_make_it_raise(content, target):
    target = target.encode(errors="replace").decode()
    assert robots.parse(content, "Darkroom").allows(target) in (True, False)


LINES = st.lists(
    st.tuples(st.sampled_from(["User-agent", "Allow", "Disallow", "Crawl-delay", "Sitemap", ""]), st.text("/a*$% #é\x00", max_size=8)),
    max_size=12,
)  # fmt: skip


@given(lines=LINES, ending=st.sampled_from(["\n", "\r\n", "\r"]))
def test_line_endings_and_a_byte_order_mark_change_nothing(lines, ending):
    text = [f"{key}: {value}" for key, value in [("User-agent", "Darkroom"), *lines]]
    plain = robots.parse("\n".join(text).encode(), "Darkroom")
    assert robots.parse(b"\xef\xbb\xbf" + ending.join(text).encode(), "Darkroom") == plain


@given(
    pattern=st.text("ab*", max_size=8).map(lambda tail: f"/{tail}"),
    target=st.text("ab", max_size=8).map(lambda tail: f"/{tail}"),
    anchored=st.booleans(),
)
def test_a_pattern_matches_what_the_regular_expression_of_it_matches(pattern, target, anchored):
    expression = ".*".join(map(re.escape, pattern.split("*"))) + ("$" if anchored else "")
    text = f"User-agent: Darkroom\nDisallow: {pattern}{'$' if anchored else ''}\n".encode()
    assert robots.parse(text, "Darkroom").allows(target) is (re.match(expression, target) is None)


@pytest.mark.parametrize(
    "line", [b"Disallow: /*a*a*a*a\n", b"Disallow: /" + b"*a" * 250_000 + b"$\n", b"a" * 100 + b"\n", b":\r"]
)
def test_a_megabyte_of_stars_takes_no_second(line):
    text = b"User-agent: *\n" + line * (1_000_000 // len(line))
    started = time.process_time()
    read = robots.parse(text, "Darkroom")
    read.allows("/" + "a" * 2000)
    read.allows("/" + "ab" * 1000)
    assert time.process_time() - started < 1.0


def test_all_and_nothing_are_what_they_say():
    assert robots.EVERYTHING.allows("/a")
