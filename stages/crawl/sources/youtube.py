"""YouTube: videos that their makers put under Creative Commons.

Of the YouTube Data API v3 it follows ``search.list`` (``videoLicense=creativeCommon``, ``type=video``, ``order=date``,
``publishedAfter``, ``publishedBefore``, ``maxResults``, ``pageToken``; 100 units a page) and ``videos.list`` (``snippet``,
``status.license``, ``contentDetails.duration``; 1 unit), and its errors (``quotaExceeded``, ``forbidden``). A project has
10,000 units a day.

The API gives facts and no video. YouTube's terms allow a download only where YouTube or the rights holder does, so the
videos are Missed with that reason, unless ``download`` is on: then yt-dlp (extra ``youtube``) fetches what is under
Creative Commons, one stream of sound and picture, no larger than max_bytes. It makes its own requests and does not ask
robots.txt.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages.config import settings
from stages.crawl import api
from stages.crawl.api import Api, Budget, Record, Row
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import FetchError, SourceError
from stages.web.client import Secret

KEY = "DARKROOM_YOUTUBE_KEY"
WHERE = "https://console.cloud.google.com/apis/credentials"
SEARCH, LIST = 100, 1  # units
CREATIVE_COMMONS = "creativeCommon"  # value of status.license
NOT_ALLOWED = "the API gives no video and YouTube's terms no download; set crawl.sources.youtube.download if you may"


@settings
class Config:
    """Which videos."""

    base: Annotated[str, Field(pattern=r"^https?://")]  # address of the API
    search: Annotated[str, Field(min_length=1)]  # words
    since: date  # of publication, in UTC
    until: date  # of publication, in UTC; a fixed day, so that the same search finds the same
    licence: str  # SPDX of YouTube's "Creative Commons Attribution"; its help names no version
    longest: Annotated[int, Field(gt=0)]  # seconds of a video
    download: bool  # whether you may, and yt-dlp shall, fetch the videos
    max_items: Annotated[int, Field(gt=0)]
    budget: Annotated[int, Field(gt=0)]  # units in 24 hours


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        secret = Secret(headers={"X-Goog-Api-Key": api.key(KEY, WHERE)})
        budget = Budget("youtube", units=config.budget, hours=24)
        fetch = _downloader(visit) if config.download else _refuser()
        with closing(Api("youtube", visit, budget, secret=secret, explain=_explain)) as youtube:
            yield from api.bring(_records(config, youtube), fetch, most=config.max_items)

    return collect


def _records(config: Config, youtube: Api) -> Iterator[Record | Missed]:
    query: dict[str, str | int] = {"part": "snippet", "type": "video", "videoLicense": CREATIVE_COMMONS}
    query |= {"q": config.search, "order": "date", "maxResults": 50, "safeSearch": "strict"}
    query |= {"publishedAfter": _moment(config.since, time.min), "publishedBefore": _moment(config.until, time.max)}
    token = ""
    while True:
        page = youtube.page(
            f"{config.base}/youtube/v3/search", query | ({"pageToken": token} if token else {}), cost=SEARCH
        )
        if ids := [id for each in api.rows(page, "items") if (id := _video_id(each.get("id")))]:
            facts: dict[str, str | int] = {
                "part": "snippet,status,contentDetails",
                "id": ",".join(ids),
                "maxResults": 50,
            }
            videos = youtube.page(f"{config.base}/youtube/v3/videos", facts, cost=LIST)
            known = {api.text(each.get("id")): each for each in api.rows(videos, "items")}
            yield from (_record(id, known.get(id, {}), config) for id in ids)
        before, token = token, api.text(page.get("nextPageToken"))
        if not token or token == before:
            return


def _record(id: str, each: Row, config: Config) -> Record | Missed:
    url = f"https://www.youtube.com/watch?v={id}"
    said, status = each.get("snippet"), each.get("status")
    if not isinstance(said, dict) or not isinstance(status, dict):
        return api.missed(url, "the API tells nothing of the video: it may be gone")
    details = each.get("contentDetails")
    length = seconds(api.text(details.get("duration") if isinstance(details, dict) else ""))
    if length > config.longest:
        return api.missed(url, f"{length} seconds, longer than {config.longest} (longest)")
    licence = api.text(status.get("license"))
    return Record(
        url=url,
        page=url,
        kind="video",
        alt=api.text(said.get("title")),
        title=api.text(said.get("title")),
        author=api.text(said.get("channelTitle")),
        credit="",
        licence=config.licence if licence == CREATIVE_COMMONS else licence,
        where=f"api youtube {licence}",
    )


def seconds(duration: str) -> int:
    """Of an ISO 8601 duration as ``P1DT2H3M4S``; 0 when it is none."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", duration, re.ASCII)
    days, hours, minutes, rest = (int(part or 0) for part in found.groups()) if found else (0, 0, 0, 0)
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _refuser() -> api.Fetch:
    return lambda records: [Missed(url=each.url, reason=NOT_ALLOWED, forbidden=True) for each in records]


def _downloader(visit: Visit) -> api.Fetch:
    """What fetches a record by yt-dlp, in a process of its own: imported, it would change ``requests`` for all."""
    if find_spec("yt_dlp") is None:
        raise SourceError(
            "crawl.sources.youtube.download: yt-dlp is not installed; `pip install 'darkroom[youtube]'`, or set it to false"
        )

    def fetch(record: Record) -> Found | Missed:
        if not record.where.endswith(CREATIVE_COMMONS):
            return Missed(url=record.url, reason="not under Creative Commons", forbidden=True)
        with tempfile.TemporaryDirectory() as folder:
            if fault := _download(record.url, folder, visit):
                return api.missed(record.url, f"yt-dlp: {fault}")
            files = sorted(Path(folder).iterdir())
            body = files[0].read_bytes() if files else b""
        if not body:
            return api.missed(record.url, f"more than {visit.manners.max_bytes:,} bytes (max_bytes)")
        return api.found(record, body, ())

    return lambda records: map(fetch, records)


def _download(url: str, folder: str, visit: Visit) -> str:
    """Put the video into ``folder``; gives why that failed, and nothing when it did not or the video is too large."""
    command = [sys.executable, "-m", "yt_dlp", *options(folder, visit), "--", url]
    try:
        done = subprocess.run(command, capture_output=True, timeout=visit.manners.deadline, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return f"not done after {visit.manners.deadline:g} s (deadline)"
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    return api.text(last) or f"ended with {done.returncode}" if done.returncode else ""


def options(folder: str, visit: Visit) -> list[str]:
    """Of yt-dlp: one file of picture and sound, which needs no ffmpeg; nothing but the video is written."""
    manners = visit.manners
    alone = ["--ignore-config", "--no-plugin-dirs", "--no-cache-dir", "--no-playlist", "--no-part"]
    quiet = ["--quiet", "--no-warnings", "--no-progress", "--color", "never"]
    patient = ["--socket-timeout", f"{manners.timeout:g}", "--retries", str(manners.retries)]
    small = ["--max-filesize", str(manners.max_bytes), "--format", "best[ext=mp4]/best"]
    return [*alone, *quiet, *patient, *small, "--output", f"{folder}/%(id)s.%(ext)s"]


def _video_id(value: Any) -> str:
    """The id of a search's result, which may be of a channel or a playlist, too."""
    id = api.text(value.get("videoId")) if isinstance(value, dict) else ""
    return id if re.fullmatch(r"[\w-]+", id, re.ASCII) else ""


def _moment(day: date, hour: time) -> str:
    return datetime.combine(day, hour.replace(microsecond=0), UTC).isoformat().replace("+00:00", "Z")


def _explain(error: FetchError) -> str:
    if error.status == 429 or (error.status == 403 and "xceeded" in error.excerpt):
        return "the API's own quota is used up; run crawl again after midnight Pacific time, it goes on here"
    if error.status in (401, 403) or (error.status == 400 and "API key" in error.excerpt):
        api.refused(KEY, f"status {error.status}", WHERE)
    return ""
