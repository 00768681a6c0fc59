"""The addresses that sitemaps list (sitemaps.org): XML or plain text, gzip or not, and files that list more files."""

import zlib
from collections.abc import Iterable, Iterator
from html import unescape

from stages.crawl.journal import Journal
from stages.errors import FetchError
from stages.web import addresses

FILES = 50  # sitemaps that are read for one crawl; a sitemap may list 50,000 more
MAX_BYTES = 50 * 1024 * 1024  # of one sitemap, unpacked: what the protocol allows


def listed(journal: Journal, roots: Iterable[str]) -> Iterator[str]:
    """The pages that the sitemaps at ``roots`` list, in their order; a sitemap that cannot be had lists nothing."""
    waiting = list(dict.fromkeys(roots))
    for _, url in zip(range(FILES), waiting, strict=False):  # grows while it is read
        try:
            answer = journal.get(url)
        except FetchError:
            continue
        locations, more = read(answer.body)
        found = [address for each in locations if (address := addresses.joined(answer.url, each))]
        if more:
            waiting += [each for each in found if each not in waiting]
        else:
            yield from found


def read(body: bytes) -> tuple[list[str], bool]:
    """The addresses in one sitemap, and whether they are those of more sitemaps."""
    content = _unpacked(body)
    if b"<" not in content[:1000]:
        return content.decode("utf-8", errors="replace").split(), False
    inside = (part.partition(b"</loc>") for part in content.split(b"<loc>")[1:])
    found = [_text(text) for text, end, _ in inside if end]
    return list(filter(None, found)), b"<sitemapindex" in content[:1000]


def _text(content: bytes) -> str:
    """The text of an element without elements in it."""
    text = content.decode("utf-8", errors="replace").strip()
    if text.startswith("<![CDATA["):
        return text.removeprefix("<![CDATA[").removesuffix("]]>").strip()
    return unescape(text)


def _unpacked(body: bytes) -> bytes:
    """``body``, or what is inside where it is gzip, as far as that is whole and at most ``MAX_BYTES``."""
    if not body.startswith(b"\x1f\x8b"):
        return body[:MAX_BYTES]
    try:
        return zlib.decompressobj(wbits=31).decompress(body, MAX_BYTES)
    except zlib.error:
        return b""
