"""Which pictures belong together, and on which side of the split each group falls."""

import hashlib
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence

from stages import hashes, neighbours
from stages.records import Split


def groups(
    ids: Sequence[str], shared: Iterable[Mapping[str, Hashable]], near: Iterable[tuple[str, str]]
) -> dict[str, str]:
    """The group of each id, named by the lowest id in it.

    Two ids share a group when one of the mappings of ``shared`` (page, video …) gives them the same value, when
    ``near`` pairs them, or through others.
    """
    parent = {id: id for id in ids}

    def root(id: str) -> str:
        while parent[id] != id:
            parent[id] = parent[parent[id]]
            id = parent[id]
        return id

    def join(one: str, other: str) -> None:
        low, high = sorted((root(one), root(other)))
        parent[high] = low

    for values in shared:
        first: dict[Hashable, str] = {}
        for id in ids:
            join(id, first.setdefault(values[id], id))
    for one, other in near:
        join(one, other)
    return {id: root(id) for id in ids}


def near_pairs(ids: Sequence[str], perceptual: Sequence[str], *, distance: int) -> Iterator[tuple[str, str]]:
    """Pairs of ids that join all whose hashes differ in at most ``distance`` bits, mirrored or not, directly or through others.

    Of a thousand frames that all are near each other that is 999 pairs and not half a million. A mirrored copy is near
    because a held-out picture must not be trained on in the mirror either. -1 joins not even equal hashes.
    """
    if distance < 0:
        return
    first: dict[str, int] = {}
    for number, digits in enumerate(perceptual):
        if (known := first.setdefault(digits, number)) != number:
            yield ids[known], ids[number]
    words, places = hashes.words(list(first)), list(first.values())
    found = neighbours.pairs(words, distance, looks=hashes.looks(words, "mirrored"))
    for one, other in neighbours.links(len(words), found):
        yield ids[places[one]], ids[places[other]]


def sides(
    sizes: Mapping[str, int], *, heldout: float, salt: str, held: Collection[str] = frozenset()
) -> dict[str, Split]:
    """The side of each group: groups are held out, in an order by hash of ``salt`` and name, until they hold the share.

    ``sizes`` is how many pictures each group has. Where there are two groups or more, both sides have one. The groups
    ``held`` were held out before: they come first, stay there whatever the share is, and count towards it.
    """
    order = sorted(sizes, key=lambda group: (group not in held, hashlib.sha256(f"{salt} {group}".encode()).hexdigest()))
    wanted, taken = heldout * sum(sizes.values()), 0
    result: dict[str, Split] = {}
    for place, group in enumerate(order):
        take = group in held or (heldout > 0 and taken < wanted and place < len(order) - 1)
        result[group] = "heldout" if take else "train"
        taken += sizes[group] if take else 0
    return result
