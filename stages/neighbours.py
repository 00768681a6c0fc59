"""Which hashes, or which vectors, lie near each other: every such pair, exactly, in bounded memory.

Two ways lead to the same pairs of hashes. All against all compares them in tiles that fit the cache of a core, about
2 ns for a pair of 256 bits. Where the radius r is small, bands are faster: two hashes that differ in at most r bits
agree in at least one of r + 1 bands, so only those that share a band are compared (multi-index hashing: Norouzi,
Punjani, Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing", TPAMI 2014). Which way is shorter is
counted beforehand.

N rows, W words of 64 bits in a hash, D numbers in a vector. Nothing here knows what the rows stand for.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages import machine

Words = NDArray[np.uint64]
Rows = NDArray[np.intp]

BLOCK = 512  # rows that are settled together
CHUNK = 8192  # columns of one piece of work; 512 x 8192 pairs take 100 MB if all of them are near
STRIP, TILE = 16, 4096  # rows and columns of one tile: its 64-bit differences take 512 KiB, half of a core's cache
RUN = 1 << 16  # rows of one comparison along a band
HELD = 1 << 22  # pairs that are held at once to settle them all, 100 MB; where there are more, blocks are settled


class Pairs(NamedTuple):
    """Pairs of rows that are near: ``left`` comes before ``right``."""

    left: Rows
    right: Rows
    apart: NDArray[np.float64]  # bits, or 1 - cosine


Near = Callable[[Rows, Rows], Pairs]  # which of some rows, in ``right``, are near which of others, in ``left``


def pairs(words: Words, radius: int, *, looks: Sequence[Words] = ()) -> Iterator[Pairs]:
    """All pairs of ``words``, uint64[N, W], that differ in at most ``radius`` bits, each once, in blocks.

    ``looks`` are other forms of the same rows, uint64[N, W] each, such as mirrored ones: a pair is also near when one
    of it is near a look of the other, and then as far apart as the nearest. The way back from each look must be among
    them, as with a mirror.
    """
    if not looks and (cuts := _cuts(words, radius)):
        yield from _along_bands(words, radius, cuts)
    elif radius >= 0:
        yield from _all(len(words), _by_bits(words, looks, radius))


def cosine_pairs(vectors: NDArray[np.float32], least: float) -> Iterator[Pairs]:
    """All pairs of ``vectors``, float32[N, D], whose cosine is at least ``least``, each once, in blocks."""
    yield from _all(len(vectors), _by_cosine(vectors, least))


def heads(words: Words, radius: int, *, looks: Sequence[Words] = ()) -> Rows:
    """The row that stands for each of ``words``, intp[N]: itself where it stays.

    The first row stays. Each other goes if an earlier one that stays is near, and the nearest of those stands for it;
    so a chain of likenesses does not swallow what is unlike its head. ``looks`` as for ``pairs``.
    """
    head = np.arange(len(words))
    cuts = [] if looks else _cuts(words, radius)
    if cuts and (found := _few(_along_bands(words, radius, cuts))) is not None:
        _settle(head, found)
    elif radius >= 0:
        _settle_all(head, _by_bits(words, looks, radius))
    return head


def cosine_heads(vectors: NDArray[np.float32], least: float) -> Rows:
    """The row that stands for each of ``vectors``, float32[N, D]; as ``heads``, near when the cosine is at least ``least``."""
    head = np.arange(len(vectors))
    _settle_all(head, _by_cosine(vectors, least))
    return head


def nearest(words: Words, listed: Words, radius: int, *, looks: Sequence[Words] = ()) -> Rows:
    """The row of ``listed``, uint64[M, W], that is nearest to each of ``words``, uint64[N, W]: intp[N].

    Of equally near ones the first, and -1 where none differs in at most ``radius`` bits. ``looks`` are other forms of
    ``listed``, uint64[M, W] each. All against all is N x M comparisons here: none among ``words``, none among ``listed``.
    """
    if radius < 0 or not len(words) or not len(listed):
        return np.full(len(words), -1)
    together = np.concatenate([words, listed])
    if not looks and (cuts := _cuts(together, radius)):
        return _nearest(len(words), _along_bands(together, radius, cuts))
    near = _by_bits(together, [np.concatenate([words, look]) for look in looks], radius)
    return _nearest(len(words), _across(len(words), len(listed), near))


def cosine_nearest(vectors: NDArray[np.float32], listed: NDArray[np.float32], least: float) -> Rows:
    """As ``nearest``, for vectors, float32[N, D] and float32[M, D], that are near when their cosine is at least ``least``."""
    near = _by_cosine(np.concatenate([vectors, listed]), least)
    return _nearest(len(vectors), _across(len(vectors), len(listed), near))


def near_any(words: Words, listed: Words, radius: int, *, looks: Sequence[Words] = ()) -> NDArray[np.bool_]:
    """Which of ``words``, uint64[N, W], have one of ``listed`` near them, as for ``nearest``: bool[N]."""
    return nearest(words, listed, radius, looks=looks) >= 0


def links(count: int, found: Iterable[Pairs]) -> Iterator[tuple[int, int]]:
    """Of the pairs ``found`` among ``count`` rows those that are needed to join what all of them join: fewer than ``count``."""
    root = np.arange(count)
    for block in found:
        left, right = root[block.left], root[block.right]
        for one, other in np.unique(np.stack([left, right], axis=1)[left != right], axis=0).tolist():
            low, high = sorted((_root(root, one), _root(root, other)))
            if low != high:
                root[high] = low
                yield low, high
        while not np.array_equal(root, root[root]):
            root = root[root]


def _root(root: Rows, row: int) -> int:
    while root[row] != row:
        row = int(root[row])
    return row


# Whom to compare


def _all(count: int, near: Near) -> Iterator[Pairs]:
    """All pairs of ``count`` rows that are ``near``."""
    for start in range(0, count, BLOCK):
        for hits in _work(near, np.arange(start, min(start + BLOCK, count)), np.arange(start, count)):
            # here the columns come later, so a block of rows meets each pair of its own twice and all others once
            later = hits.left > hits.right
            if later.any():
                yield Pairs(hits.right[later], hits.left[later], hits.apart[later])


def _across(count: int, more: int, near: Near) -> Iterator[Pairs]:
    """The pairs of one of the first ``count`` rows and one of the ``more`` after them that are ``near``."""
    columns = np.arange(count, count + more)
    for start in range(0, count, BLOCK):
        yield from _work(near, np.arange(start, min(start + BLOCK, count)), columns)


def _nearest(count: int, found: Iterable[Pairs]) -> Rows:
    """Of the rows after the first ``count`` the one nearest to each of those, counted from there; -1 where none is."""
    nearest, best = np.full(count, -1), np.full(count, np.inf)
    for block in found:
        low, high = np.minimum(block.left, block.right), np.maximum(block.left, block.right)
        cross = (low < count) & (high >= count)
        row, other, apart = low[cross], high[cross] - count, block.apart[cross]
        order = np.lexsort((other, apart, row))
        row, other, apart = row[order], other[order], apart[order]
        first = np.diff(row, prepend=-1) != 0
        row, other, apart = row[first], other[first], apart[first]
        closer = (apart < best[row]) | ((apart == best[row]) & (other < nearest[row]))
        nearest[row[closer]], best[row[closer]] = other[closer], apart[closer]
    return nearest


def _settle_all(head: Rows, near: Near) -> None:
    """Fill ``head``, one block after the other: each is compared with what stays of those before, and with itself."""
    staying = np.zeros(0, dtype=np.intp)
    for start in range(0, len(head), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(head)))
        _settle(head, _joined(list(_work(near, rows, np.concatenate([staying, rows])))))
        staying = np.concatenate([staying, rows[head[rows] == rows]])


def _settle(head: Rows, found: Pairs) -> None:
    """Let each row of ``found`` go to the nearest earlier one that stays, of equally near ones the first."""
    earlier = found.left < found.right
    left, right, apart = (each[earlier] for each in found)
    order = np.lexsort((left, apart, right))
    left, right = left[order], right[order]
    bounds = [*np.flatnonzero(np.diff(right, prepend=-1)), len(right)]
    for start, end in pairwise(bounds):
        near = left[start:end]
        staying = near[head[near] == near]
        if len(staying):
            head[right[start]] = staying[0]


def _work(near: Near, rows: Rows, columns: Rows) -> Iterator[Pairs]:
    """``near`` of ``rows`` and ``columns``, in pieces, on as many threads as the machine has; in order."""
    pieces = [columns[start : start + CHUNK] for start in range(0, len(columns), CHUNK)]
    if len(pieces) < 2:
        yield from (near(rows, piece) for piece in pieces)
        return
    with ThreadPoolExecutor(machine.workers()) as pool:
        step = machine.workers()  # pieces at a time; with all of them the results would pile up
        for start in range(0, len(pieces), step):
            yield from pool.map(lambda piece: near(rows, piece), pieces[start : start + step])


def _few(found: Iterable[Pairs]) -> Pairs | None:
    """All of ``found`` at once; nothing when they are too many to hold."""
    kept: list[Pairs] = []
    count = 0
    for block in found:
        kept.append(block)
        count += len(block.left)
        if count > HELD:
            return None
    return _joined(kept)


def _joined(found: Sequence[Pairs]) -> Pairs:
    if not found:
        return Pairs(np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp), np.zeros(0))
    return Pairs(*(np.concatenate(each) for each in zip(*found, strict=True)))


# How to compare


def _by_bits(words: Words, looks: Sequence[Words], radius: int) -> Near:
    plain = np.ascontiguousarray(words.T)
    forms = [plain, *(np.ascontiguousarray(look.T) for look in looks)]

    def near(rows: Rows, columns: Rows) -> Pairs:
        ours = plain[:, rows]
        hits = [_hits(ours, form[:, columns], radius) for form in forms]
        right, left, apart = (np.concatenate(each) for each in zip(*hits, strict=True))
        if looks:
            order = np.lexsort((apart, left, right))
            right, left, apart = right[order], left[order], apart[order]
            first = (np.diff(right, prepend=-1) != 0) | (np.diff(left, prepend=-1) != 0)
            right, left, apart = right[first], left[first], apart[first]
        return Pairs(columns[left], rows[right], apart.astype(np.float64))

    return near


def _hits(ours: Words, theirs: Words, radius: int) -> tuple[Rows, Rows, NDArray[np.int64]]:
    """Which of ``ours``, uint64[W, A], are near which of ``theirs``, uint64[W, B]: places in both, and bits apart.

    The leading words alone rule out nearly all; what is left is counted in full.
    """
    lead = _leading(len(ours), radius)
    counter = _Counter(STRIP, TILE)
    rows, columns = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    for left in range(0, theirs.shape[1], TILE):
        tile = theirs[:lead, None, left : left + TILE]
        for top in range(0, ours.shape[1], STRIP):
            strip = ours[:lead, top : top + STRIP, None]
            if len(places := np.flatnonzero(counter.apart(strip, tile) <= min(radius, 255))):
                down, across = np.divmod(places, tile.shape[2])
                rows.append(down + top)
                columns.append(across + left)
    row, column = np.concatenate(rows), np.concatenate(columns)
    exact = _exact(ours, theirs, row, column)
    close = exact <= radius
    return row[close], column[close], exact[close]


def _leading(width: int, radius: int) -> int:
    """How many leading words let pass at most one in 30,000 pairs of random hashes (four standard deviations)."""
    return next((lead for lead in range(1, width) if 32 * lead - radius >= 16 * lead**0.5), width)


class _Counter:
    """Counts differing bits in memory that it keeps, for blocks of at most one shape."""

    def __init__(self, *shape: int) -> None:
        self._xor = np.empty(shape, dtype=np.uint64)
        self._bits = np.empty(shape, dtype=np.uint8)
        self._total = np.empty(shape, dtype=np.uint8)

    def apart(self, ours: Words, theirs: Words) -> NDArray[np.uint8]:
        """In how many bits ``ours`` and ``theirs``, word by word, differ; modulo 256, so that more may look like fewer."""
        part = tuple(slice(length) for length in np.broadcast_shapes(ours.shape[1:], theirs.shape[1:]))
        xor, bits, total = self._xor[part], self._bits[part], self._total[part]
        np.bitwise_count(np.bitwise_xor(ours[0], theirs[0], out=xor), out=total)
        for one, other in zip(ours[1:], theirs[1:], strict=True):
            np.bitwise_count(np.bitwise_xor(one, other, out=xor), out=bits)
            np.add(total, bits, out=total)
        return total


def _exact(ours: Words, theirs: Words, row: Rows, column: Rows) -> NDArray[np.int64]:
    """In how many bits the columns ``row`` of ``ours`` and ``column`` of ``theirs``, uint64[W, …], differ: int64[P]."""
    total = np.zeros(len(row), dtype=np.int64)
    for one, other in zip(ours, theirs, strict=True):
        total += np.bitwise_count(one[row] ^ other[column])
    return total


def _by_cosine(vectors: NDArray[np.float32], least: float) -> Near:
    """Candidates by single precision, whose last bits differ by machine, decided pair by pair in double precision."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    scale = np.divide(1, length, out=np.zeros(len(length)), where=length > 1e-30)  # less is nothing
    rough = vectors * scale[:, None].astype(np.float32)
    # twice the bound of the error of a dot product, and of scaling
    slack = (vectors.shape[1] + 4) * float(np.finfo(np.float32).eps)

    def near(rows: Rows, columns: Rows) -> Pairs:
        row, column = np.nonzero(rough[rows] @ rough[columns].T >= least - slack)
        right, left = rows[row], columns[column]
        cosine = _dots(vectors, right, left) * scale[right] * scale[left]
        cosine = np.round(cosine, 9)  # so that the order of summing decides nothing
        close = cosine >= least
        return Pairs(left[close], right[close], 1 - cosine[close])

    return near


def _dots(vectors: NDArray[np.float32], row: Rows, column: Rows) -> NDArray[np.float64]:
    """The dot products of the rows ``row`` and ``column`` of ``vectors`` in double precision, float64[P]."""
    step = 4096  # pairs at a time; all of them would take memory for two vectors each
    parts = [
        np.einsum(
            "pd,pd->p", vectors[row[start : start + step]], vectors[column[start : start + step]], dtype=np.float64
        )
        for start in range(0, len(row), step)
    ]
    return np.concatenate([np.zeros(0), *parts])


# Bands


def _cuts(words: Words, radius: int) -> list[tuple[int, int]]:
    """First and last bit of the bands to search ``words`` by; empty when all against all is shorter."""
    count, width = words.shape
    if not 0 <= radius < 64 * width:
        return []
    bounds = [64 * width * number // (radius + 1) for number in range(radius + 2)]
    cuts = [(start, min(end, start + 64)) for start, end in pairwise(bounds)]
    limit = count * (count - 1) // 8  # of n (n - 1) / 2; along a band a pair costs twice as much, and rows are sorted
    if count * count / 2 * sum(2.0 ** (start - end) for start, end in cuts) > limit:
        return []  # even hashes that fill the bands evenly would share too many
    shared = 0
    for cut in cuts:
        sizes = np.unique_counts(_band(words, cut)).counts.astype(np.int64)
        shared += int((sizes * (sizes - 1) // 2).sum())
    return cuts if shared <= limit else []


def _band(words: Words, cut: tuple[int, int]) -> NDArray[np.uint64]:
    """The bits of ``words``, uint64[N, W], from the first of ``cut`` up to its last, at most 64: uint64[N]."""
    start, end = cut
    word, bit = divmod(start, 64)
    value = words[:, word] >> np.uint64(bit)
    if end > 64 * (word + 1):
        value = value | words[:, word + 1] << np.uint64(64 - bit)
    return value & np.uint64((1 << (end - start)) - 1)


def _along_bands(words: Words, radius: int, cuts: Sequence[tuple[int, int]]) -> Iterator[Pairs]:
    """The pairs that share a band, each in the first one that it shares."""
    for number, cut in enumerate(cuts):
        for one, other, apart in _along_band(words, _band(words, cut), radius):
            fresh = _band(words[one], cut) == _band(words[other], cut)
            for before in cuts[:number]:
                fresh &= _band(words[one], before) != _band(words[other], before)
            if fresh.any():
                left, right = np.minimum(one, other)[fresh], np.maximum(one, other)[fresh]
                yield Pairs(left, right, apart[fresh].astype(np.float64))


def _along_band(words: Words, keys: NDArray[np.uint64], radius: int) -> Iterator[tuple[Rows, Rows, NDArray[np.int64]]]:
    """Near pairs among rows that share a key, with some near ones that do not; in blocks.

    Rows are sorted by how many share their key, most first, and each is compared with the one k places on, for
    growing k: neighbouring memory, and no loop over keys.
    """
    _, place, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    size = sizes[place]
    order = np.lexsort((place, -size))[: np.count_nonzero(size > 1)]
    row, size = np.ascontiguousarray(words[order].T), size[order]
    lead = _leading(len(row), radius)
    counter = _Counter(RUN)
    for start in range(0, len(order), RUN):
        for step in range(1, int(size[start])):
            sharing = int(np.searchsorted(-size, -step))  # rows whose key more than ``step`` rows have
            end = min(start + RUN, sharing - step)
            if end <= start:
                break
            apart = counter.apart(row[:lead, start:end], row[:lead, start + step : end + step])
            near = np.flatnonzero(apart <= min(radius, 255)) + start
            exact = _exact(row, row, near, near + step)
            close = exact <= radius
            if close.any():
                yield order[near[close]], order[near[close] + step], exact[close]
