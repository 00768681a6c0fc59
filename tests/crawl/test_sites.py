"""Of a million sites only the files of the last ones are held; the journal remembers the others."""

from types import SimpleNamespace

import pytest

from stages.crawl import sites
from stages.crawl.sites import FILES, Sites


@pytest.fixture
def journal():
    """Answers every file with a thousand bytes, and writes down what it was asked."""
    asked = []

    def get(url):
        asked.append(url)
        return SimpleNamespace(body=b"x" * 1000)

    return SimpleNamespace(agent="Darkroom", asked=asked, get=get, get_all=lambda urls: map(get, list(urls)))


def test_each_file_is_asked_for_once_while_it_is_held(journal):
    known = Sites(journal)
    known.prepare(["http://a.test/1.jpg", "http://a.test/2.jpg"])
    known.prepare(["http://a.test/3.jpg"])
    assert journal.asked == [f"http://a.test{path}" for path in FILES]
    assert known._file(journal.asked[0]) == b"x" * 1000
    assert len(journal.asked) == 2


def test_what_is_held_stays_within_its_bound_and_the_journal_is_asked_again(journal, monkeypatch):
    monkeypatch.setattr(sites, "HELD", 5000)
    known = Sites(journal)
    known.prepare(f"http://s{number}.test/1.jpg" for number in range(50))
    assert len(known._files) == 3
    assert known._held == sum(len(content) + sites.OVERHEAD for content in known._files.values()) <= 5000
    assert known._file(f"http://s0.test{FILES[0]}") == b"x" * 1000
    assert len(journal.asked) == 101
