"""Names of people, found in captions by a model of the language: what patterns cannot do, at the price of its errors."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from stages import machine, pinned
from stages.caption import memory, transformer
from stages.caption.transformer import Model
from stages.config import settings

WORD = re.compile(r"\w[\w'\u2019-]*")


@settings
class Config:
    """Which token classifier of transformers, and which of its labels are people."""

    model: Model
    labels: Annotated[tuple[str, ...], Field(min_length=1)]  # without B-, I-, E- or S-
    threshold: Annotated[float, Field(ge=0, le=1)]  # probability from which a token is one of them


def find(texts: Sequence[str], config: Config | None) -> list[tuple[str, ...]]:
    """The names in each of ``texts``; none where there is no ``config``. What was found once is not looked for again.

    Raises:
        ModelError: when the model cannot be had.
    """
    if config is None:
        return [() for _ in texts]
    fingerprint = transformer.fingerprint(__name__, config, pinned.identity(config.model))
    store = machine.cache("captions") / f"names-{fingerprint}"
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    wanted = {digest: text for digest, text in zip(digests, texts, strict=True) if text}
    found = memory.remembered(store, wanted, lambda: _finder(config), batch=config.model.batch)
    return [tuple(cut(text, found.get(digest, ""))) for digest, text in zip(digests, texts, strict=True)]


def cut(text: str, spans: str) -> Iterator[str]:
    """The parts of ``text`` that ``spans`` holds as ``start-end``: the memory keeps places and no names."""
    for span in spans.split():
        start, end = map(int, span.split("-"))
        yield text[start:end]


def _finder(config: Config) -> Callable[[Sequence[str]], list[str]]:
    import torch

    loaded = transformer.load(config.model, auto="AutoModelForTokenClassification", kinds=())
    labels: Mapping[int, str] = loaded.model.config.id2label
    people = [number for number, label in labels.items() if label.split("-", 1)[-1] in config.labels]

    def ask(texts: Sequence[str]) -> list[str]:
        seen = loaded.tokenizer(
            list(texts), padding=True, truncation=True, return_offsets_mapping=True, return_tensors="pt"
        )
        places, given = seen.pop("offset_mapping").tolist(), transformer.moved(seen, loaded.model)
        with torch.inference_mode():
            chances_BT = loaded.model(**given).logits.float().softmax(dim=-1)[..., people].sum(dim=-1).cpu()
        sure = (chances_BT >= config.threshold).tolist()
        return [spans(*each) for each in zip(texts, places, sure, strict=True)]

    return ask


def spans(text: str, places: Sequence[Sequence[int]], sure: Sequence[Any]) -> str:
    """The words of ``text`` with a token that is ``sure``, as ``start-end``; neighbours with nothing between are one."""
    tokens = [(start, end) for (start, end), person in zip(places, sure, strict=True) if person]
    found: list[tuple[int, int]] = []
    for word in WORD.finditer(text):
        if any(start < word.end() and end > word.start() for start, end in tokens):
            joined = found and not text[found[-1][1] : word.start()].strip(" .")
            start = found.pop()[0] if joined else word.start()
            found.append((start, word.end()))
    return " ".join(f"{start}-{end}" for start, end in found)
