"""How far several captions of one picture say the same."""

import re
from collections import Counter
from collections.abc import Sequence

WORD = re.compile(r"\w+")


def token_f1(one: str, other: str) -> float:
    """2 * shared / all words of both, 0 to 1; without regard to case, order and punctuation. Two empty ones: 0.

    The F1 of SQuAD's evaluation (Rajpurkar et al., 2016, section 6.1), articles kept.
    """
    first, second = (Counter(WORD.findall(text.lower())) for text in (one, other))
    return 2 * (first & second).total() / max(1, first.total() + second.total())


def scores(texts: Sequence[str]) -> list[float]:
    """For each of ``texts`` the mean ``token_f1`` with the others; 0 when there are none.

    It finds what several see, not what is best said: a caption with details that nobody else names scores low.
    """
    others = max(1, len(texts) - 1)
    return [
        round(sum(token_f1(text, other) for m, other in enumerate(texts) if m != n) / others, 6)
        for n, text in enumerate(texts)
    ]
