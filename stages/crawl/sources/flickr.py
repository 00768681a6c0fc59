"""Flickr: public photographs under chosen licences.

Of its API it follows ``flickr.photos.search`` (``text``, ``tags``, ``license``, ``min_upload_date``, ``max_upload_date``,
``sort``, ``safe_search``, ``content_type``, ``media``, ``extras``, ``per_page``, ``page``) and
``flickr.photos.licenses.getInfo``, which maps ids to addresses of licences: they are asked for and not written down here,
since Flickr adds some, as CC 4.0 in June 2025. A search gives no more than 4,000 different results, so it is halved by
the time of upload until each part gives fewer. The API allows 3,600 requests an hour. Errors come with status 200 as
``{"stat": "fail", "code": 100, "message": "Invalid API Key"}``.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Annotated, Literal

from pydantic import Field

from stages import licences
from stages.config import settings
from stages.crawl import api
from stages.crawl.api import Api, Budget, Record, Row
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import FetchError, SourceError
from stages.web.client import Secret

SITE = "www.flickr.com"
KEY = "DARKROOM_FLICKR_KEY"
WHERE = "https://www.flickr.com/services/apps/create/"
INVALID_KEY = 100  # code of an error
MOST = 4000  # different results of one search
PER_PAGE = 500  # the most that is allowed
SIZES = ("o", "k", "h", "l", "c", "z", "m")  # from the original down: extras url_o and so on


@settings
class Config:
    """Which photographs, and how large."""

    base: Annotated[str, Field(pattern=r"^https?://")]  # address of the API
    search: str  # words in title, description or tags; empty: by tags
    tags: tuple[str, ...]  # all of them; none: by words
    licences: Annotated[tuple[str, ...], Field(min_length=1)]  # SPDX
    since: date  # of upload, in UTC
    until: date  # of upload, in UTC; a fixed day, so that the same search finds the same
    largest: Literal["o", "k", "h", "l", "c", "z", "m"]  # o: the original, l: 1024 pixels; else the next smaller
    max_items: Annotated[int, Field(gt=0)]
    budget: Annotated[int, Field(gt=0)]  # requests to the API in an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search, and the API that answers it."""

    flickr: Api
    address: str
    query: dict[str, str | int]

    def page(self, first: int, last: int, number: int) -> Row:
        """One page of what was uploaded from the second ``first`` to the second ``last``."""
        when: dict[str, str | int] = {"min_upload_date": first, "max_upload_date": last, "page": number}
        photos = self.flickr.page(self.address, self.query | when).get("photos")
        return photos if isinstance(photos, dict) else {}


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        if not (config.search or config.tags):
            raise SourceError("crawl.sources.flickr: give search or tags; Flickr answers no search without words")
        secret = Secret(query={"api_key": api.key(KEY, WHERE)})
        budget = Budget("flickr", units=config.budget, hours=1)
        with closing(Api("flickr", visit, budget, secret=secret, fault=_fault, explain=_explain)) as flickr:
            searches = [(_records(each, flickr), each.max_items) for each in [config, *_asked(config, visit)]]
            yield from api.bring_asked(searches, flickr.fetch)

    return collect


def _asked(config: Config, visit: Visit) -> list[Config]:
    """A search for the words of each request of the loop, under the same licences, for as many photographs more."""
    return [
        replace(config, search=" ".join(each.words), tags=(), max_items=each.count)
        for each in api.answerable(visit.requests, site=SITE)
    ]


def _records(config: Config, flickr: Api) -> Iterator[Record | Missed]:
    address = f"{config.base}/services/rest/"
    form: dict[str, str | int] = {"format": "json", "nojsoncallback": 1}
    known = flickr.page(address, {"method": "flickr.photos.licenses.getInfo", **form})
    addresses = {api.text(each.get("id")): api.text(each.get("url")) for each in api.rows(known, "licenses", "license")}
    wanted = [id for id, url in addresses.items() if licences.spdx(url) in config.licences]
    if not wanted:
        names = ", ".join(sorted(filter(None, map(licences.spdx, addresses.values()))))
        raise SourceError(f"crawl.sources.flickr.licences: Flickr knows none of them; it has {names}")
    query: dict[str, str | int] = {"method": "flickr.photos.search", **form, "license": ",".join(wanted)}
    query |= {"text": config.search} if config.search else {}
    query |= {"tags": ",".join(config.tags), "tag_mode": "all"} if config.tags else {}
    query |= {"media": "photos", "content_type": 1, "safe_search": 1, "sort": "date-posted-asc", "per_page": PER_PAGE}
    sizes = SIZES[SIZES.index(config.largest) :]
    query["extras"] = ",".join(["description", "license", "owner_name", *(f"url_{size}" for size in sizes)])
    search = Search(flickr=flickr, address=address, query=query)
    for each in _photos(search, _second(config.since, time.min), _second(config.until, time.max)):
        yield each if isinstance(each, Missed) else _record(each, addresses, sizes)


def _photos(search: Search, first: int, last: int) -> Iterator[Row | Missed]:
    """All photographs uploaded from ``first`` to ``last``, the oldest first."""
    page = search.page(first, last, 1)
    total = api.number(page.get("total"))
    if total > MOST and first < last:
        middle = (first + last) // 2
        yield from _photos(search, first, middle)
        yield from _photos(search, middle + 1, last)
        return
    yield from api.rows(page, "photo")
    for number in range(2, -(-min(total, MOST) // PER_PAGE) + 1):
        yield from api.rows(search.page(first, last, number), "photo")
    if total > MOST:
        yield api.missed(
            f"{search.address}#{first}", f"{total - MOST:,} more of one second, which the API does not give"
        )


def _record(each: Row, addresses: dict[str, str], sizes: tuple[str, ...]) -> Record | Missed:
    owner, id = api.text(each.get("owner")), api.text(each.get("id"))
    page = f"https://www.flickr.com/photos/{owner}/{id}"
    url = next(filter(None, (api.address(each.get(f"url_{size}")) for size in sizes)), "")
    if not (url and owner and id):
        return api.missed(page, "the API names no address of the photograph")
    said = each.get("description")
    licence = api.text(each.get("license"))
    return Record(
        url=url,
        page=page,
        kind="image",
        alt=api.bare(said.get("_content") if isinstance(said, dict) else said),
        title=api.text(each.get("title")),
        author=api.text(each.get("ownername")),
        credit="",
        licence=addresses.get(licence) or (f"flickr {licence}" if licence else ""),
        where="api flickr",
    )


def _second(day: date, hour: time) -> int:
    return int(datetime.combine(day, hour, UTC).timestamp())


def _fault(answer: Row) -> str:
    if answer.get("stat") == "ok":
        return ""
    code, message = api.number(answer.get("code")), api.text(answer.get("message"))
    if code == INVALID_KEY:
        api.refused(KEY, message, WHERE)
    return f"the API answers {code}: {message}"


def _explain(error: FetchError) -> str:
    if error.status in (401, 403):
        api.refused(KEY, f"status {error.status}", WHERE)
    return "the API's own quota is used up; run crawl again later, it goes on here" if error.status == 429 else ""
