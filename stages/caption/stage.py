"""Words for every kept frame, and whether it shows the subject or what must not be forgotten."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from stages import plugins, tables
from stages.caption.captioners import Captioner
from stages.config import settings
from stages.errors import TableError
from stages.records import Caption, Frame, Item, Report, Role, Verdict


@settings
class Config:
    """Which captioner, and what the adapter is about."""

    captioner: dict[str, Any]  # one of ``captioners``
    subject: str  # pictures whose words hold this are the subject, the others the prior; empty: all are the subject
    trigger: str  # put in front of the subject's captions; empty: nothing
    max_words: Annotated[int, Field(gt=0)]


def run(config: Config, *, crawled: Path, frames: Path, cleaned: Path, out: Path) -> Report:
    """Write one ``Caption`` for each kept frame.

    Raises:
        TableError: when no caption is about the subject.
    """
    words: Captioner = plugins.build("stages.caption.captioners", config.captioner)
    items, kept = tables.by_id(crawled, Item), {each.id for each in tables.read(cleaned, Verdict) if each.keep}
    rows = [
        caption(frame.id, words(items[frame.item]), config) for frame in tables.read(frames, Frame) if frame.id in kept
    ]
    subjects = sum(row.role == "subject" for row in rows)
    if not subjects:
        raise TableError(
            f"caption: none of {len(rows)} captions holds {config.subject!r}; set caption.subject to a word of the subject's pages"
        )
    tables.write(out, Caption, rows)
    return {"subject": subjects, "prior": len(rows) - subjects, "empty": sum(not row.text for row in rows)}


def caption(id: str, words: str, config: Config) -> Caption:
    """The caption of one frame: white space folded, cut to ``max_words``, the trigger before the subject's."""
    text = " ".join(words.split()[: config.max_words])
    role: Role = "subject" if config.subject.lower() in text.lower() else "prior"
    if role == "subject" and config.trigger:
        text = f"{config.trigger} {text}".strip()
    return Caption(id=id, text=text, role=role)
