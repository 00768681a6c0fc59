"""What an address of the web is: http or https, a host, and no name and password before it."""

import re
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from stages.errors import FetchError

PORTS = {"http": 80, "https": 443}
KEPT = "/?#[]@!$&'()*+,;=:%~"  # reserved, or percent-encoded already


def clean(url: str) -> str:
    """``url`` as it is asked for and remembered: host in ASCII and lower case, no user, fragment or default port.

    Raises:
        FetchError: when it is no address, or one of something else than the web.
    """
    bare = without_user(url.strip())
    try:
        address = urlsplit(bare)
        host = _ascii(address.hostname or "")
        port = "" if address.port in (None, PORTS.get(address.scheme)) else f":{address.port}"
    except ValueError:
        raise FetchError(f"{bare}: not an address", lasting=True) from None
    if address.scheme not in PORTS or not host:
        raise FetchError(f"{bare}: only http and https addresses are fetched", lasting=True)
    path, query = quote(address.path or "/", safe=KEPT), quote(address.query, safe=KEPT)
    return urlunsplit((address.scheme, host + port, path, query, ""))


def without_user(url: str) -> str:
    """``url`` less the name and password before its host, whatever else is wrong with it."""
    return re.sub(r"(?<=//)[^/?#]*@", "", url, count=1)


def joined(base: str, address: str) -> str:
    """``address`` as a page at ``base`` means it, cleaned; empty when it leads nowhere on the web."""
    try:
        return clean(urljoin(base, address.strip()))
    except (FetchError, ValueError):
        return ""


def origin(url: str) -> str:
    """Scheme, host and port of a clean address: what one robots.txt speaks for."""
    address = urlsplit(url)
    return f"{address.scheme}://{address.netloc}"


def host(url: str) -> str:
    """Host and port of a clean address: whom the pause between two requests is for."""
    return urlsplit(url).netloc


def target(url: str) -> str:
    """Path and query of a clean address."""
    address = urlsplit(url)
    return address.path + (f"?{address.query}" if address.query else "")


def _ascii(name: str) -> str:
    """A host's name as name servers know it; RFC 3490, as Python's codec has it."""
    return f"[{name}]" if ":" in name else name.encode("idna").decode().lower()
