"""A list of addresses of pictures and videos: plain text, CSV, TSV, JSON lines or Parquet, with what is known of each."""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages import machine
from stages.config import settings
from stages.crawl import media
from stages.crawl.journal import AHEAD, Journal
from stages.crawl.sites import Sites
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import FetchError, RobotsDenied, SourceError
from stages.records import Evidence
from stages.web import addresses
from stages.web.client import Answer, Client

Row = Mapping[str, str]


@settings
class Columns:
    """Which column holds what; empty: none does. A list of plain text has the column ``url`` and no other."""

    url: Annotated[str, Field(min_length=1)]
    page: str  # address of the page that shows it
    licence: str
    author: str
    title: str
    caption: str
    credit: str  # the credit line that is asked for


@settings
class Config:
    """Which list."""

    path: Annotated[str, Field(min_length=1)]  # a relative one is below data/own, where DVC sees changes
    columns: Columns
    max_items: Annotated[int, Field(gt=0)]  # addresses that are read


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        file = visit.own / config.path
        if not file.is_file():
            raise SourceError(f"{file}: there is no such file; set crawl.sources.urls.path to a list of addresses")
        folder = machine.cache(f"crawl/urls-{hashlib.sha256(config.path.encode()).hexdigest()[:16]}")
        with closing(Client(visit.manners)) as client:
            yield from crawl(config, file, Journal(client, folder, fresh_hours=visit.fresh_hours))

    return collect


def crawl(config: Config, file: Path, journal: Journal) -> Iterator[Found | Missed]:
    """What the addresses in ``file`` answer, in their order; the rows are read some at a time.

    Raises:
        SourceError: when the list cannot be read, or has no column of addresses.
    """
    rows, sites = islice(_rows(file, config.columns), config.max_items), Sites(journal)
    while batch := list(islice(rows, AHEAD)):
        sites.prepare(row["url"] for row in batch)
        for outcome, row in zip(journal.get_all(row["url"] for row in batch), batch, strict=True):
            yield _brought(sites, outcome, row)


def _brought(sites: Sites, outcome: Answer | FetchError, row: Row) -> Found | Missed:
    url = addresses.without_user(row["url"])
    if isinstance(outcome, FetchError):
        reason = str(outcome).removeprefix(f"{url}: ")
        return Missed(url=url, reason=reason, forbidden=isinstance(outcome, RobotsDenied))
    kind = media.kind(outcome)
    if not kind:
        return Missed(url=url, reason=f"is {outcome.headers['content-type']}, no picture", forbidden=False)
    licence = row.get("licence", "")
    return Found(
        url=url,
        page=row.get("page") or url,
        kind=kind,
        alt=row.get("caption", ""),
        title=row.get("title", ""),
        author=row.get("author", ""),
        credit=row.get("credit", ""),
        licence_evidence=(Evidence(where="list", raw=licence, scope="picture"),) if licence else (),
        signals=sites.signals(url, outcome, scope="picture"),
        consent="",
        group="",
        body=outcome.body,
    )


def _rows(file: Path, columns: Columns) -> Iterator[Row]:
    """What the list says of each address, by the names of ``Columns``; rows without an address are passed over."""
    suffix = file.suffix.lower()
    readers = {".txt": _text, ".csv": _commas, ".tsv": _tabs, ".jsonl": _json_lines, ".parquet": _parquet}
    if suffix not in readers:
        raise SourceError(f"{file}: {suffix or 'no ending'} is no kind of list; give one of {', '.join(readers)}")
    wanted = {name: column for name in Columns.__dataclass_fields__ if (column := getattr(columns, name))}
    try:
        for number, record in enumerate(readers[suffix](file), 1):
            if number == 1 and wanted["url"] not in record:
                raise SourceError(
                    f"{file}: has no column {wanted['url']!r}, but {', '.join(map(repr, record))}; set columns.url"
                )
            row = {name: _plain(record.get(column)) for name, column in wanted.items()}
            if row["url"]:
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{file}: cannot be read as UTF-8 {suffix} ({error}); write it anew") from None


def _plain(value: Any) -> str:
    return "" if value is None else str(value).encode(errors="replace").decode().strip()


def _text(file: Path) -> Iterator[Mapping[str, Any]]:
    """A line an address; empty lines and those that start with ``#`` are passed over."""
    with file.open(encoding="utf-8-sig") as lines:
        yield from ({"url": line.strip()} for line in lines if line.strip() and not line.startswith("#"))


def _commas(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines, strict=True)


def _tabs(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        yield from csv.DictReader(lines, dialect="excel-tab", strict=True)


def _json_lines(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise SourceError(f"{file}:{number}: is no JSON object; give one in each line")
            yield record


def _parquet(file: Path) -> Iterator[Mapping[str, Any]]:
    from pyarrow import ArrowException, parquet

    try:
        for batch in parquet.ParquetFile(file).iter_batches(batch_size=AHEAD):
            yield from batch.to_pylist()
    except (ArrowException, OSError) as error:
        raise SourceError(f"{file}: cannot be read as Parquet ({str(error).splitlines()[0]}); write it anew") from None
