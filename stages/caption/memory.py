"""What a model said, kept in the cache folder: one picture more costs one, and what was killed midway goes on.

An entry is found by the digest of what was asked, inside a folder whose name says who was asked and how.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from stages import memory

T = TypeVar("T")


def remembered(
    store: Path, wanted: Mapping[str, T], load: Callable[[], Callable[[Sequence[T]], list[str]]], *, batch: int
) -> dict[str, str]:
    """The text for each of ``wanted``, which are keyed by digest; what ``load`` makes is asked for those not in ``store``.

    Each batch is kept as soon as it is there. Nothing is loaded when nothing is new.
    """
    kept = {digest: memory.recalled(memory.place(store, digest)) for digest in wanted}
    texts = {digest: text.decode() for digest, text in kept.items() if text is not None}
    new = {digest: wanted[digest] for digest in sorted(wanted) if digest not in texts}
    for digest, text in _answers(new, load, batch=batch, label=f"caption: {store.name}"):
        memory.keep(memory.place(store, digest), text.encode())
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
