"""Hostile archives, read by the source ``folder``: ``python benchmarks/archives.py [NAME …]``.

Each is made here, lies on disk, and is read in a process of its own as ``crawl`` reads it. One JSON object for each says

    packed      bytes of the archive, and what it claims to hold
    outside     bytes of files that came to be anywhere below or above the archive, in /tmp by an absolute name, or stayed in
                the cache: 0 is right
    written     bytes that the process wrote, all files together; at most the quota and 64 KiB are right
    brought     pictures and their bytes, and how many rows say why not
    error       the one message, when the archive as a whole is refused
    seconds     of processor time; memory is the peak beyond that of an empty folder, in MB

The quota is 100 MB in all and 50 MB a file, the ratio 100.
"""

import argparse
import io
import json
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUOTA, FILE = 100_000_000, 50_000_000  # bytes
MANY = 100_000  # files
GIGABYTE = 10**9
SLIPS = (
    "../",
    "../../../../../../../../tmp/darkroom-",
    "/tmp/darkroom-",
    "a/../../",
    "..\\",
    "C:\\",
    "\\\\host\\",
    "./../",
)

Maker = Callable[[Path], int]  # writes an archive; gives the bytes that it claims to hold


def slip_zip(place: Path) -> int:
    """Names that lead out of it."""
    return _zip(place, {f"{head}slip.jpg": b"escaped" for head in SLIPS})


def slip_tar(place: Path) -> int:
    """Names that lead out of it."""
    return _tar(place, [(f"{head}slip.jpg", b"escaped", {}) for head in SLIPS])


def links_tar(place: Path) -> int:
    """Links to a folder outside, and files whose names lead through them; hard links to what is no part of it."""
    link = {"type": tarfile.SYMTYPE, "linkname": "../../.."}
    hard = {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}
    return _tar(place, [("out", b"", link), ("out/darkroom-slip.jpg", b"escaped", {}), ("passwd.jpg", b"", hard)])


def links_zip(place: Path) -> int:
    """The same in a ZIP."""
    with zipfile.ZipFile(place, "w") as made:
        link = zipfile.ZipInfo("out")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        made.writestr(link, "../../..")
        made.writestr("out/darkroom-slip.jpg", b"escaped")
    return 15


def bomb_zip(place: Path) -> int:
    """One picture of a gigabyte of zeros."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as made, made.open("a.jpg", "w", force_zip64=True) as file:
        for _ in range(1000):
            file.write(bytes(GIGABYTE // 1000))
    return GIGABYTE


def crowd_zip(place: Path) -> int:
    """A thousand pictures of 40 MB of zeros, each just below the limits of one."""
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = bytes(40_000_000)
    body = packed.compress(content) + packed.flush() + os.urandom(400_000)
    return _raw_zip(place, [(f"{n}.jpg", body) for n in range(50)], zlib.crc32(content), len(content))


def overlap_zip(place: Path) -> int:
    """20,000 entries of the directory that point to the same 20 MB: 400 GB in 1.2 MB."""
    content = bytes(20_000_000)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packed.compress(content) + packed.flush()
    return _raw_zip(place, [("a.jpg", body)], zlib.crc32(content), len(content), times=20_000)


def lying_zip(place: Path) -> int:
    """A picture that claims ten bytes and unpacks to 100 MB."""
    content = bytes(100_000_000)
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return _raw_zip(place, [("a.jpg", packed.compress(content) + packed.flush())], zlib.crc32(bytes(10)), 10)


def nested_zip(place: Path) -> int:
    """Archives in archives, five deep, sixteen wide: 16^5 times a megabyte."""
    inner = _zip_bytes({"a.jpg": bytes(1_000_000)})
    for _ in range(5):
        inner = _zip_bytes({f"{n}.zip": inner for n in range(16)})
    place.write_bytes(inner)
    return 16**5 * 1_000_000


def bomb_tar_gz(place: Path) -> int:
    """A gigabyte of zeros."""
    return _packed_zeros(place, "gz")


def bomb_tar_bz2(place: Path) -> int:
    """A gigabyte of zeros."""
    return _packed_zeros(place, "bz2")


def bomb_tar_xz(place: Path) -> int:
    """A gigabyte of zeros."""
    return _packed_zeros(place, "xz")


def dictionary_tar_xz(place: Path) -> int:
    """A stream that asks for a gigabyte of memory before its first byte."""
    buffer = io.BytesIO()
    _tar(buffer, [("a.jpg", b"1", {})])
    content = lzma.compress(buffer.getvalue(), filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 2**20}])
    place.write_bytes(_with_dictionary(content, 37))  # 37: 1 GiB + 512 MiB
    return 1


def many_zip(place: Path) -> int:
    """A hundred thousand pictures of ten bytes."""
    return _zip(place, {f"{n:06}.jpg": b"0123456789" for n in range(MANY)})


def many_tar(place: Path) -> int:
    """A hundred thousand pictures of ten bytes."""
    return _tar(place, [(f"{n:06}.jpg", b"0123456789", {}) for n in range(MANY)])


def million_zip(place: Path) -> int:
    """A million entries, five times what is allowed."""
    return _raw_zip(place, [("a.jpg", b"\3\0")], 0, 0, times=1_000_000)


def twins_zip(place: Path) -> int:
    """A thousand names that each stand twice, and a thousand that differ in case."""
    names = [name for n in range(1000) for name in (f"{n}-x.jpg", f"{n}-y.jpg", f"{n}-a.jpg", f"{n}-A.jpg")]
    _zip(place, dict.fromkeys(names, b"1"))
    place.write_bytes(place.read_bytes().replace(b"-y.jpg", b"-x.jpg"))
    return 4000


def names_zip(place: Path) -> int:
    """Names with a NUL, with control characters, with no UTF-8, from right to left, and of 60,000 letters."""
    odd = ["a.jpg_exe", "b\x1b[2J.jpg", "c\u202egpj.exe.jpg", "ü.jpg", "d" * 60_000 + ".jpg", "good.jpg"]
    _zip(place, dict.fromkeys(odd, b"1"))
    place.write_bytes(place.read_bytes().replace(b"jpg_exe", b"jpg\0exe").replace("ü".encode(), b"\xff\xfe"))
    return 6


def password_zip(place: Path) -> int:
    """A picture behind a password beside one that is not."""
    _zip(place, {"a.jpg": b"A", "b.jpg": b"B"})
    content = bytearray(place.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    place.write_bytes(content)
    return 2


def cut_zip(place: Path) -> int:
    """The first half of a ZIP."""
    return _cut(place, many_zip)


def cut_tar(place: Path) -> int:
    """The first half of a tar."""
    return _cut(place, many_tar)


def cut_tar_gz(place: Path) -> int:
    """The first half of a packed tar."""
    return _cut(place, lambda whole: _tar(whole, [("a.jpg", os.urandom(1_000_000), {})], "gz"))


def negative_tar(place: Path) -> int:
    """A negative size, which leads ``tarfile`` round in a circle (CVE-2025-8194)."""
    good, header = (bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT)) for name in ("a.jpg", "b.jpg"))
    header[124:136] = b"\xff" * 10 + (-512 & 0xFFFF).to_bytes(2)
    place.write_bytes(good + _summed(header) + bytes(1024))
    return -512


def header_tar(place: Path) -> int:
    """A header of four gigabytes, in a file that has them: ``tarfile`` takes it into memory."""
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\x80" + (4 * GIGABYTE).to_bytes(11)
    header[156:157] = b"x"
    place.write_bytes(_summed(header))
    os.truncate(place, 4 * GIGABYTE + 2048)
    return 4 * GIGABYTE


def laughs_zip(place: Path) -> int:
    """A rights.yaml whose nine lines stand for a thousand million words."""
    lines = ["a0: &a0 [lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    return _zip(place, {"rights.yaml": "\n".join(lines).encode(), "a.jpg": b"1"})


MAKERS: dict[str, Maker] = {
    each.__name__: each
    for each in (
        slip_zip, slip_tar, links_zip, links_tar, bomb_zip, crowd_zip, overlap_zip, lying_zip, nested_zip, bomb_tar_gz,
        bomb_tar_bz2, bomb_tar_xz, dictionary_tar_xz, many_zip, many_tar, million_zip, twins_zip, names_zip, password_zip,
        cut_zip, cut_tar, cut_tar_gz, negative_tar, header_tar, laughs_zip,
    )
}  # fmt: skip


def _zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def _zip(place: Path, files: dict[str, bytes]) -> int:
    place.write_bytes(_zip_bytes(files))
    return sum(map(len, files.values()))


def _tar(place: Path | io.BytesIO, members: list[tuple[str, bytes, dict[str, object]]], packer: str = "") -> int:
    target = {"name": place} if isinstance(place, Path) else {"fileobj": place}
    with tarfile.open(**target, mode=f"w:{packer}") as made:
        for name, content, others in members:
            header = tarfile.TarInfo(name)
            for key, value in others.items():
                setattr(header, key, value)
            header.size = len(content)
            made.addfile(header, io.BytesIO(content))
    return sum(len(content) for _, content, _ in members)


def _raw_zip(place: Path, files: list[tuple[str, bytes]], checksum: int, size: int, times: int = 1) -> int:
    """A ZIP whose directory says of each of ``files``, deflated as they are, ``times`` that it has this size."""
    content, directory = bytearray(), bytearray()
    for name, body in files:
        sizes = (checksum, len(body), size, len(name), 0)
        header = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 0, *sizes) + name.encode()
        tail = struct.pack("<3H2L", 0, 0, 0, 0, len(content)) + name.encode()
        directory += (struct.pack("<4s6H3L2H", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, *sizes) + tail) * times
        content += header + body
    count = len(files) * times
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), len(content))
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(content) + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    place.write_bytes(content + directory + record + locator + end)
    return count * size


def _packed_zeros(place: Path, packer: str) -> int:
    class Zeros(io.RawIOBase):
        def read(self, count: int = -1) -> bytes:
            return bytes(count)

    header = tarfile.TarInfo("a.jpg")
    header.size = GIGABYTE
    with tarfile.open(place, f"w:{packer}") as made:
        made.addfile(header, Zeros())
    return GIGABYTE


def _with_dictionary(content: bytes, code: int) -> bytes:
    """An xz file whose only block says that it needs the dictionary of ``code``; section 5.3.1 of the format."""
    size = (content[12] + 1) * 4
    header = bytearray(content[12 : 12 + size])
    header[header.index(b"\x21\x01") + 2] = code
    header[-4:] = struct.pack("<L", zlib.crc32(header[:-4]))
    return content[:12] + bytes(header) + content[12 + size :]


def _summed(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


def _cut(place: Path, maker: Maker) -> int:
    claimed = maker(place)
    os.truncate(place, place.stat().st_size // 2)
    return claimed


def _seen(*folders: Path) -> dict[Path, int]:
    """Every file below ``folders`` with its size, and what slips would have made in /tmp."""
    slipped = Path(tempfile.gettempdir()).glob("darkroom-slip*")
    return {
        path: path.stat().st_size for path in (*(p for f in folders for p in f.rglob("*")), *slipped) if path.is_file()
    }


def measured(maker: Maker, folder: Path) -> dict[str, object]:
    """What became of one archive."""
    inside = folder / "a" / "b" / "own"
    inside.mkdir(parents=True)
    archive = inside / "archive"
    claims = maker(archive)
    before = _seen(folder)
    environment = {**os.environ, "DARKROOM_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, "--read", str(archive)]
    done = subprocess.run(command, cwd=inside, env=environment, capture_output=True, text=True, check=True)
    after = _seen(folder)
    outside = sum(size for path, size in after.items() if before.get(path) != size)
    packed = archive.stat().st_size
    return {"packed": packed, "claims": claims, "outside": outside, **json.loads(done.stdout)}


def read(archive: Path) -> dict[str, object]:
    """Read ``archive`` as ``crawl`` does, keeping nothing."""
    from stages.crawl.sources import Found, Visit, folder
    from stages.errors import SourceError
    from stages.web.client import Manners

    manners = Manners(
        agent="Darkroom", contact="none", pause=0.0, max_pause=1.0, timeout=1.0, deadline=1.0, max_bytes=FILE,
        retries=0, backoff=0.0, private=False,
    )  # fmt: skip
    visit = Visit(manners=manners, own=archive.parent, fresh_hours=0.0)
    config = {"max_total": QUOTA, "max_ratio": 100, "max_entries": 200_000}
    empty = archive.parent.parent / "empty"
    empty.mkdir()
    list(folder.build(folder.Config(path=str(empty), **config))(visit))
    memory, written, started = _peak(), _written(), time.process_time()
    pictures, brought, missed, error = 0, 0, 0, ""
    try:
        for each in folder.build(folder.Config(path=archive.name, **config))(visit):
            pictures += isinstance(each, Found)
            brought += len(each.body) if isinstance(each, Found) else 0
            missed += not isinstance(each, Found)
    except SourceError as fault:
        error = str(fault).removeprefix(f"{archive}: ").split(";")[0]
    return {
        "written": _written() - written,
        "pictures": pictures,
        "brought": brought,
        "missed": missed,
        "error": error,
        "seconds": round(time.process_time() - started, 2),
        "memory": round((_peak() - memory) / 1e6, 1),
    }


def _peak() -> int:
    """Bytes of memory that this process held at most; ``getrusage`` would count its parent's, too."""
    return 1024 * _number("/proc/self/status", "VmHWM")


def _written() -> int:
    """Bytes that this process handed to ``write`` so far."""
    return _number("/proc/self/io", "wchar")


def _number(file: str, name: str) -> int:
    return int(next(line for line in Path(file).read_text().splitlines() if line.startswith(name)).split()[1])


def main() -> None:
    """Measure what is asked for, and print one JSON object for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*MAKERS, []], default=[])
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(json.dumps(read(given.read)))
        return
    for name in given.names or MAKERS:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({name: measured(MAKERS[name], Path(folder))}), flush=True)


if __name__ == "__main__":
    main()
