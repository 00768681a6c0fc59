"""How long near-duplicates take, and whether all of them are found: ``python benchmarks/neighbours.py [NAME …]``.

    short       10^6 hashes of 64 bits, radius 4
    bands       10^6 hashes of 256 bits, radius 10
    pdq31       10^5 hashes of 256 bits, radius 31: PDQ's own threshold
    pdq40       10^5 hashes of 256 bits, radius 40: clean's
    pdq64       10^5 hashes of 256 bits, radius 64: prepare's
    mirrored    the same at 40, mirrored copies too; turned: by quarters too
    dense       20,000 hashes that are all near each other, which gives 2 * 10^8 pairs
    vectors     30,000 embeddings of 512 numbers, cosine 0.95
    exact       2,000 hashes by every radius from 0 to 128, against the definition
    clean       the stage on 10^5 rows
    split       groups and sides of 10^5 rows, as prepare makes them
    million     10^6 hashes of 256 bits, radius 40; only when it is named, it takes a quarter of an hour

A twentieth of the hashes are planted copies of others with up to as many bits turned as the radius. Each part runs in a
process of its own and says its CPU and wall seconds without the making of the hashes, and the peak of its memory.
"""

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages import config, hashes, neighbours, tables
from stages.clean import stage as clean
from stages.neighbours import Pairs
from stages.prepare import splits
from stages.records import Consent, Failure, Frame, Item, Quality
from stages.shards import Place

ROOT = Path(__file__).resolve().parent.parent
Words = NDArray[np.uint64]
Truth = set[tuple[int, int]]


@contextmanager
def timed(what: str) -> Iterator[list[str]]:
    """Print the seconds that the block took, and what it put into the list."""
    notes: list[str] = []
    cpu, wall = time.process_time(), time.perf_counter()
    yield notes
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{what}: {cpu:.1f} s CPU, {wall:.1f} s wall; {', '.join(notes)}", flush=True)


def planted(count: int, width: int, flips: int) -> tuple[Words, Truth]:
    """Random hashes, uint64[count, width], of which a twentieth are copies with up to ``flips`` bits turned."""
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, (count, width), dtype=np.uint64)
    order = rng.permutation(count)
    sources, copies = order[: count // 20], order[-(count // 20) :]
    words[copies] = words[sources]
    for copy in copies:
        for bit in rng.integers(0, 64 * width, rng.integers(0, flips + 1)).tolist():
            words[copy, bit // 64] ^= np.uint64(1 << bit % 64)
    return words, {(min(pair), max(pair)) for pair in zip(sources.tolist(), copies.tolist(), strict=True)}


def found(blocks: Iterable[Pairs], truth: Truth) -> str:
    """How many pairs ``blocks`` have, and how many of the planted ones."""
    pairs = {pair for block in blocks for pair in zip(block.left.tolist(), block.right.tolist(), strict=True)}
    return f"{len(pairs)} pairs, {len(pairs & truth)} of {len(truth)} planted"


def search(count: int, width: int, radius: int, kind: hashes.Looks = "plain") -> Callable[[], None]:
    """The benchmark of one size: all pairs, then who stands for whom."""

    def part() -> None:
        words, truth = planted(count, width, radius)
        looks = hashes.looks(words, kind)
        name = f"{count} x {64 * width} bits, radius {radius}, {kind}"
        with timed(f"{name}: pairs") as notes:
            notes.append(found(neighbours.pairs(words, radius, looks=looks), truth))
        with timed(f"{name}: heads") as notes:
            head = neighbours.heads(words, radius, looks=looks)
            notes.append(f"{np.count_nonzero(head != np.arange(count))} go")

    return part


def dense() -> None:
    """Hashes that are all near each other."""
    rng = np.random.default_rng(0)
    words = np.zeros((20_000, 4), dtype=np.uint64)
    words[:, 0] = rng.integers(0, 2**20, len(words), dtype=np.uint64)
    with timed("20000 near each other: heads") as notes:
        notes.append(f"{np.count_nonzero(neighbours.heads(words, 40) != np.arange(len(words)))} go")
    with timed("20000 near each other: links") as notes:
        joined = neighbours.links(len(words), neighbours.pairs(words, 40))
        notes.append(f"{sum(1 for _ in joined)} links")


def vectors() -> None:
    """Embeddings, a twentieth of which are noisy copies."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30_000, 512)).astype(np.float32)
    points[-1500:] = points[:1500] + rng.normal(scale=0.2, size=(1500, 512)).astype(np.float32)
    truth = {(row, 28_500 + row) for row in range(1500)}
    with timed("30000 x 512 numbers, cosine 0.95: pairs") as notes:
        notes.append(found(neighbours.cosine_pairs(points, 0.95), truth))
    with timed("30000 x 512 numbers, cosine 0.95: heads") as notes:
        notes.append(f"{np.count_nonzero(neighbours.cosine_heads(points, 0.95) != np.arange(30_000))} go")


def exact() -> None:
    """Every radius against the definition."""
    words, _ = planted(2000, 4, 128)
    apart = {
        (one, other): sum((a ^ b).bit_count() for a, b in zip(words[one].tolist(), words[other].tolist(), strict=True))
        for one, other in itertools.combinations(range(len(words)), 2)
    }
    with timed("2000 x 256 bits, 129 radii against the definition") as notes:
        wrong = 0
        for radius in range(129):
            pairs = [
                pair
                for block in neighbours.pairs(words, radius)
                for pair in zip(block.left.tolist(), block.right.tolist(), strict=True)
            ]
            wrong += sorted(pairs) != sorted(pair for pair, far in apart.items() if far <= radius)
        notes.append(f"{wrong} differ")


def rows(root: Path, count: int) -> None:
    """Tables as crawl, frames and measure leave them, of ``count`` pictures of 1,000 sites."""
    words, _ = planted(count, 4, 40)
    ids = [f"{number:064x}" for number in range(count)]
    place = Place(shard="shard-0.tar", offset=0, size=1000)
    blank = dict.fromkeys(("alt", "title", "credit", "consent", "group"), "")
    facts = {"format": "JPEG", "sharpness": 99.0, "brightness": 99.0, "contrast": 40.0, "dark": 0.1, "bright": 0.1}
    facts |= {"entropy": 7.0, "colourfulness": 30.0, "hash_quality": 100, "text": 0.0, "watermark": 0.0, "faces": ()}
    facts |= {"aesthetic": None, "nsfw": None, "width": 800, "height": 600}
    tables.write(
        root / "crawl",
        Item,
        (
            Item(
                id=id, url=f"https://s{number % 1000}.test/{number}.jpg", page=f"https://s{number % 1000}.test/{number // 9000}",
                kind="image", author=f"{number % 300}", licence="CC0-1.0", licence_evidence=(), signals=(), place=place,
                **blank,
            )
            for number, id in enumerate(ids)
        ),
    )  # fmt: skip
    stills = (Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store="crawl", place=place) for id in ids)
    tables.write(root / "frames", Frame, stills)
    digits = [row.astype(">u8").tobytes().hex() for row in words]
    measured = (Quality(id=id, hash=each, **facts) for id, each in zip(ids, digits, strict=True))  # type: ignore[arg-type]
    tables.write(root / "measure", Quality, measured)
    tables.write(root / "measure", Failure, [])
    tables.write(root / "crawl", Consent, [])


def cleaned() -> None:
    """The stage, from tables to tables."""
    settings = config.load(ROOT / "params.yaml", "clean", clean.Config)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows(root, 100_000)
        with timed("clean, 100000 rows") as notes:
            report = clean.run(
                settings,
                own=root / "own",
                crawled=root / "crawl",
                frames=root / "frames",
                measured=root / "measure",
                out=root / "clean",
            )
            notes.append(f"kept {report['kept']:.0f}, twins {report['dropped/twin']:.0f}")


def split() -> None:
    """Groups and sides of rows of 50,000 pages."""
    words, truth = planted(100_000, 4, 64)
    ids = [f"{number:064x}" for number in range(len(words))]
    digits = [row.astype(">u8").tobytes().hex() for row in words]
    with timed("split, 100000 rows, distance 64, mirrored too") as notes:
        page = {id: number // 2 for number, id in enumerate(ids)}
        grouped = splits.groups(ids, [page], splits.near_pairs(ids, digits, distance=64))
        sizes: dict[str, int] = {}
        for group in grouped.values():
            sizes[group] = sizes.get(group, 0) + 1
        side = splits.sides(sizes, heldout=0.25, salt="darkroom")
        leaks = sum(side[grouped[ids[one]]] != side[grouped[ids[other]]] for one, other in truth)
        notes.append(f"{len(sizes)} groups, {leaks} of {len(truth)} planted pairs on both sides")


PARTS: dict[str, Callable[[], None]] = {
    "short": search(1_000_000, 1, 4),
    "bands": search(1_000_000, 4, 10),
    "pdq31": search(100_000, 4, 31),
    "pdq40": search(100_000, 4, 40),
    "pdq64": search(100_000, 4, 64),
    "mirrored": search(100_000, 4, 40, "mirrored"),
    "turned": search(100_000, 4, 40, "turned"),
    "dense": dense,
    "vectors": vectors,
    "exact": exact,
    "clean": cleaned,
    "split": split,
    "million": search(1_000_000, 4, 40),
}


def main() -> None:
    """Run one part here, or several in a process each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *PARTS], default=[])
    names = parser.parse_args().names or [name for name in PARTS if name != "million"]
    if len(names) > 1:
        for name in names:
            subprocess.run([sys.executable, __file__, name], check=True)
        return
    PARTS[names[0]]()
    print(
        f"  {names[0]}: peak of memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB", flush=True
    )


if __name__ == "__main__":
    main()
