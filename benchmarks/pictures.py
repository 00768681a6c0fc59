"""What strangers' files do to ``measure``: ``python benchmarks/pictures.py [hostile | mutated | ordinary …] [--count N] [--blind]``.

    hostile     60 files made to do harm or to confuse: cut off, damaged, lying, gigantic, odd of colour, of no format
    mutated     N damaged JPEGs, PNGs and WebPs: bytes changed, dropped, doubled or swapped, with fixed seeds
    ordinary    N sound JPEGs of 0.3 to 1 megapixel: how long it takes to look through such a folder

Each file must end as a row, a ``Quality`` or a ``Failure`` with its reason, within 10 seconds and 1 GB, and this process
must live. Exit code 1 says that one did not.
"""

import argparse
import hashlib
import io
import json
import random
import resource
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from stages import config, shards, specimens, tables
from stages.images import Pixels
from stages.measure import stage
from stages.records import Failure, Frame, Quality

ROOT = Path(__file__).resolve().parent.parent
FORMS = ("JPEG", "PNG", "WEBP")
DEFAULT = 10_000


def small(form: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    """A photograph of 113 x 75 pixels as a file."""
    return saved(Image.fromarray(specimens.photograph("chelsea")).resize((113, 75)).convert(mode), form, **options)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    """``image`` as a file of the format ``form``."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png(width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 2, more: bytes = b"") -> bytes:
    """A PNG file that claims a size and holds ``rows`` compressed, with the chunks ``more`` before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def hostile() -> dict[str, bytes]:
    """The 60 files, by what is wrong with them."""
    return {**_cut(), **_flipped(), **_lying(), **_odd(), **_foreign()}


def _cut() -> dict[str, bytes]:
    """Cut off at every tenth: 18."""
    return {
        f"{form} cut at {tenth}0 %": content[: len(content) * tenth // 10]
        for form in ("JPEG", "PNG")
        for content in (small(form),)
        for tenth in range(1, 10)
    }


def _flipped() -> dict[str, bytes]:
    """With one bit in a hundred bytes flipped: 8."""
    files = {}
    for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000"):
        content, drawn = bytearray(small(form)), random.Random(form)
        for _ in range(max(1, len(content) // 100)):
            content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
        files[f"{form} with flipped bits"] = bytes(content)
    return files


def _lying() -> dict[str, bytes]:
    """Whose headers or parts claim what is not so, or what nobody can hold: 14."""
    zeros = bytes((1 + 8000 * 3) * 8000)  # a real bomb: 64 megapixels in 190 kB
    blown = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000), 9))
    jpeg = small()
    return {
        "PNG of 8000 x 8000 zeros": png(8000, 8000, zeros),
        "PNG that claims 8001 x 8000": png(8001, 8000, b""),
        "PNG that claims 65535 x 65535": png(65535, 65535, b""),
        "PNG that claims 2^31 x 2^31": png(2**31 - 1, 2**31 - 1, b""),
        "PNG that claims nothing": png(0, 0, b""),
        "PNG with 100 MB of text": png(1, 1, bytes(4), more=blown),
        "PNG with a profile of garbage": png(1, 1, bytes(4), more=chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no"))),
        "PNG with 10,000 chunks": png(1, 1, bytes(4), more=chunk(b"tEXt", b"k\0v") * 10_000),
        "JPEG with a header of 65535 x 65535": jpeg.replace(struct.pack(">HH", 75, 113), b"\xff\xff\xff\xff", 1),
        "JPEG with 20,000 scans": _scans(20_000),
        "GIF that claims 65535 x 65535": b"GIF89a\xff\xff\xff\xff" + small("GIF")[10:],
        "BMP that claims a negative width": small("BMP")[:18] + struct.pack("<i", -113) + small("BMP")[22:],
        "TIFF that points at itself": b"II*\0\x08\0\0\0\1\0\0\1\4\0\1\0\0\0\x08\0\0\0\x08\0\0\0",
        "WEBP that claims more than it has": small("WEBP")[:4] + b"\xff\xff\xff\x7f" + small("WEBP")[8:],
    }


def _scans(count: int) -> bytes:
    """A progressive JPEG whose last scan comes ``count`` times: each is decoded over the whole picture."""
    content = small(progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * count + content[-2:]


def _odd() -> dict[str, bytes]:
    """Sound, and of a kind that readers stumble over: 13."""
    inks = Image.fromarray(specimens.photograph("coffee")).resize((90, 60)).convert("CMYK")
    deep = Image.fromarray((np.arange(6000, dtype=np.uint16) * 10).reshape(60, 100))
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    turned = Image.Exif()
    turned[0x0112] = 8
    return {
        "JPEG of inks": saved(inks, "JPEG"),
        "JPEG of inks with the profile of a screen": saved(inks, "JPEG", icc_profile=_srgb()),
        "JPEG with a profile of garbage": small(icc_profile=b"garbage" * 99),
        "JPEG on its side": small(exif=turned),
        "JPEG of greys": small(mode="L"),
        "PNG of 16 bits": saved(deep, "PNG"),
        "PNG with a palette and a transparent colour": small("PNG", "P", transparency=3),
        "PNG of one bit": small("PNG", "1"),
        "PNG of one pixel": png(1, 1, bytes(4)),
        "PNG of 65535 x 1": png(65535, 1, bytes(1 + 65535 * 3)),
        "GIF that moves": saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "WEBP that moves": saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "TIFF of two pages": saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]),
    }


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _foreign() -> dict[str, bytes]:
    """Of no format that is decoded, or of two: 7."""
    return {
        "nothing": b"",
        "a thousand zeros": bytes(1000),
        "a page with a JPEG behind it": b"<html><body>404</body></html>" + small(),
        "a JPEG with a page behind it": small() + b"<script>alert(1)</script>",
        "SVG that fetches": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/x.png"/></svg>',
        "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
        "HEIC": struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(200),
    }


def mutated(count: int) -> Iterator[tuple[str, bytes]]:
    """``count`` damaged files, each with its name."""
    originals = [small(form, **options) for form in FORMS for options in ({}, {"quality": 40})]
    for number in range(count):
        drawn = random.Random(number)
        content = bytearray(originals[number % len(originals)])
        for _ in range(drawn.choice((1, 2, 8, 64))):
            _damage(content, drawn)
        yield f"{number:06d}", bytes(content)


def _damage(content: bytearray, drawn: random.Random) -> None:
    """Change, drop, double or swap a few bytes; headers twice as often as their length would have it."""
    reach = drawn.choice((64, len(content)))
    start = drawn.randrange(max(1, min(reach, len(content) - 1)))
    stop = start + drawn.choice((1, 2, 4, 16, 256))
    how = drawn.randrange(4)
    if how == 0:
        content[start:stop] = drawn.randbytes(len(content[start:stop]))
    elif how == 1 and len(content) > 1000:
        del content[start:stop]
    elif how == 2:
        content[start:start] = content[start:stop]
    else:
        other = drawn.randrange(len(content))
        content[start:stop], content[other : other + 4] = content[other : other + 4], content[start:stop]


def ordinary(count: int) -> Iterator[tuple[str, bytes]]:
    """``count`` crops of photographs, 0.3 to 1 megapixel, as JPEGs of several qualities, each with its name."""
    photographs: dict[str, Pixels] = {name: specimens.photograph(name) for name in specimens.PHOTOGRAPHS}
    for number in range(count):
        rng = np.random.default_rng(number)
        whole = photographs[sorted(photographs)[number % len(photographs)]]
        height, width = (int(length * rng.uniform(0.5, 1)) for length in whole.shape[:2])
        top, left = (int(rng.integers(0, more + 1)) for more in (whole.shape[0] - height, whole.shape[1] - width))
        scale = (rng.uniform(3e5, 1e6) / (height * width)) ** 0.5
        image = Image.fromarray(whole[top : top + height, left : left + width])
        yield (
            f"{number:06d}",
            saved(image.resize((int(width * scale), int(height * scale))), "JPEG", quality=int(rng.integers(60, 95))),
        )


def rows(
    files: Mapping[str, bytes], folder: Path, *, blind: bool = False
) -> tuple[dict[str, Quality | Failure], float]:
    """What the stage says of each of ``files``, by name, with the seconds it took."""
    ids = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    places = shards.write(folder / "crawl", {ids[name]: content for name, content in files.items()}, digits=1)
    frames = [
        Frame(id=id, item=id, pts=0, time_base="", time_ms=0.0, store="crawl", place=place)
        for id, place in places.items()
    ]
    tables.write(folder / "frames", Frame, frames)
    settings = replace(config.load(ROOT / "params.yaml", "measure", stage.Config), max_failures=1.0)
    if blind:  # a detector of nothing: the windows that it searches are larger than the picture that it gets
        settings = replace(settings, detector={"name": "lbp", "side": 8, "min_face": 0.99, "min_neighbours": 99})
    before = time.perf_counter()
    stage.run(settings, crawled=folder / "crawl", frames=folder / "frames", out=folder / "out")
    took = time.perf_counter() - before
    found = {row.id: row for kind in (Quality, Failure) for row in tables.read(folder / "out", kind)}
    return {name: found[id] for name, id in ids.items() if id in found}, took


def report(files: Mapping[str, bytes], *, blind: bool) -> dict[str, object]:
    """How many of ``files`` are measured, how many refused and why, and how many have no row."""
    with tempfile.TemporaryDirectory() as name:
        found, seconds = rows(files, Path(name), blind=blind)
    reasons = Counter(row.reason for row in found.values() if isinstance(row, Failure))
    return {
        "files": len(files),
        "measured": sum(isinstance(row, Quality) for row in found.values()),
        "refused": reasons.total(),
        "without_row": len(files) - len(found),
        "stopped_by_guard": sum(many for reason, many in reasons.items() if reason.startswith("decoding it")),
        "seconds": round(seconds, 1),
        "parent_peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "reasons": len(reasons),
    }


def main() -> int:
    """Run the sets that were asked for, all without a name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="hostile, mutated, ordinary; all of them if none")
    parser.add_argument("--count", type=int, default=DEFAULT, help="files of mutated and of ordinary")
    parser.add_argument("--blind", action="store_true", help="look for no faces, which take most of the time")
    asked = parser.parse_args()
    sets = {
        "hostile": hostile,
        "mutated": lambda: dict(mutated(asked.count)),
        "ordinary": lambda: dict(ordinary(asked.count)),
    }
    found = {name: report(sets[name](), blind=asked.blind) for name in asked.names or sets}
    print(json.dumps(found, indent=1))
    return 1 if any(each["without_row"] for each in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
