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
    ("a rule may name a file", "User-agent: Darkroom\nDisallow: /a/b.html\n", "/a/b.html", False),
    ("a rule for a file leaves its neighbour", "User-agent: Darkroom\nDisallow: /a/b.html\n", "/a/c.html", True),
    ("a folder with its slash is not the file of its name", "User-agent: Darkroom\nDisallow: /a/\n", "/a", True),
    ("a folder without its slash is all that starts so", "User-agent: Darkroom\nDisallow: /a\n", "/a.html", False),
    ("the root forbids all", "User-agent: Darkroom\nDisallow: /\n", "/a/b?c", False),
    ("the root forbids the root", "User-agent: Darkroom\nDisallow: /\n", "/", False),
    ("an anchored root forbids the root", "User-agent: Darkroom\nDisallow: /$\n", "/", False),
    ("an anchored root forbids nothing else", "User-agent: Darkroom\nDisallow: /$\n", "/a", True),
    ("an anchored root allows the root", "User-agent: Darkroom\nDisallow: /\nAllow: /$\n", "/", True),
    ("an anchored root allows nothing else", "User-agent: Darkroom\nDisallow: /\nAllow: /$\n", "/a", False),
    ("a rule may speak of a query", "User-agent: Darkroom\nDisallow: /a?b=\n", "/a?b=1", False),
    ("a rule of a query leaves others", "User-agent: Darkroom\nDisallow: /a?b=\n", "/a?c=1", True),
    ("a star reaches over the query", "User-agent: Darkroom\nDisallow: /*c=\n", "/a?b=1&c=2", False),
    ("a star reaches over slashes", "User-agent: Darkroom\nDisallow: /a/*/d\n", "/a/b/c/d", False),
    ("a star between slashes needs both", "User-agent: Darkroom\nDisallow: /a/*/d\n", "/a/d", True),
    ("two stars in a rule both count", "User-agent: Darkroom\nDisallow: /*/b/*/d\n", "/a/b/c/d", False),
    ("two stars in a rule, the second piece missing", "User-agent: Darkroom\nDisallow: /*/b/*/d\n", "/a/b/c/e", True),
    ("a lone star forbids all", "User-agent: Darkroom\nDisallow: *\n", "/a", False),
    ("a lone dollar forbids nothing that is", "User-agent: Darkroom\nDisallow: $\n", "/a", True),
    ("a longer pattern beats a shorter one with a star", "User-agent: Darkroom\nDisallow: /*\nAllow: /ab\n", "/abc", True),
    ("a shorter allow loses to a star pattern", "User-agent: Darkroom\nAllow: /a\nDisallow: /*b\n", "/ab", False),
    ("an extension is allowed in what is forbidden", "User-agent: Darkroom\nDisallow: /p\nAllow: /*.jpg$\n", "/p/a.jpg", True),
    ("an extension is allowed by no more than its rule", "User-agent: Darkroom\nDisallow: /p\nAllow: /*.jpg$\n", "/p/a.png", False),
    ("allow alone forbids nothing else", "User-agent: Darkroom\nAllow: /a\n", "/b", True),
    ("three rules, the longest of all", "User-agent: Darkroom\nDisallow: /\nAllow: /a\nDisallow: /a/b\n", "/a/b/c", False),
    ("three rules, the middle one", "User-agent: Darkroom\nDisallow: /\nAllow: /a\nDisallow: /a/b\n", "/a/c", True),
    ("three rules, the shortest one", "User-agent: Darkroom\nDisallow: /\nAllow: /a\nDisallow: /a/b\n", "/c", False),
    ("a rule of another crawler is not ours", "User-agent: Other\nDisallow: /\n", "/a", True),
    ("ours among several agents, first", "User-agent: Darkroom\nUser-agent: A\nUser-agent: B\nDisallow: /\n", "/a", False),
    ("ours among several agents, last", "User-agent: A\nUser-agent: B\nUser-agent: Darkroom\nDisallow: /\n", "/a", False),
    ("the star among several agents", "User-agent: A\nUser-agent: *\nDisallow: /\n", "/a", False),
    ("a star with more after it is the star", "User-agent: * \nDisallow: /\n", "/a", False),
    ("our group merged across the star's", "User-agent: Darkroom\nDisallow: /a\nUser-agent: *\nDisallow: /b\nUser-agent: Darkroom\nDisallow: /c\n", "/c", False),
    ("our group merged leaves out the star's", "User-agent: Darkroom\nDisallow: /a\nUser-agent: *\nDisallow: /b\nUser-agent: Darkroom\nDisallow: /c\n", "/b", True),
    ("merged groups weigh their rules together", "User-agent: Darkroom\nDisallow: /a\nUser-agent: Darkroom\nAllow: /a/b\n", "/a/b", True),
    ("a sitemap at the head ends nothing", "Sitemap: /s.xml\nUser-agent: Darkroom\nDisallow: /\n", "/a", False),
    ("a crawl-delay among rules ends nothing", "User-agent: Darkroom\nCrawl-delay: 1\nDisallow: /\n", "/a", False),
    ("a content-usage among rules ends nothing", "User-agent: Darkroom\nContent-Usage: train-ai=n\nDisallow: /\n", "/a", False),
    ("a content-signal between agents ends nothing", "User-agent: Darkroom\nContent-Signal: search=yes\nUser-agent: A\nDisallow: /\n", "/a", False),
    ("a content-usage between agents is a rule and starts a group", "User-agent: Darkroom\nContent-Usage: train-ai=n\nUser-agent: A\nDisallow: /\n", "/a", True),
    ("a content-usage forbids no fetching", "User-agent: Darkroom\nContent-Usage: train-ai=n\n", "/a", True),
    ("a licence between agents ends nothing", "User-agent: Darkroom\nLicense: https://a.test/l\nUser-agent: A\nDisallow: /\n", "/a", False),
    ("a misspelt key is no rule", "User-agent: Darkroom\nDissallow: /\n", "/a", True),
    ("a misspelt agent names nobody", "Useragent: Darkroom\nDisallow: /\n", "/a", True),
    ("a space in a key is no key", "User agent: Darkroom\nDisallow: /\n", "/a", True),
    ("a colon in a value belongs to it", "User-agent: Darkroom\nDisallow: /a:b\n", "/a:b", False),
    ("no space after the colon is needed", "User-agent:Darkroom\nDisallow:/a\n", "/a", False),
    ("tabs are white space", "User-agent:\tDarkroom\nDisallow:\t/a\t\n", "/a", False),
    ("an indented comment is a comment", "  # no\nUser-agent: Darkroom\n  # no\nDisallow: /a\n", "/a", False),
    ("a rule that is a comment is none", "User-agent: Darkroom\n#Disallow: /a\n", "/a", True),
    ("a value that is a comment is empty", "User-agent: Darkroom\nDisallow: #/a\n", "/a", True),
    ("empty lines between rules are passed over", "User-agent: Darkroom\n\nAllow: /a\n\n\nDisallow: /\n", "/b", False),
    ("line ends may be mixed", "User-agent: Darkroom\r\nAllow: /a\rDisallow: /\n", "/b", False),
    ("a plus sign is itself", "User-agent: Darkroom\nDisallow: /a+b\n", "/a+b", False),
    ("an encoded space meets a space", "User-agent: Darkroom\nDisallow: /a%20b\n", "/a b", False),
    ("an encoded dollar is no end", "User-agent: Darkroom\nDisallow: /a%24\n", "/a", True),
    ("an encoded question mark is none", "User-agent: Darkroom\nDisallow: /a?\n", "/a%3Fb", True),
    ("half an encoding is passed on", "User-agent: Darkroom\nDisallow: /a%e\n", "/a%e", False),
    ("an encoded rule with small digits meets large ones", "User-agent: Darkroom\nDisallow: /%c3%a9\n", "/\u00e9", False),
    ("a file of another folder that is called so is not ours", "User-agent: Darkroom\nDisallow: /\n", "/a/robots.txt", False),
    ("robots.txt with a query is an address like others", "User-agent: Darkroom\nDisallow: /\n", "/robots.txt?a", False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "target", "allowed"),
    [pytest.param(*case, id=name) for name, *case in CASES],
)
def test_the_table_of_cases_holds(text, target, allowed):
    assert robots.parse(text.encode(), "Darkroom").allows(target) is allowed


def test_the_table_is_whole():
    assert len(CASES) >= 130
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


WHOLE = b"""Sitemap: https://a.test/one.xml
License: https://a.test/licence.xml
User-agent: *
Content-Signal: search=yes, ai-train=no
Content-Usage: /ai-ok/ train-ai=y
Sitemap: https://a.test/two.xml # the second
User-agent: Darkroom
Content-Usage: train-ai=n
Content-Usage: /art/ train-ai=y
"""


def test_sitemaps_and_licences_belong_to_no_group():
    for agent in ("Darkroom", "Other"):
        read = robots.parse(WHOLE, agent)
        assert read.sitemaps == ("https://a.test/one.xml", "https://a.test/two.xml")
        assert read.licences == ("https://a.test/licence.xml",)


def test_what_is_said_of_uses_belongs_to_the_group():
    values = [(use.kind, use.path, use.value) for use in robots.parse(WHOLE, "Other").uses]
    assert values == [("content-signal", "/", "search=yes, ai-train=no"), ("content-usage", "/ai-ok/", "train-ai=y")]
    assert [use.path for use in robots.parse(WHOLE, "Darkroom").uses] == ["/", "/art/"]


@pytest.mark.parametrize(
    ("target", "values"), [("/a", ["train-ai=n"]), ("/art/a", ["train-ai=y"]), ("/art", ["train-ai=n"])]
)
def test_of_uses_those_of_the_longest_path_count(target, values):
    assert [use.value for use in robots.parse(WHOLE, "Darkroom").uses_of(target, "content-usage")] == values


@pytest.mark.parametrize(
    ("pattern", "target", "fits"),
    [
        ("/a", "/ab", True),
        ("/a$", "/ab", False),
        ("*.jpg", "/a.jpg", True),
        ("/\u00e9", "/%C3%A9", True),
        ("a", "/a", False),
    ],
)
def test_patterns_are_matched_outside_of_a_file_too(pattern, target, fits):
    assert robots.matches(pattern, target) is fits


def test_the_decisive_rule_is_named():
    read = robots.parse(b"User-agent: *\nDisallow: /a\nAllow: /a/b\n", "Darkroom")
    assert read.decisive("/a/b/c") == (True, "/a/b")
    assert read.decisive("/a") == (False, "/a")
    assert read.decisive("/c") is None
