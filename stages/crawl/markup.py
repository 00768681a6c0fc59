"""Elements of a web page as text that is safe to keep, however broken they are."""

from itertools import islice
from typing import Any

from bs4.element import NavigableString, Tag

MOST_NODES = 200  # of a title, a name, a licence: a page of nothing but elements in elements takes no hour


def attribute(element: Any, name: str) -> str:
    """The attribute ``name`` as text; empty when there is no such element or attribute."""
    value = element.get(name) if isinstance(element, Tag) else None
    return " ".join(value) if isinstance(value, list) else (value or "").strip()


def text(element: Any) -> str:
    """The text inside ``element``, of its first ``MOST_NODES``; empty when there is no such element."""
    inside = islice(element.descendants, MOST_NODES) if isinstance(element, Tag) else ()
    return " ".join(each.strip() for each in inside if isinstance(each, NavigableString) and each.strip())


def plain(value: Any) -> str:
    """``value`` as text that UTF-8 can hold: JSON's escapes can name half a surrogate pair."""
    return str(value or "").encode(errors="replace").decode()
