"""Themes: captions of which the words are alike, found by k-means over counted words. No model reads them."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.feedback.slices import words

VOCABULARY = 1_000  # of the commonest words; a table of 50,000 captions is 200 MB then
TURNS = 100  # at most; k-means over hundreds of captions ends after some ten
NAMED_BY = 2  # words

Rows = NDArray[np.float32]


def themes(texts: Sequence[str], *, most: int, seed: int) -> dict[str, str]:
    """The theme of each of ``texts``, named by the words that weigh most in it; at most ``most`` themes.

    Their order does not count, and how often one is there neither. Captions without a word that counts have none, "".
    """
    distinct = sorted(set(texts))
    vocabulary, rows_NW = table(distinct)
    spoken = [number for number, row_W in enumerate(rows_NW) if row_W.any()]
    found = dict.fromkeys(distinct, "")
    if not spoken:
        return found
    centres_KW, theme_N = clustered(rows_NW[spoken], most=most, rng=np.random.default_rng(seed))
    names = [_name(centre_W, vocabulary) for centre_W in centres_KW]
    return found | {distinct[number]: names[theme] for number, theme in zip(spoken, theme_N, strict=True)}


def table(texts: Sequence[str]) -> tuple[list[str], Rows]:
    """The words that count, and a row of weights for each text, float32[N, W], each row of length 1 or 0.

    Weights are TF-IDF: Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988; the inverse
    frequency is smoothed, ln((1 + N) / (1 + n)) + 1, as scikit-learn has it.
    """
    said = [Counter(words(text)) for text in texts]
    texts_with = Counter(word for counts in said for word in counts)
    vocabulary = sorted(sorted(texts_with), key=lambda word: -texts_with[word])[:VOCABULARY]
    rows_NW = np.zeros((len(texts), len(vocabulary)), dtype=np.float32)
    for row_W, counts in zip(rows_NW, said, strict=True):
        row_W[:] = [counts[word] for word in vocabulary]
    rarity_W = np.log((1 + len(texts)) / (1 + np.array([texts_with[word] for word in vocabulary]))) + 1
    return vocabulary, _of_length_one(rows_NW * rarity_W.astype(np.float32))


def clustered(rows_NW: Rows, *, most: int, rng: np.random.Generator) -> tuple[Rows, NDArray[np.intp]]:
    """At most ``most`` centres, float32[K, W], and which is nearest to each row, intp[N], by the cosine.

    Spherical k-means: Dhillon and Modha, "Concept Decompositions for Large Sparse Text Data", 2001; begun by k-means++:
    Arthur and Vassilvitskii, 2007. A centre that no row is nearest to stays where it is.
    """
    centres_KW = _begun(rows_NW, most=most, rng=rng)
    nearest_N = np.argmax(rows_NW @ centres_KW.T, axis=1)
    for _ in range(TURNS):
        sums_KW = np.zeros_like(centres_KW)
        np.add.at(sums_KW, nearest_N, rows_NW)
        moved_KW = _of_length_one(sums_KW)
        centres_KW = np.where(moved_KW.any(axis=1, keepdims=True), moved_KW, centres_KW)
        before_N, nearest_N = nearest_N, np.argmax(rows_NW @ centres_KW.T, axis=1)
        if (before_N == nearest_N).all():
            break
    return centres_KW, nearest_N


def _begun(rows_NW: Rows, *, most: int, rng: np.random.Generator) -> Rows:
    """Rows that lie apart: each next one by chance, the likelier the farther it is from those before."""
    chosen = [int(rng.integers(len(rows_NW)))]
    while len(chosen) < most:
        away_N = np.clip(1 - (rows_NW @ rows_NW[chosen].T).max(axis=1), 0, None).astype(np.float64)
        away_N[away_N < 1e-6] = 0  # of float32: the same words
        if not away_N.any():
            break
        chosen.append(int(rng.choice(len(rows_NW), p=away_N / away_N.sum())))
    return rows_NW[chosen]


def _of_length_one(rows_NW: Rows) -> Rows:
    length_N = np.linalg.norm(rows_NW, axis=1, keepdims=True)
    return (rows_NW / np.where(length_N > 0, length_N, 1)).astype(np.float32)


def _name(centre_W: NDArray[np.float32], vocabulary: Sequence[str]) -> str:
    """The words that weigh most; of equal weights, the first of the vocabulary."""
    order = np.argsort(-centre_W, kind="stable")[:NAMED_BY]
    return " ".join(vocabulary[place] for place in order if centre_W[place] > 0)
