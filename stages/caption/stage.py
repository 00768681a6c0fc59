"""Words for every kept frame, and whether it shows the subject or what must not be forgotten."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from stages import plugins, shards, tables
from stages.caption import hand, names, private, transformer, words
from stages.caption.captioners import Captioner, Told, View
from stages.config import settings
from stages.errors import TableError
from stages.records import Caption, CaptionPart, Failure, Frame, Item, Redaction, Report, Role, Verdict

log = logging.getLogger(__name__)

HAND = "hand"
COUNTED = ("hand", "file_name", "cut", "repeated", "unusable", *(f"private_{kind}" for kind in private.KINDS))


@settings
class Config:
    """Which captioner, what the adapter is about, and what a caption may hold."""

    captioner: dict[str, Any]  # one of ``captioners``
    subject: str  # pictures whose words hold this are the subject, the others the prior; empty: all are the subject
    trigger: str  # put in front of the subject's captions; empty: nothing
    prefix: str  # put before the words of every caption that has any, behind the trigger
    suffix: str  # put behind them
    max_words: Annotated[int, Field(gt=0)]  # of the words themselves
    max_tokens: Annotated[int, Field(gt=0)]  # of the whole, where there is a tokenizer
    tokenizer: str  # folder of the family's tokenizer; empty: tokens are not counted
    private: private.Config


def run(
    config: Config, *, own: Path, crawled: Path, frames: Path, cleaned: Path, anonymised: Path, out: Path
) -> Report:
    """Write one ``Caption`` for each kept frame, and a ``CaptionPart`` for each captioner that was asked about it.

    What ``anonymise`` could not redact is left out: no captioner sees it.

    Raises:
        ModelError: when a captioner's model cannot be had.
        SourceError: when the captions written by hand cannot be read.
        TableError: when no caption is about the subject.
    """
    items, written = tables.by_id(crawled, Item), hand.read(own)
    kept = {each.id for each in tables.read(cleaned, Verdict) if each.keep}
    kept -= {each.id for each in tables.read(anonymised, Failure)}
    rows = [frame for frame in tables.read(frames, Frame) if frame.id in kept]
    by_hand = {frame.id: written.about(items[frame.item], frame) for frame in rows}
    asked = [frame for frame in rows if by_hand[frame.id] is None]
    views = _views(asked, items, _reader({"crawl": crawled, "frames": frames}, anonymised))
    captioner: Captioner = plugins.build("stages.caption.captioners", config.captioner)
    counts, fits = Counter[str](hand=len(rows) - len(asked)), _limit(config)
    told = dict(zip([frame.id for frame in asked], captioner(views), strict=True))
    parts = _parts(told, {frame.id: items[frame.item].author for frame in asked}, config.private, counts)
    captions = [
        caption(frame.id, *_chosen(by_hand[frame.id], parts.get(frame.id, ())), config, fits=fits, counts=counts)
        for frame in rows
    ]
    counts["file_name"] = sum(is_file_name(parts[each.id], items[each.item]) for each in asked)
    if counts["file_name"]:
        log.warning(
            "caption: %d of %d captions are only the names of files; data/own/README.md says how to write better ones",
            counts["file_name"],
            len(captions),
        )
    tables.write(out, Caption, captions)
    tables.write(out, CaptionPart, [part for each in parts.values() for part in each])
    return _report(captions, counts, config)


def caption(
    id: str, text: str, by: str, config: Config, *, fits: Callable[[str], bool], counts: Counter[str]
) -> Caption:
    """The caption of one frame: white space folded, cut, prefix and suffix around it, the trigger before the subject's.

    ``fits`` says whether a whole caption is short enough. Only the words are cut, never what is put around them.
    """
    text = words.folded(text)
    role: Role = "subject" if config.subject.lower() in text.lower() else "prior"
    trigger = config.trigger if role == "subject" else ""

    def whole(some: str) -> str:
        end = config.suffix if config.suffix.startswith((",", ".", ";", ":")) else f" {config.suffix}"
        around = [trigger, config.prefix, some + end] if some else [trigger]
        return " ".join(part for part in around if part).strip()

    short = words.cut(text, most=config.max_words, fits=lambda some: fits(whole(some)))
    counts["cut"] += short != text
    return Caption(id=id, text=whole(short), role=role, by=by)


def is_file_name(parts: Sequence[CaptionPart], item: Item) -> bool:
    """Whether the words for ``item`` are those that a file of the user's has for a name, underscores as spaces."""
    name = PurePosixPath(item.url.removeprefix("file:")).stem.replace("_", " ")
    return item.url.startswith("file:") and not item.alt and bool(parts) and parts[0].text == words.folded(name)


def _reader(stores: Mapping[str, Path], anonymised: Path) -> Callable[[Frame], bytes]:
    """What reads a frame's bytes: the redacted ones where there are such, so that no captioner sees the face."""
    redacted = {row.id: row.place for row in tables.read(anonymised, Redaction)}

    def read(frame: Frame) -> bytes:
        if frame.id in redacted:
            return shards.read(anonymised, redacted[frame.id])
        return shards.read(stores[frame.store], frame.place)

    return read


def _views(frames: Sequence[Frame], items: Mapping[str, Item], read: Callable[[Frame], bytes]) -> list[View]:
    return [View(item=items[frame.item], read=partial(read, frame)) for frame in frames]


def _limit(config: Config) -> Callable[[str], bool]:
    """Whether a caption is short enough for the family's text encoder; any is where no tokenizer is given."""
    count = transformer.token_counter(Path(config.tokenizer)) if config.tokenizer else None
    return lambda text: count is None or count(text) <= config.max_tokens


def _parts(
    told: Mapping[str, Sequence[Told]], authors: Mapping[str, str], policy: private.Config, counts: Counter[str]
) -> dict[str, list[CaptionPart]]:
    """What was told of each frame, without what no caption should hold. Who had no usable words comes last."""
    said = {(id, each): _usable(each.text, counts) for id, of_one in told.items() for each in of_one}
    finder = None if policy.names == "keep" else policy.finder
    found = dict(zip(said, names.find(list(said.values()), finder), strict=True))
    parts: dict[str, list[CaptionPart]] = {id: [] for id in told}
    for (id, each), text in said.items():
        clean, met = private.cleaned(text, (*private.people(authors[id]), *found[id, each]), policy)
        counts.update({f"private_{kind}": number for kind, number in met.items()})
        part = f"{id}-{each.by}"
        parts[id].append(
            CaptionPart(id=part, frame=id, captioner=each.by, model=each.model, text=clean, score=each.score)
        )
    return {id: sorted(each, key=lambda part: not part.text) for id, each in parts.items()}


def _usable(text: str, counts: Counter[str]) -> str:
    """``text`` without a model's own tokens and without endless repetition."""
    said = words.spoken(text)
    once = words.unrepeated(said)
    counts["unusable"] += bool(text.strip()) and not said
    counts["repeated"] += once != said
    return once


def _chosen(by_hand: str | None, parts: Sequence[CaptionPart]) -> tuple[str, str]:
    """The words of a frame, and whose they are."""
    if by_hand is not None:
        return by_hand, HAND
    return parts[0].text, f"{parts[0].captioner} {parts[0].model}".strip() if parts[0].text else ""


def _common(captions: Sequence[Caption]) -> str:
    """The words that most captions hold, longer than a syllable, with how many hold them."""
    held = Counter(word for row in captions for word in set(row.text.lower().split()) if len(word) > 3)
    return ", ".join(
        f"{word} {count}" for word, count in sorted(held.items(), key=lambda each: (-each[1], each[0]))[:8]
    )


def _report(captions: Sequence[Caption], counts: Counter[str], config: Config) -> Report:
    """How many captions are of which role, whose they are, and what was done to them."""
    subjects = sum(row.role == "subject" for row in captions)
    if not subjects:
        raise TableError(
            f"caption: none of {len(captions)} captions holds {config.subject!r}; "
            f"set caption.subject to a word that the subject's captions hold; common are: {_common(captions)}"
        )
    found = {"subject": subjects, "prior": len(captions) - subjects, "empty": sum(not row.text for row in captions)}
    return found | {name: counts[name] for name in COUNTED}
