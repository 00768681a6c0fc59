"""The journal: nobody is asked twice while an answer is fresh, and nothing broken is served again."""

import os
import time

import pytest

from stages.crawl import site
from stages.crawl.journal import Journal
from stages.errors import FetchError
from stages.web.client import Client

URL = f"http://{site.HOST}/a"


@pytest.fixture
def asked(counted, manners, tmp_path):
    """A served page, and a journal over it: gives what makes a journal, and the count of requests for the page."""
    pages = counted({"/a": site.Resource(body=b"here", type="text/plain")})
    with site.served(pages) as address:
        client = Client(manners(), connect_to={site.HOST: address})
        yield lambda hours=1.0: Journal(client, tmp_path / "journal", fresh_hours=hours), lambda: pages.asked["/a"]


def files(folder, kind):
    return [path for path in (folder / "journal" / kind).rglob("*") if path.is_file()]


def test_a_second_journal_over_the_folder_remembers_the_answer(asked):
    journal, count = asked
    first = journal().get(URL)
    assert journal().get(URL) == first
    assert (first.body, first.url, first.status, first.headers["content-type"]) == (b"here", URL, 200, "text/plain")
    assert count() == 1


def test_an_answer_that_is_too_old_is_asked_for_again(asked, tmp_path):
    journal, count = asked
    journal().get(URL)
    (entry,) = files(tmp_path, "answers")
    os.utime(entry, (time.time() - 3601,) * 2)
    journal().get(URL)
    assert count() == 2
    os.utime(entry, (time.time() - 3500,) * 2)
    journal().get(URL)
    assert count() == 2


def test_no_hours_remember_nothing(asked):
    journal, count = asked
    journal(0.0).get(URL)
    journal(0.0).get(URL)
    assert count() == 2


@pytest.mark.parametrize("damage", [lambda body: body.unlink(), lambda body: body.write_bytes(b"other")])
def test_a_body_that_was_lost_or_changed_is_asked_for_again(asked, tmp_path, damage):
    journal, count = asked
    journal().get(URL)
    (body,) = files(tmp_path, "bodies")
    damage(body)
    assert journal().get(URL).body == b"here"
    assert count() == 2


def test_a_fault_is_not_remembered(asked, tmp_path):
    journal, _ = asked
    for _ in range(2):
        with pytest.raises(FetchError, match="answered 404"):
            journal().get(f"http://{site.HOST}/b")
    assert files(tmp_path, "answers") == []


def test_equal_bodies_of_different_addresses_are_kept_once(asked, tmp_path):
    journal, _ = asked
    journal().get(URL)
    journal().get(f"{URL}#part")
    assert len(files(tmp_path, "answers")) == 2
    assert len(files(tmp_path, "bodies")) == 1
