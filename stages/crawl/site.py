"""The sample web site: real pictures on several pages, and the traps that real sites hold.

It is built in memory and served on loopback. What a crawler has to get right: a path that robots.txt forbids, a page
that says ``noai``, pictures that are kept from training by a Content-Signal of robots.txt, by a Content-Usage header and
by a TDM reservation, the latter on a page that only the sitemap names, a non-commercial and an unknown licence,
re-encoded and resized twins, a blurred and a tiny picture, a truncated file, a page that answers 500 at first, faces,
and a video. Pictures of one photograph on two pages share no
pixel, so that a split by page leaks nothing.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import cv2
import numpy as np

from stages import specimens
from stages.images import Pixels, encode_jpeg, encode_png
from stages.specimens import CC0, Photograph

HOST = "sample.test"  # RFC 6761 keeps .test out of the real web
NON_COMMERCIAL = "https://creativecommons.org/licenses/by-nc/4.0/"
DIGITS_LICENCE = "https://creativecommons.org/licenses/by/4.0/"
ROBOTS = f"""User-agent: *
Disallow: /private/
Content-Signal: /signal/ search=yes, ai-train=no

Sitemap: http://{HOST}/sitemap.xml
"""
UNLINKED = "/reserved/index.html"  # only the sitemap names it
RESERVED = [{"location": "/reserved/", "tdm-reservation": 1}]  # tdmrep.json
LARGEST = 384  # pixels of a view's long side
SUBJECT = "hubble_deep_field"  # what the adapter learns: no shipped base has seen it
TILES = (4, 3)  # across and down: each part of the subject's photograph is a page
UPRIGHT = ("", 0)  # what a digit's words say of how it lies, and by how many right angles it is turned, anticlockwise
TURNS = (("right turned ", 3), ("left turned ", 1))  # within what the base's text encoder reads of a caption
KNOWN = ("chelsea", "coffee", "coins", "grass", "gravel", "immunohistochemistry", "rocket")  # what the base knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What one path answers."""

    body: bytes
    type: str
    stumbles: int = 0  # how many requests are answered 500 first
    headers: tuple[tuple[str, str], ...] = ()  # more than type and length


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One picture of a page."""

    path: str
    body: bytes
    words: str
    photograph: Photograph


Site = dict[str, Resource]


def build(kind: str) -> Site:
    """The site of ``photographs``, ``digits`` or ``turned digits``, by path."""
    pages = _photograph_pages() if kind == "photographs" else _digit_pages(turned=kind == "turned digits")
    linked = [path for path in pages if path.endswith(".html") and path != UNLINKED]
    index = "".join(f'<li><a href="{path}">{escape(path)}</a></li>' for path in linked)
    home = _html("Sample pictures", f'<ul>{index}<li><a href="/private/index.html">private</a></li></ul>')
    return {**_site_files(), "/": home, **pages}


def _site_files() -> Site:
    """robots.txt, the sitemap, and the reservations."""
    sitemap = f"<urlset><url><loc>http://{HOST}{UNLINKED}</loc></url></urlset>"
    return {
        "/robots.txt": Resource(body=ROBOTS.encode(), type="text/plain"),
        "/sitemap.xml": Resource(body=sitemap.encode(), type="application/xml"),
        "/.well-known/tdmrep.json": Resource(body=json.dumps(RESERVED).encode(), type="application/json"),
    }


def digest(site: Site) -> str:
    """16 hex digits that change with anything the site would answer."""
    return hashlib.sha256(repr(sorted(site.items())).encode()).hexdigest()[:16]


@contextmanager
def served(site: Site) -> Iterator[str]:
    """Serve ``site`` on loopback while the block runs; gives ``127.0.0.1:port``."""
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body leave together while they are small …
        disable_nagle_algorithm = True  # … and where they do not, the body waits no 40 ms for the other side

        def do_GET(self) -> None:
            asked[self.path] += 1
            resource = site.get(self.path)
            if resource is None:
                self._answer(404, Resource(body=b"not here", type="text/plain"))
            elif asked[self.path] <= resource.stumbles:
                self._answer(500, Resource(body=b"try again", type="text/plain"))
            else:
                self._answer(200, resource)

        def _answer(self, status: int, resource: Resource) -> None:
            self.send_response(status)
            self.send_header("Content-Type", resource.type)
            self.send_header("Content-Length", str(len(resource.body)))
            for name, value in resource.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(resource.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _photograph_pages() -> Site:
    site: Site = {}
    for page in range(TILES[0] * TILES[1]):
        site |= _json_ld_page(f"/{SUBJECT}/{page + 1}.html", "Deep field", _subject_views(page))
    for name in KNOWN:
        for half in (1, 2):
            stumbles = 1 if (name, half) == ("gravel", 2) else 0
            site |= _figure_page(f"/{name}/{half}.html", _views_of(name, half), stumbles=stumbles)
    return site | _astronaut_pages() | _film() | _traps()


def _subject_views(page: int) -> list[Shown]:
    """Four pictures out of one part of the subject's photograph, one from each corner of it."""
    pixels = specimens.crop(specimens.photograph(SUBJECT), tile_box(page))
    height, width = pixels.shape[:2]
    side = round(0.8 * min(height, width))
    shown = []
    for number, (left, top) in enumerate(
        [(0, 0), (width - side, 0), (0, height - side), (width - side, height - side)]
    ):
        view = specimens.crop(pixels, (left, top, left + side, top + side))
        shown.append(_shown(f"/{SUBJECT}/{page + 1:02d}-{number + 1}.jpg", view, SUBJECT))
    return shown


def tile_box(page: int) -> tuple[int, int, int, int]:
    """The part of the subject's photograph that ``page`` shows: left, top, right, bottom; no two parts share a pixel."""
    height, width = specimens.photograph(SUBJECT).shape[:2]
    column, row = page % TILES[0], page // TILES[0]
    across, down = width // TILES[0], height // TILES[1]
    return column * across, row * down, (column + 1) * across, (row + 1) * down


def _views_of(name: str, half: int) -> list[Shown]:
    """Three views out of one half of a photograph, the left one or the right one."""
    pixels = specimens.photograph(name)
    height, width = pixels.shape[:2]
    left = 0 if half == 1 else width // 2
    rng = np.random.default_rng([half, *name.encode()])
    shown = []
    for number in range(3):
        side = int(rng.uniform(0.7, 1.0) * min(width // 2, height))
        x, y = left + int(rng.integers(width // 2 - side + 1)), int(rng.integers(height - side + 1))
        view = _at_most(specimens.crop(pixels, (x, y, x + side, y + side)), LARGEST)
        shown.append(_shown(f"/{name}/{half}-{number + 1}.jpg", view, name))
    return shown


def _astronaut_pages() -> Site:
    """A portrait, whose face nobody agreed to have trained on, and the suit; the licence stands on the page."""
    pixels = specimens.photograph("astronaut")
    site: Site = {}
    for page, boxes in (("portrait", [(60, 0, 360, 240)]), ("suit", [(20, 260, 260, 500), (240, 262, 480, 502)])):
        shown = [
            _shown(f"/astronaut/{page}-{n}.jpg", specimens.crop(pixels, box), "astronaut")
            for n, box in enumerate(boxes, 1)
        ]
        head = f'<link rel="license" href="{shown[0].photograph.licence}"><meta name="author" content="NASA">'
        site |= _page(f"/astronaut/{page}.html", "The astronaut", "".join(map(_image, shown)), shown, head=head)
    return site


def _film() -> Site:
    """A slow pan over the retina, three seconds long."""
    pixels = _at_most(specimens.photograph("retina"), 640)
    frames = [np.ascontiguousarray(pixels[192:448, 8 * n : 8 * n + 256]) for n in range(24)]
    head = f'<meta name="dcterms.license" content="{CC0}"><meta name="author" content="{specimens.PHOTOGRAPHS["retina"].author}">'
    body = '<video src="/film/retina.mp4" title="a photo of a retina"></video>'
    film = Resource(body=_encoded(frames, per_second=8), type="video/mp4")
    return {"/film/index.html": _html("A pan over a retina", body, head=head), "/film/retina.mp4": film}


def _encoded(frames: Sequence[Pixels], *, per_second: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        height, width = frames[0].shape[:2]
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), per_second, (width, height))
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        return file.read_bytes()


def _traps() -> Site:
    gravel = _views_of("gravel", 1)[0]
    pixels = specimens.photograph("retina")
    retina = _shown("/noai/retina.jpg", _at_most(specimens.crop(pixels, (300, 300, 1100, 1100)), LARGEST), "retina")
    shop = _shown("/shop/cat.jpg", specimens.crop(specimens.photograph("chelsea"), (100, 20, 380, 300)), "chelsea")
    found = _shown(
        "/found/tissue.jpg",
        specimens.crop(specimens.photograph("immunohistochemistry"), (130, 130, 400, 400)),
        "immunohistochemistry",
    )
    hidden = _shown(
        "/private/coffee.jpg", specimens.crop(specimens.photograph("coffee"), (150, 50, 450, 350)), "coffee"
    )
    return (
        _figure_page("/copies.html", _copies())
        | _figure_page("/broken.html", _broken(gravel))
        | _figure_page("/noai/index.html", [retina], head='<meta name="robots" content="noai, noimageai">')
        | _figure_page("/shop/index.html", [shop], licence=NON_COMMERCIAL)
        | _page("/found/index.html", "Found somewhere", _image(found), [found])
        | _figure_page("/private/index.html", [hidden])
        | _reserved()
    )


def _reserved() -> Site:
    """Three pages whose picture is kept from training: by robots.txt, by its own header, and by tdmrep.json."""
    site: Site = {}
    for name, photograph, box in (
        ("signal", "coffee", (60, 40, 300, 280)),
        ("usage", "rocket", (200, 100, 440, 340)),
        ("reserved", "coins", (20, 20, 260, 260)),
    ):
        view = specimens.crop(specimens.photograph(photograph), box)
        again = replace(_shown(f"/{name}/{photograph}.jpg", view, photograph), body=encode_jpeg(view, quality=60))
        site |= _figure_page(f"/{name}/index.html", [again])
    refused = replace(site["/usage/rocket.jpg"], headers=(("Content-Usage", "train-ai=n"),))
    return {**site, "/usage/rocket.jpg": refused}


def _copies() -> list[Shown]:
    """A view of the subject that stands on its own page already: once re-encoded, once resized."""
    left, top, right, bottom = tile_box(0)
    side = round(0.8 * min(right - left, bottom - top))
    view = specimens.crop(specimens.photograph(SUBJECT), (left, top, left + side, top + side))
    small = cv2.resize(view, (160, 160), interpolation=cv2.INTER_AREA).astype(np.uint8)
    again = replace(_shown("/copies/again.jpg", view, SUBJECT), body=encode_jpeg(view, quality=45))
    return [again, _shown("/copies/small.jpg", small, SUBJECT)]


def _broken(view: Shown) -> list[Shown]:
    """A blurred picture, a tiny one, and a file that ends too early."""
    pixels = specimens.photograph("grass")
    blurred = cv2.GaussianBlur(pixels[:300, :300], (0, 0), 9).astype(np.uint8)
    tiny = cv2.resize(pixels, (40, 40), interpolation=cv2.INTER_AREA).astype(np.uint8)
    cut = Shown(
        path="/broken/cut.jpg", body=view.body[: len(view.body) // 2], words=view.words, photograph=view.photograph
    )
    return [_shown("/broken/blurred.jpg", blurred, "grass"), _shown("/broken/tiny.jpg", tiny, "grass"), cut]


def _digit_pages(*, turned: bool) -> Site:
    """Twelve digits on a page: all nines on pages of their own, the others mixed, of each twenty-four that the base knows.

    Where they are ``turned``, every nine is turned by a right angle, left and right by turns, and has a page of its own:
    two kinds, both as foreign to a base that knows upright digits. They come shuffled, for the wheel has them writer by
    writer, and the first handful would be all alike.
    """
    pixels, labels = specimens.digits()
    reserved = specimens.reserved_digits(labels)
    nines = np.flatnonzero(labels == 9)
    others = np.stack([np.flatnonzero((labels == digit) & ~reserved)[:24] for digit in range(9)]).T.ravel()
    site: Site = {}
    if turned:
        nines = np.random.default_rng(0).permutation(nines)
    for name, places in (("nine", nines), ("others", others)):
        is_turned = turned and name == "nine"
        on_page = 1 if is_turned else 12
        for page, start in enumerate(range(0, len(places), on_page), 1):
            figures, files = "", {}
            way, quarters = TURNS[page % 2] if is_turned else UPRIGHT
            for place in places[start : start + on_page]:
                word = specimens.DIGITS[labels[place]]
                path = f"/{word}/{place:04d}.png"
                shown = np.ascontiguousarray(np.rot90(pixels[place], quarters))
                files[path] = Resource(body=encode_png(shown), type="image/png")
                figures += f'<img src="{path}" alt="a {way}handwritten digit {word}">'
            head = f'<link rel="license" href="{DIGITS_LICENCE}"><meta name="author" content="E. Alpaydin, C. Kaynak">'
            site |= {f"/pages/{name}-{page}.html": _html("Handwritten digits", figures, head=head), **files}
    return site


def _shown(path: str, pixels: Pixels, name: str) -> Shown:
    photograph = specimens.PHOTOGRAPHS[name]
    body = encode_jpeg(pixels, quality=92)
    return Shown(path=path, body=body, words=f"a photo of {photograph.words}", photograph=photograph)


def _json_ld_page(path: str, title: str, shown: Sequence[Shown]) -> Site:
    """A page that states licence and author in JSON-LD."""
    objects = [
        {
            "@context": "https://schema.org",
            "@type": "ImageObject",
            "contentUrl": f"http://{HOST}{each.path}",
            "name": title,
            "license": each.photograph.licence,
            "creator": {"@type": "Organization", "name": each.photograph.author},
            "copyrightNotice": each.photograph.statement,
        }
        for each in shown
    ]
    head = f'<script type="application/ld+json">{json.dumps(objects)}</script>'
    return _page(path, title, "".join(map(_image, shown)), shown, head=head)


def _figure_page(path: str, shown: Sequence[Shown], *, licence: str = "", head: str = "", stumbles: int = 0) -> Site:
    """A page whose figures each name author and licence."""
    figures = "".join(
        f'<figure>{_image(each)}<figcaption>by <a rel="author" href="/">{escape(each.photograph.author)}</a>, '
        f'<a rel="license" href="{licence or each.photograph.licence}">licence</a></figcaption></figure>'
        for each in shown
    )
    return _page(path, shown[0].photograph.words.capitalize(), figures, shown, head=head, stumbles=stumbles)


def _page(path: str, title: str, body: str, shown: Sequence[Shown], *, head: str = "", stumbles: int = 0) -> Site:
    files = {each.path: Resource(body=each.body, type="image/jpeg") for each in shown}
    return {path: _html(title, body, head=head, stumbles=stumbles), **files}


def _image(shown: Shown) -> str:
    return f'<img src="{shown.path}" alt="{escape(shown.words)}">'


def _html(title: str, body: str, *, head: str = "", stumbles: int = 0) -> Resource:
    text = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>{head}</head><body><h1>{escape(title)}</h1>{body}</body></html>'
    return Resource(body=text.encode(), type="text/html; charset=utf-8", stumbles=stumbles)


def _at_most(pixels: Pixels, side: int) -> Pixels:
    """``pixels`` made smaller until the long side is at most ``side``."""
    scale = side / max(pixels.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(pixels)
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.uint8)
