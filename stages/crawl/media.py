"""What an answer is by its own account: a picture, a video, or neither."""

from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from stages.crawl.sources.folder import VIDEOS
from stages.web.client import Answer

TEXTS = ("text/", "application/json", "application/xhtml", "application/xml", "application/javascript")


def kind(answer: Answer) -> Literal["image", "video", ""]:
    """``image`` or ``video``; empty when the answer calls itself a text, as the page that a dead link leads to."""
    said = answer.headers.get("content-type", "").strip().lower()
    if said.startswith(TEXTS):
        return ""
    if said.startswith(("image/", "video/")):
        return "video" if said.startswith("video/") else "image"
    return "video" if PurePosixPath(urlsplit(answer.url).path).suffix.lower() in VIDEOS else "image"
