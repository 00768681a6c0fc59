"""Wikimedia Commons: the files that a search finds or that a category holds.

Of the MediaWiki Action API it follows API:Query (generator, ``continue``, ``batchcomplete``), API:Search and
API:Categorymembers as generators, and API:Imageinfo with ``extmetadata`` of the extension CommonsMetadata: LicenseUrl or
else LicenseShortName, Artist, Attribution, ImageDescription, ObjectName. No key is needed; API:Etiquette asks for one
request at a time and a user agent with a contact. What a round of the loop asks for is searched for after that. Widths are those of Common_thumbnail_sizes.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field

from stages.config import settings
from stages.crawl import api
from stages.crawl.api import Api, Budget, Record, Row, Stopped
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import SourceError

KINDS: dict[str, Literal["image", "video"]] = {"BITMAP": "image", "VIDEO": "video"}
SITE = "commons.wikimedia.org"
FIELDS = ("LicenseUrl", "LicenseShortName", "Artist", "Attribution", "ImageDescription", "ObjectName")


@settings
class Config:
    """Which files, and how large."""

    base: Annotated[str, Field(pattern=r"^https?://")]  # address of the wiki
    search: str  # words, as in the search box of the site; empty: by category
    category: str  # its name without "Category:"; empty: by search
    width: Literal[0, 330, 500, 960, 1280, 1920, 3840]  # pixels at most, of pictures; 0: the original
    videos: bool  # whether to bring them, too
    max_items: Annotated[int, Field(gt=0)]  # pictures and videos
    budget: Annotated[int, Field(gt=0)]  # requests to the API in an hour


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        if bool(config.search) == bool(config.category):
            raise SourceError("crawl.sources.commons: give either search or category, and leave the other empty")
        with closing(Api("commons", visit, Budget("commons", units=config.budget, hours=1), fault=_fault)) as commons:
            searches = [(_records(each, commons), each.max_items) for each in [config, *_asked(config, visit)]]
            yield from api.bring_asked(searches, commons.fetch)

    return collect


def _asked(config: Config, visit: Visit) -> list[Config]:
    """A search for the words of each request, for as many files more."""
    return [
        replace(config, search=" ".join(each.words), category="", max_items=each.count)
        for each in api.answerable(visit.requests, site=SITE)
    ]


def _records(config: Config, commons: Api) -> Iterator[Record | Missed]:
    for each in _files(config, commons):
        info = next(iter(api.rows(each, "imageinfo")), {})
        kind = KINDS.get(api.text(info.get("mediatype")))
        if info and (kind is None or (kind == "video" and not config.videos)):
            continue  # a drawing, a document, a sound: not what was asked for
        yield _record(each, info, kind or "image")


def _record(each: Row, info: Row, kind: Literal["image", "video"]) -> Record | Missed:
    page, title = api.address(info.get("descriptionurl")), api.text(each.get("title"))
    url = api.address(info.get("thumburl") if kind == "image" else "") or api.address(info.get("url"))
    if not url:
        return api.missed(page or f"commons:{title}", "the API names no address of the file")
    return Record(
        url=url,
        page=page,
        kind=kind,
        alt=api.bare(_said(info, "ImageDescription")),
        title=api.bare(_said(info, "ObjectName")) or PurePosixPath(title.removeprefix("File:")).stem,
        author=api.bare(_said(info, "Artist")),
        credit=api.bare(_said(info, "Attribution")),
        licence=api.text(_said(info, "LicenseUrl")) or api.bare(_said(info, "LicenseShortName")),
        where="api commons",
    )


def _said(info: Row, name: str) -> Any:
    """The value ``name`` of ``extmetadata``."""
    said = info.get("extmetadata")
    value = said.get(name) if isinstance(said, dict) else None
    return value.get("value") if isinstance(value, dict) else None


def _files(config: Config, commons: Api) -> Iterator[Row]:
    """The pages of all files; what the API gives of one batch in several answers is put together first."""
    query = _query(config)
    batch: dict[str, Row] = {}
    more: Row = {}
    while True:
        answer = commons.page(
            f"{config.base}/w/api.php", query | {name: api.text(value) for name, value in more.items()}
        )
        for each in api.rows(answer, "query", "pages"):
            name = api.text(each.get("title"))
            batch[name] = {**batch.get(name, {}), **each}
        before, more = more, answer.get("continue") or {}
        if answer.get("batchcomplete") or not more:
            yield from sorted(batch.values(), key=lambda each: (_index(each), api.text(each.get("title"))))
            batch = {}
        if not more:
            return
        if not isinstance(more, dict) or more == before:
            raise Stopped(f"{config.base}/w/api.php", f"asks to continue with {more!r} and goes no further")


def _query(config: Config) -> dict[str, str | int]:
    if config.search:
        words = config.search if config.videos else f"{config.search} filetype:bitmap"
        which: dict[str, str | int] = {"generator": "search", "gsrsearch": words, "gsrnamespace": 6, "gsrlimit": 50}
    else:
        which = {"generator": "categorymembers", "gcmtitle": f"Category:{config.category}", "gcmtype": "file"}
        which |= {"gcmlimit": 50}
    width: dict[str, str | int] = {"iiurlwidth": config.width} if config.width else {}
    said = {
        "iiprop": "url|mediatype|extmetadata",
        "iiextmetadatafilter": "|".join(FIELDS),
        "iiextmetadatalanguage": "en",
    }
    return {"action": "query", "format": "json", "formatversion": 2, **which, "prop": "imageinfo", **said, **width}


def _index(each: Row) -> int:
    """The place of a file among the results of a search; a category is in the order of titles."""
    index = each.get("index")
    return index if isinstance(index, int) else 0


def _fault(answer: Row) -> str:
    error = answer.get("error")
    if not isinstance(error, dict):
        return ""
    return f"the API answers {api.text(error.get('code'))}: {api.text(error.get('info'))}"
