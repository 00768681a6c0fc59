"""A local folder, ZIP or tar of pictures and videos, with files that state the rights to them.

``rights.yaml`` maps patterns of names, seen from where it lies, to what is known of the files beside and below it; the
last pattern that fits wins, key by key, and a file in a deeper folder goes before one above:

    "*":           {licence: CC-BY-4.0, author: Studio Lux}
    "portraits/*": {consent: release-2026-07}
    "shoot-3/*":   {group: shoot 3}
    "lent.jpg":    {licence: CC-BY-NC-4.0, author: A. Friend, url: https://example.org/lent}

What has one ``group`` never crosses the split between training and held-out pictures. Without the key a file belongs with
those that its name calls copies, cuts or edits of it: ``cat.jpg``, ``cat-crop2.jpg`` and ``cat copy.png`` are one group.

``cat.txt`` beside ``cat.jpg`` is its caption, written by hand, and ``cat.mask.png`` its mask. Without a licence a picture is refused later, by reason.
A pattern that fits no file, a caption or mask without its picture and whatever an archive hides are said and not passed over.
"""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from stages.config import settings
from stages.crawl.archives import Broken, Limits
from stages.crawl.archives.files import Files, opened
from stages.crawl.sources import Found, Missed, Source, Visit
from stages.errors import SourceError
from stages.records import Evidence

PICTURES = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
ARCHIVES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst")
RIGHTS = "rights.yaml"
MASK = ".mask.png"
# What names of one photograph's copies end in, after what the photograph is called: cat-crop2, cat - Copy (3), cat_640x480.
# Bare numbers do not count: whoever renames a folder of photographs gives them to all.
DERIVED = re.compile(
    r"(?<=[^ _.-])(?:[ _.-]+(?:copy|copie|kopie|crop|cropped|cut|cutout|edit|edited|bearbeitet|resized|thumb|thumbnail|"
    r"\d{2,5}x\d{2,5})(?:[ _.-]*(?:\d+|\(\d+\)))?)+$"
)
LONGEST = 255  # letters of a name on a file system; archives hold longer ones
TEXT = 1024 * 1024  # bytes of a caption or a file of rights
PAPERS = (
    "blocklist",
    "copying",
    "licence",
    "license",
    "notice",
    "readme",
    "urls",
)  # texts that stand beside pictures and are no captions; the last is what ``urls`` reads


@settings
class Config:
    """Which folder or archive, and what may come out of an archive, whatever it claims."""

    path: Annotated[str, Field(min_length=1)]  # a relative one is below data/own, where DVC sees changes
    max_total: Annotated[int, Field(gt=0)]  # bytes of all its files, unpacked
    max_ratio: Annotated[int, Field(gt=0)]  # unpacked to packed bytes
    max_entries: Annotated[int, Field(gt=0)]


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class Rights:
    """What is known of some files; the keys of ``rights.yaml``."""

    licence: str = ""
    author: str = ""
    title: str = ""
    url: str = ""
    consent: str = ""  # id of the record by which the people in them agreed
    group: str | None = None  # what belongs together; none: by the name, empty: with nothing


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of one ``rights.yaml``."""

    home: str  # the folder that the file lies in, with a slash at its end; empty at the top
    pattern: str
    values: Mapping[str, Any]

    def fits(self, name: str) -> bool:
        """Whether the rule is about the file ``name``."""
        return name.startswith(self.home) and fnmatchcase(name[len(self.home) :], self.pattern)


def build(config: Config) -> Source:
    """The source over ``config``."""

    def collect(visit: Visit) -> Iterator[Found | Missed]:
        place = visit.own / config.path
        if not place.exists():
            raise SourceError(f"{place}: there is no such folder or archive; set crawl.sources.folder.path to one")
        limits = Limits(total=config.max_total, ratio=config.max_ratio, entries=config.max_entries)
        with opened(place, limits) as files:
            yield from _brought(place, files, limit=visit.manners.max_bytes)

    return collect


def _brought(place: Path, files: Files, *, limit: int) -> Iterator[Found | Missed]:
    rules = _rules(place, files)
    names = [name for name in sorted(files.names) if not _is_litter(name)]
    media = [name for name in names if _suffix(name) in PICTURES + VIDEOS and not name.endswith(MASK)]
    yield from (_missed(name, fault) for name, fault in sorted(files.faults.items()) if not _is_litter(name))
    yield from (
        _missed(name, "an archive inside; name it in path, it is not opened")
        for name in names
        if _suffix(name) in ARCHIVES
    )
    for rule in rules:
        if not any(rule.fits(name) for name in media):
            yield _missed(f"{rule.home}{RIGHTS}", f"its pattern {rule.pattern!r} fits no picture and no video")
    shown = {_beside(name, ".txt") for name in media}
    for name in names:
        if _suffix(name) == ".txt" and name not in shown and PurePosixPath(name).stem.lower() not in PAPERS:
            yield _missed(name, "a caption without its picture")
    masks = {_beside(name, MASK) for name in media if _suffix(name) in PICTURES}
    yield from (
        _missed(name, "a mask without its picture") for name in names if name.endswith(MASK) and name not in masks
    )
    for name in media:
        yield _found(name, files, rules, limit=limit)


def _rules(place: Path, files: Files) -> list[Rule]:
    """The rules of every ``rights.yaml``, those of deeper folders last; none when there is no such file."""
    for name, fault in files.faults.items():
        if PurePosixPath(name).name == RIGHTS:
            raise SourceError(f"{place}/{name}: {fault}; without it the rights to the pictures are not known")
    sources = (name for name in files.names if PurePosixPath(name).name == RIGHTS)
    return [
        Rule(home=name.removesuffix(RIGHTS), pattern=pattern, values=values)
        for name in sorted(sources, key=lambda name: (name.count("/"), name))
        for pattern, values in _rights(f"{place}/{name}", name, files).items()
    ]


def _rights(where: str, name: str, files: Files) -> Mapping[str, Mapping[str, Any]]:
    """The patterns of one ``rights.yaml`` in their order."""
    try:
        found = yaml.safe_load(files.read(name, limit=TEXT))
        TypeAdapter(dict[str, Rights]).validate_python(found)
    except Broken as error:
        raise SourceError(f"{where}: {error}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise SourceError(f"{where}: is not YAML; {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        raise SourceError(f"{where}: is not UTF-8 text; {error}") from None
    except ValidationError as error:
        fault = error.errors()[0]
        strange = fault["type"] == "unexpected_keyword_argument"
        raise SourceError(
            f"{where}: {'.'.join(map(str, fault['loc'])) or 'the file'}: {'there is no such key' if strange else fault['msg']}; "
            'each line maps a pattern of names to licence, author, title, url, consent or group, as "*": {licence: CC0-1.0}'
        ) from None
    return dict(found)


def _found(name: str, files: Files, rules: list[Rule], *, limit: int) -> Found | Missed:
    try:
        body = files.read(name, limit=limit)
        mask = files.read(marks, limit=limit) if (marks := _beside(name, MASK)) in files.names else b""
    except Broken as error:
        return _missed(name, str(error))
    try:
        alt = _caption(name, files)
    except Broken as error:
        return _missed(name, f"its caption: {error}")
    known: dict[str, Any] = {}
    for rule in rules:
        if rule.fits(name):
            known |= rule.values
    rights = Rights(**known)
    licence = (Evidence(where="sidecar", raw=rights.licence, scope="picture"),) if rights.licence else ()
    return Found(
        url=rights.url or f"file:{name}",
        page="",
        kind="video" if _suffix(name) in VIDEOS else "image",
        alt=alt,
        title=rights.title or PurePosixPath(name).stem.replace("_", " "),
        author=rights.author,
        credit="",
        licence_evidence=licence,
        signals=(),
        consent=rights.consent,
        group=_group(name) if rights.group is None else rights.group,
        body=body,
        mask=mask,
    )


def _group(name: str) -> str:
    """What the file ``name`` shares with its copies, cuts and edits: folder and stem, without the words that say so."""
    path = PurePosixPath(name)
    stem = path.stem.lower()
    return f"file:{path.parent / (DERIVED.sub('', stem) if len(stem) <= LONGEST else stem)}"


def _caption(name: str, files: Files) -> str:
    words = _beside(name, ".txt")
    return files.read(words, limit=TEXT).decode("utf-8", errors="replace").strip() if words in files.names else ""


def _missed(name: str, reason: str) -> Missed:
    return Missed(url=f"file:{name}", reason=reason, forbidden=False)


def _beside(name: str, suffix: str) -> str:
    """The name of the file that says something of the file ``name``."""
    return str(PurePosixPath(name).with_suffix(suffix))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _is_litter(name: str) -> bool:
    """Whether macOS put the file there for itself: it has the picture's name and is none."""
    return any(part == "__MACOSX" or part.startswith("._") for part in name.split("/"))
