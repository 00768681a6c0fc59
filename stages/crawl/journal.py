"""Answers of the web that were had before, kept outside DVC: a killed crawl goes on, and nobody is asked twice.

One small file for an address, one file for each body by its SHA-256. It changes how long a crawl takes and not what it
brings; the folder may be removed at any time.
"""

import hashlib
import json
import time
from pathlib import Path

from stages.tables import replace
from stages.web.client import NO_SECRET, Answer, Client, Secret


class Journal:
    """``Client.get`` with a memory of ``fresh_hours``."""

    def __init__(self, client: Client, folder: Path, *, fresh_hours: float) -> None:
        self._client = client
        self._folder = folder
        self._seconds = fresh_hours * 3600

    def get(self, url: str, *, secret: Secret = NO_SECRET, ask_robots: bool = True) -> Answer:
        """What ``url`` answers, from memory while that is fresh. Takes and raises what ``Client.get`` does."""
        entry = self._folder / "answers" / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
        return self._remembered(entry) or self._remember(
            entry, self._client.get(url, secret=secret, ask_robots=ask_robots)
        )

    def _remembered(self, entry: Path) -> Answer | None:
        if not entry.is_file() or time.time() - entry.stat().st_mtime > self._seconds:
            return None
        record = json.loads(entry.read_bytes())
        body = self._body(record["body"])
        if not body.is_file() or hashlib.sha256(content := body.read_bytes()).hexdigest() != record["body"]:
            return None
        return Answer(url=record["url"], status=record["status"], headers=record["headers"], body=content)

    def _remember(self, entry: Path, answer: Answer) -> Answer:
        digest = hashlib.sha256(answer.body).hexdigest()
        replace(self._body(digest), answer.body)
        record = {"url": answer.url, "status": answer.status, "headers": dict(answer.headers), "body": digest}
        replace(entry, json.dumps(record).encode())
        return answer

    def _body(self, digest: str) -> Path:
        return self._folder / "bodies" / digest[:2] / digest
