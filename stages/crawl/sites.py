"""What whole sites say of uses, in files of their own: each is asked for once for an origin, through the journal."""

from collections.abc import Iterable, Iterator

from stages.crawl import signals
from stages.crawl.journal import Journal
from stages.crawl.signals import Layer, Scope
from stages.errors import FetchError
from stages.records import Signal
from stages.web import addresses, robots
from stages.web.client import Answer

TDMREP, AI_TXT = FILES = ("/.well-known/tdmrep.json", "/ai.txt")
MAX_BYTES = 500 * 1024  # of a site's file that are read, as of robots.txt
HELD = 64 * 1024 * 1024  # bytes of sites' files in memory
OVERHEAD = 300  # bytes that an address and its place take, about


class Sites:
    """The statements of sites."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.agent = journal.agent
        self._files: dict[str, bytes] = {}  # of the sites met last; the journal has the others
        self._held = 0

    def prepare(self, urls: Iterable[str]) -> None:
        """Fetch the files of the sites of ``urls``, sites side by side: ``signals`` would do it one by one."""
        origins = dict.fromkeys(addresses.origin(clean) for url in urls if (clean := addresses.joined("", url)))
        files = [f"{origin}{path}" for origin in origins for path in FILES if f"{origin}{path}" not in self._files]
        for outcome, file in zip(self._journal.get_all(files), files, strict=True):
            self._hold(file, b"" if isinstance(outcome, FetchError) else outcome.body[:MAX_BYTES])

    def signals(
        self, url: str, answer: Answer, *, scope: Scope, tdm_meta: str = "", rsl: tuple[str, ...] = ()
    ) -> tuple[Signal, ...]:
        """All that is said of the uses of ``url`` by its site and by the headers of its ``answer``.

        Where it redirects, the site that it leads to is asked, too. ``tdm_meta`` and ``rsl`` are what a page itself
        says: its reservation, and addresses of RSL licences.
        """
        url = addresses.clean(url)
        header, agent = answer.headers.get("tdm-reservation", ""), self.agent
        found = list(signals.of_headers(answer.headers, agent=agent, scope=scope))
        for each in dict.fromkeys((url, answer.url)):
            rule = signals.tdm_rule(self._file(f"{addresses.origin(each)}{TDMREP}"), addresses.target(each))
            found += signals.tdm(file=rule, header=header, meta=tdm_meta, scope=scope)
            found += self._of_site(each, scope)
        found += self._licences("http", signals.rsl_links(answer.headers), answer.url, scope)
        found += self._licences("html", rsl, answer.url, scope)
        return tuple(dict.fromkeys(found))

    def _of_site(self, url: str, scope: Scope) -> Iterator[Signal]:
        target, rules = addresses.target(url), self._rules(url)
        yield from signals.of_robots(rules, target, scope=scope)
        content = self._file(f"{addresses.origin(url)}{AI_TXT}")
        yield from signals.ai_txt(content, target, agent=self.agent, scope=scope)
        yield from self._licences("site", rules.licences, url, "site")

    def _licences(self, layer: Layer, links: Iterable[str], url: str, scope: Scope) -> Iterator[Signal]:
        for link in links:
            content = self._file(addresses.joined(url, link))
            yield from signals.rsl(link, content, addresses.target(url), layer=layer, scope=scope)

    def _rules(self, url: str) -> robots.Robots:
        try:
            return self._journal.robots(url)
        except FetchError:  # it was had when ``url`` was fetched; an answer from the journal may be older than that
            return robots.EVERYTHING

    def _file(self, url: str) -> bytes:
        """What ``url`` answers; nothing where it cannot be had."""
        if url not in self._files:
            self._hold(url, self._fetched(url))
        return self._files[url]

    def _hold(self, url: str, content: bytes) -> None:
        """Keep ``content`` at hand, and let go of the oldest where there is too much: a list may name a million sites."""
        self._files[url] = content
        self._held += len(content) + OVERHEAD
        while self._held > HELD and len(self._files) > 1:
            self._held -= len(self._files.pop(next(iter(self._files)))) + OVERHEAD

    def _fetched(self, url: str) -> bytes:
        try:
            return self._journal.get(url).body[:MAX_BYTES] if url else b""
        except FetchError:
            return b""
