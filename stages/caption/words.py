"""What may stand in a caption: no rests of a model's own language, no endless repetition, no more than is read."""

import re
import unicodedata
from collections.abc import Callable

SPECIAL = re.compile(
    r"<\|[^<>|]{1,40}\|>|</?(?:s|pad|unk|bos|eos|mask|cls|sep|image|end_of_utterance)>|\[(?:PAD|UNK|CLS|SEP|MASK)\]"
)
JOINERS = "\u200c\u200d"  # not seen, and needed to write Persian, Hindi and some emoji
READ = 4000  # characters; several times what any text encoder reads
LONGEST = 12  # words of a phrase that is looked for when it stands several times in a row
TIMES = 3  # in a row: "a very, very long road" is English
LOOSE = " ,;:-\u2013\u2014&("  # what must not end a caption that was cut


def folded(text: str) -> str:
    """``text`` in NFC, on one line, single spaces, without characters that are not seen: controls, escapes, marks."""
    spaced = "".join(" " if char.isspace() else char for char in unicodedata.normalize("NFC", text))
    seen = "".join(char for char in spaced if char in JOINERS or unicodedata.category(char)[0] != "C")
    return " ".join(unicodedata.normalize("NFC", seen).split())


def spoken(text: str) -> str:
    """``text`` as a model left it, without special tokens and without quotes or stars around the whole of it.

    Of endless text it is the first ``READ`` characters: the web has alternative text of a megabyte.
    """
    text, before = text[:READ], None
    while text != before:
        before = text
        text = folded(SPECIAL.sub(" ", text))
        for mark in ('"', "**", "`"):
            if len(text) >= 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
                text = text[len(mark) : len(text) - len(mark)]
    return text if any(char.isalnum() for char in text) else ""


def unrepeated(text: str) -> str:
    """``text`` with every phrase said once that stood there ``TIMES`` times in a row or more."""
    words, before = text.split(), list[str]()
    while words != before:
        before = words
        for length in range(1, LONGEST + 1):
            words = _once(words, length)
    return " ".join(words)


def _once(words: list[str], length: int) -> list[str]:
    keys, kept, start = [word.lower().strip(".,;:!") for word in words], list[str](), 0
    while start < len(words):
        phrase, end = keys[start : start + length], start + length
        while len(phrase) == length and keys[end : end + length] == phrase:
            end += length
        if end - start < TIMES * length:
            kept.append(words[start])
            start += 1
        else:
            kept += words[start : start + length]
            start = end
    return kept


def cut(text: str, *, most: int, fits: Callable[[str], bool]) -> str:
    """The first words of ``text``: at most ``most``, and as many of them as ``fits`` allows; all of it when it may stay."""
    words = text.split()
    if len(words) <= most and fits(text):
        return text
    words = words[:most]
    while words and not fits(" ".join(words)):
        words.pop()
    return " ".join(words).rstrip(LOOSE)
