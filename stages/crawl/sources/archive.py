"""Internet Archive: the pictures and videos of the items that a search finds.

It follows the scraping API, ``/services/search/v1/scrape`` (``q``, ``fields``, ``sorts``, ``count`` from 100 on,
``cursor``; errors as ``{"error": …}``), the Item Metadata API, ``/metadata/IDENTIFIER`` (``metadata`` with ``title``,
``creator``, ``description``, ``licenseurl``; ``files`` with ``name``, ``format``, ``source``, ``private``; ``is_dark``),
and ``/download/IDENTIFIER/NAME``. No key is needed.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import quote

from pydantic import Field

from stages.config import settings
from stages.crawl import api
from stages.crawl.api import Api, Budget, Record, Row, Stopped
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.crawl.sources.folder import PICTURES, VIDEOS

COUNT = 100  # results of a page; the API gives no fewer


@settings
class Config:
    """Which items, and which of their files."""

    base: Annotated[str, Field(pattern=r"^https?://")]  # address of the archive
    search: Annotated[str, Field(min_length=1)]  # a query as in Advanced Search
    licensed: bool  # only items that name a licence
    formats: Annotated[tuple[str, ...], Field(min_length=1)]  # of files, as the archive names them
    files_per_item: Annotated[int, Field(gt=0)]  # some items are books of a thousand pages
    max_items: Annotated[int, Field(gt=0)]  # pictures and videos
    budget: Annotated[int, Field(gt=0)]  # requests to the API in an hour


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        with closing(Api("archive", visit, Budget("archive", units=config.budget, hours=1), fault=_fault)) as archive:
            yield from api.bring(_records(config, archive), archive.fetch, most=config.max_items)

    return collect


def _records(config: Config, archive: Api) -> Iterator[Record | Missed]:
    for each in _results(config, archive):
        if not (identifier := api.text(each.get("identifier"))):
            continue
        address = f"{config.base}/metadata/{quote(identifier, safe='')}"
        try:
            item = archive.page(address)
        except Stopped as stopped:
            if not stopped.is_of_one:
                raise
            yield api.missed(address, stopped.reason)
            continue
        yield from _files(config, identifier, item)


def _results(config: Config, archive: Api) -> Iterator[Row]:
    """What the search finds, in the order of identifiers."""
    words = f"({config.search}) AND licenseurl:*" if config.licensed else config.search
    query: dict[str, str | int] = {"q": words, "fields": "identifier", "sorts": "identifier", "count": COUNT}
    cursor = ""
    while True:
        page = archive.page(f"{config.base}/services/search/v1/scrape", query | ({"cursor": cursor} if cursor else {}))
        yield from api.rows(page, "items")
        before, cursor = cursor, api.text(page.get("cursor"))
        if not cursor or cursor == before:
            return


def _files(config: Config, identifier: str, item: Row) -> Iterator[Record | Missed]:
    """The files of one item that are asked for, in the order of their names."""
    page = f"{config.base}/details/{quote(identifier, safe='')}"
    said = item.get("metadata")
    if not isinstance(said, dict) or item.get("is_dark"):
        yield api.missed(page, "the item is not there or not public")
        return
    names = sorted(
        name
        for each in api.rows(item, "files")
        if api.text(each.get("format")) in config.formats
        and str(each.get("private")) != "true"
        and PurePosixPath(name := api.text(each.get("name"))).suffix.lower() in PICTURES + VIDEOS
    )
    for name in names[: config.files_per_item]:
        yield Record(
            url=f"{config.base}/download/{quote(identifier, safe='')}/{quote(name)}",
            page=page,
            kind="video" if PurePosixPath(name).suffix.lower() in VIDEOS else "image",
            alt=api.bare(said.get("description")),
            title=api.text(said.get("title")),
            author=api.text(said.get("creator")),
            credit="",
            licence=api.text(said.get("licenseurl")),
            where="api archive",
        )


def _fault(answer: Row) -> str:
    return f"the API answers: {api.text(answer['error'])}" if answer.get("error") else ""
