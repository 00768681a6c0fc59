"""What a model said, kept in the cache folder: one picture more costs one, and what was killed midway goes on.

An entry is found by the digest of what was asked, inside a folder whose name says who was asked and how.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from stages.tables import replace

T = TypeVar("T")


def remembered(
    store: Path, wanted: Mapping[str, T], load: Callable[[], Callable[[Sequence[T]], list[str]]], *, batch: int
) -> dict[str, str]:
    """The text for each of ``wanted``, which are keyed by digest; what ``load`` makes is asked for those not in ``store``.

    Each batch is kept as soon as it is there. Nothing is loaded when nothing is new.
    """
    texts = {digest: text for digest in wanted if (text := _recalled(store, digest)) is not None}
    new = {digest: wanted[digest] for digest in sorted(wanted) if digest not in texts}
    for digest, text in _answers(new, load, batch=batch, label=f"caption: {store.name}"):
        replace(_file(store, digest), json.dumps({"text": text}).encode())
        texts[digest] = text
    return texts


def _answers(
    new: Mapping[str, T], load: Callable[[], Callable[[Sequence[T]], list[str]]], *, batch: int, label: str
) -> Iterator[tuple[str, str]]:
    if not new:
        return
    ask, digests = load(), list(new)
    with tqdm(total=len(digests), desc=label, disable=not sys.stderr.isatty(), leave=False) as bar:
        for start in range(0, len(digests), batch):
            some = digests[start : start + batch]
            yield from zip(some, ask([new[digest] for digest in some]), strict=True)
            bar.update(len(some))


def _file(store: Path, digest: str) -> Path:
    return store / digest[:2] / f"{digest}.json"


def _recalled(store: Path, digest: str) -> str | None:
    """The text that was kept; ``None`` when there is none, or the file was damaged."""
    try:
        text = json.loads(_file(store, digest).read_bytes())["text"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None
