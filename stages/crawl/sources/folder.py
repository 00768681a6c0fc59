"""A local folder or ZIP file of pictures and videos, with a file that states the rights to them.

``rights.yaml`` beside the pictures maps patterns of names to what is known; the last pattern that fits wins, key by key:

    "*":           {licence: CC-BY-4.0, author: Studio Lux}
    "portraits/*": {consent: release-2026-07}
    "lent.jpg":    {licence: CC-BY-NC-4.0, author: A. Friend, url: https://example.org/lent}

``cat.txt`` beside ``cat.jpg`` is its caption, written by hand. Without a licence a picture is refused later, by reason.
"""

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from stages.config import settings
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import SourceError
from stages.records import Evidence

PICTURES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
RIGHTS = "rights.yaml"


@settings
class Config:
    """Which folder or archive."""

    path: Annotated[
        str, Field(min_length=1)
    ]  # of a folder or ZIP; a relative one is below data/own, where DVC sees changes


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Rights:
    """What is known of some files; the keys of ``rights.yaml``."""

    licence: str = ""
    author: str = ""
    title: str = ""
    url: str = ""
    consent: str = ""  # id of the record by which the people in them agreed


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        place = visit.own / config.path
        if not place.exists():
            raise SourceError(f"{place}: there is no such folder or ZIP; set crawl.sources.folder.path to one")
        reader = _Folder(place) if place.is_dir() else _Archive(place)
        patterns = _rights(place, reader)
        for name in sorted(reader.names):
            if (suffix := PurePosixPath(name).suffix.lower()) in PICTURES + VIDEOS:
                yield _found(name, reader, patterns, video=suffix in VIDEOS, limit=visit.manners.max_bytes)

    return collect


class _Folder:
    """The files of a folder, by their names below it."""

    def __init__(self, place: Path) -> None:
        self._place = place

    @cached_property
    def names(self) -> frozenset[str]:
        files = (path for path in self._place.rglob("*") if path.is_file() and not path.is_symlink())
        return frozenset(path.relative_to(self._place).as_posix() for path in files)

    def size(self, name: str) -> int:
        return (self._place / name).stat().st_size

    def read(self, name: str) -> bytes:
        return (self._place / name).read_bytes()


class _Archive:
    """The files of a ZIP, read in memory: nothing is ever unpacked to a path that the archive names."""

    def __init__(self, place: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(place)
        except (zipfile.BadZipFile, OSError) as error:
            raise SourceError(f"{place}: not a ZIP file ({error}); give a folder or a whole ZIP") from None
        for name in self._archive.namelist():
            if ".." in PurePosixPath(name.replace("\\", "/")).parts or name.startswith(("/", "\\")) or ":" in name[:2]:
                raise SourceError(f"{place}: holds {name!r}, a name that leads out of it; make the ZIP anew without it")

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(name for name in self._archive.namelist() if not name.endswith("/"))

    def size(self, name: str) -> int:
        return self._archive.getinfo(name).file_size

    def read(self, name: str) -> bytes:
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError) as error:
            raise SourceError(
                f"{name} cannot be read from the ZIP ({error}); make it anew, without a password"
            ) from None


def _rights(place: Path, reader: _Folder | _Archive) -> list[tuple[str, Mapping[str, Any]]]:
    """The patterns of ``rights.yaml`` in their order; none when there is no such file."""
    if RIGHTS not in reader.names:
        return []
    where = f"{place}/{RIGHTS}"
    try:
        found = yaml.safe_load(reader.read(RIGHTS))
        TypeAdapter(dict[str, Rights]).validate_python(found)
    except yaml.YAMLError as error:
        raise SourceError(f"{where}: is not YAML; {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        raise SourceError(f"{where}: is not UTF-8 text; {error}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise SourceError(
            f"{where}: {'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}; "
            'each line maps a pattern of names to licence, author, title, url or consent, as "*": {licence: CC0-1.0}'
        ) from None
    return list(found.items())


def _found(
    name: str, reader: _Folder | _Archive, patterns: list[tuple[str, Mapping[str, Any]]], *, video: bool, limit: int
) -> Found | Missed:
    if reader.size(name) > limit:
        return Missed(url=f"file:{name}", reason=f"more than {limit:,} bytes (max_bytes)", forbidden=False)
    try:
        body = reader.read(name)
    except SourceError as error:
        return Missed(url=f"file:{name}", reason=str(error), forbidden=False)
    known: dict[str, Any] = {}
    for pattern, values in patterns:
        if fnmatchcase(name, pattern):
            known |= values
    rights = Rights(**known)
    words = str(PurePosixPath(name).with_suffix(".txt"))
    licence = (Evidence(where="sidecar", raw=rights.licence, scope="picture"),) if rights.licence else ()
    return Found(
        url=rights.url or f"file:{name}",
        page="",
        kind="video" if video else "image",
        alt=reader.read(words).decode("utf-8", errors="replace").strip() if words in reader.names else "",
        title=rights.title or PurePosixPath(name).stem.replace("_", " "),
        author=rights.author,
        credit="",
        licence_evidence=licence,
        signals=(),
        consent=rights.consent,
        body=body,
    )
