"""Several captioners: the words that agree most with the others' are chosen, and all are kept."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from stages import plugins
from stages.caption import agreement
from stages.caption.captioners import Captioner, Told, View
from stages.config import settings


@settings
class Config:
    """Who is asked."""

    captioners: Annotated[
        dict[str, dict[str, Any]], Field(min_length=2)
    ]  # by a name; of equal agreement the first wins


def build(config: Config) -> Captioner:
    """The captioner over ``config``. The members are asked one after the other, so that one model is loaded at a time.

    Raises:
        ConfigError: when a member does not exist, or its settings do not fit.
    """
    members = {name: plugins.build("stages.caption.captioners", part) for name, part in config.captioners.items()}

    def caption(views: Sequence[View]) -> list[tuple[Told, ...]]:
        told = [_named(name, member(views)) for name, member in members.items()]
        return [ranked(of_one) for of_one in zip(*told, strict=True)]

    return caption


def _named(name: str, told: Sequence[tuple[Told, ...]]) -> list[Told]:
    return [replace(chosen, by=name) for chosen, *_ in told]


def ranked(told: Sequence[Told]) -> tuple[Told, ...]:
    """``told`` with their agreement, the greatest first; whoever said nothing comes last."""
    scored = [
        replace(each, score=score) for each, score in zip(told, agreement.scores([t.text for t in told]), strict=True)
    ]
    return tuple(sorted(scored, key=lambda each: (not each.text.strip(), -(each.score or 0.0))))
