"""Openverse: openly licensed pictures of many museums, of Flickr and of Wikimedia Commons, by one search.

Of its API (api.openverse.org, version 1) it follows ``/v1/images/``: ``q``, ``license``, ``source``, ``mature``, ``page``
and ``page_size``; of each result ``url``, ``foreign_landing_url``, ``title``, ``creator``, ``attribution``, ``tags``,
``license_url``, or else ``license`` and ``license_version``. Without a token a page holds 20 results and the API allows
20 requests a minute and 200 a day; with one, 50 results, 100 a minute and 10,000 a day. More is answered 401 or 429.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from stages.config import settings
from stages.crawl import api
from stages.crawl.api import Api, Budget, Record, Row
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import FetchError
from stages.web.client import NO_SECRET, Secret

SITE = "openverse.org"  # never the page of a picture: requests for one site go past it
MOST_LETTERS = 200  # of a search; the API cuts what is longer
VARIABLE = "DARKROOM_OPENVERSE_TOKEN"
WHERE = "https://api.openverse.org/v1/#tag/auth"
Code = Literal["by", "by-sa", "by-nc", "by-nc-sa", "by-nd", "by-nc-nd", "cc0", "pdm"]


@settings
class Config:
    """Which pictures."""

    base: Annotated[str, Field(pattern=r"^https?://")]  # address of the API
    search: Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]  # words
    licences: Annotated[tuple[Code, ...], Field(min_length=1)]
    sources: tuple[str, ...]  # as "met" or "flickr"; none named: all
    page_size: Annotated[int, Field(ge=1, le=50)]  # results; more than 20 need a token
    max_items: Annotated[int, Field(gt=0)]
    budget: Annotated[int, Field(gt=0)]  # requests to the API in 24 hours


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        token = api.optional_key(VARIABLE)
        secret = Secret(headers={"Authorization": f"Bearer {token}"}) if token else NO_SECRET
        budget = Budget("openverse", units=config.budget, hours=24)
        with closing(Api("openverse", visit, budget, secret=secret, explain=_explain)) as openverse:
            searches = [(_records(each, openverse), each.max_items) for each in [config, *_asked(config, visit)]]
            yield from api.bring_asked(searches, openverse.fetch)

    return collect


def _asked(config: Config, visit: Visit) -> list[Config]:
    """A search for the words of each request of the loop, under the same licences, for as many pictures more."""
    return [
        replace(config, search=" ".join(each.words)[:MOST_LETTERS], max_items=each.count)
        for each in api.answerable(visit.requests, site=SITE)
    ]


def _records(config: Config, openverse: Api) -> Iterator[Record | Missed]:
    query: dict[str, str | int] = {"q": config.search, "license": ",".join(config.licences), "mature": "false"}
    query |= {"source": ",".join(config.sources)} if config.sources else {}
    number = 1
    while True:
        page = openverse.page(f"{config.base}/v1/images/", query | {"page_size": config.page_size, "page": number})
        results = api.rows(page, "results")
        yield from map(_record, results)
        if not results or number >= api.number(page.get("page_count")):
            return
        number += 1


def _record(each: Row) -> Record | Missed:
    page, url = api.address(each.get("foreign_landing_url")), api.address(each.get("url"))
    if not url:
        return api.missed(page or f"openverse:{api.text(each.get('id'))}", "the API names no address of the picture")
    return Record(
        url=url,
        page=page,
        kind="image",
        alt=api.text(
            [tag.get("name") for tag in api.rows(each, "tags") if tag.get("accuracy") is None]
        ),  # no machine's
        title=api.text(each.get("title")),
        author=api.text(each.get("creator")),
        credit=api.text(each.get("attribution")),
        licence=api.text(each.get("license_url")) or _named(each),
        where="api openverse",
    )


def _named(each: Row) -> str:
    """The licence by its code and version, as ``CC BY-SA 4.0``; public domain as SPDX writes it."""
    code, version = api.text(each.get("license")).upper(), api.text(each.get("license_version"))
    names = {"": "", "CC0": f"CC0 {version}", "PDM": f"CC-PDM-{version}"}
    return names.get(code, f"CC {code} {version}")


def _explain(error: FetchError) -> str:
    if error.status in (401, 403) and api.optional_key(VARIABLE):
        api.refused(VARIABLE, f"status {error.status}", WHERE)
    if error.status in (401, 403):
        return f"the API wants a token for this ({error.status}): ask for 20 results a page, or get one at {WHERE} as {VARIABLE}"
    return "the API's own quota is used up; run crawl again later, it goes on here" if error.status == 429 else ""
