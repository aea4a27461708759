"""Whether a request was sent by a web page of another origin, through its visitor's browser.

Shared by the prediction API and the Prefect server; it imports only the standard library, so that
either starts without the other. What is done about such a request belongs to the servers.
"""

from collections.abc import Collection, Iterable
from ipaddress import ip_address

_OTHERS = (b"cross-site", b"same-site")
"""Values of Sec-Fetch-Site for another origin; another port of one host is the same site."""


def is_cross_origin(headers: Iterable[tuple[bytes, bytes]], allowed: Collection[str] = ()) -> bool:
    """Whether a page of an origin that is neither the server's own nor `allowed` sent a request.

    A browser names the page's origin with every request that can change something, and a page
    cannot choose that name. Programs name none and are let through, as is a link that a person
    followed from another page. `headers` have lower-case names, as ASGI has them.
    """
    found = {name: value for name, value in headers if name in _READ}
    origin = found.get(b"origin")
    if origin is None:
        followed = found.get(b"sec-fetch-mode") == b"navigate"
        return not followed and found.get(b"sec-fetch-site") in _OTHERS
    if origin.decode("latin-1").lower() in allowed:
        return False
    # Without the scheme: behind a proxy with TLS the page has another one than the server.
    own = found.get(b"host", b"").lower()
    return not own or origin.lower().partition(b"://")[2] != own


_READ = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode"})


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine reach a server that listens on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
