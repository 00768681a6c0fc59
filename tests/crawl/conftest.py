"""The sample sites, built once, and the means to count what is asked of them."""

from collections import Counter

import pytest

from stages.crawl import site
from stages.crawl.journal import Journal
from stages.crawl.sources import Found, Missed, web
from stages.crawl.sources.sample import Config as Sample
from stages.web.client import Client, Manners


class Counted(dict):
    """A site that counts how often each path was asked for."""

    def __init__(self, pages):
        super().__init__(pages)
        self.asked = Counter()

    def get(self, path, default=None):
        self.asked[path] += 1
        return super().get(path, default)


@pytest.fixture(scope="session")
def photographs():
    """The site of photographs."""
    return site.build("photographs")


@pytest.fixture
def counted():
    """Wrap a site so that it counts."""
    return Counted


@pytest.fixture(scope="session")
def manners():
    """The manners of a client in a hurry; give others to change them."""

    def make(**others):
        values = {"agent": "Darkroom", "contact": "https://example.org/darkroom", "pause": 0.0, "max_pause": 60.0}
        values |= {
            "timeout": 5.0,
            "deadline": 30.0,
            "max_bytes": 5_000_000,
            "retries": 3,
            "backoff": 0.0,
            "private": True,
        }
        return Manners(**(values | others))

    return make


@pytest.fixture(scope="session")
def sample():
    """The settings of the sample source; give others to change them."""

    def make(**others):
        return Sample(
            **({"specimens": "photographs", "depth": 2, "max_pages": 100, "max_items": 1000, "limits": {}} | others)
        )

    return make


@pytest.fixture
def page_of():
    """A resource of HTML."""
    return lambda body: site.Resource(body=body.encode(), type="text/html")


@pytest.fixture
def crawled(manners, tmp_path):
    """Crawl a site that is served on loopback as sample.test; give what it found, what it missed, and in what order."""

    def crawl(pages, *, folder=None, fresh_hours=1.0, start=("/",), most=None, **others):
        settings = {
            "sitemaps": (),
            "hosts": (),
            "picture_hosts": (),
            "include": (),
            "exclude": (),
            "depth": 2,
            "max_pages": 100,
            "max_items": 1000,
        } | others
        config = web.Config(start=tuple(f"http://{site.HOST}{path}" for path in start), **settings)
        with site.served(pages) as address:
            client = Client(manners(retries=1), connect_to={site.HOST: address}, sleep=lambda _: None)
            journal = Journal(client, folder or tmp_path / "journal", fresh_hours=fresh_hours)
            brought = []
            for each in web.crawl(config, journal):
                brought.append(each)
                if len(brought) == most:
                    break  # as if killed
        return [each for each in brought if isinstance(each, Found)], [
            each for each in brought if isinstance(each, Missed)
        ]

    return crawl
