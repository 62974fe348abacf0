"""Addresses of services: a scheme, a host and a port, each in one canonical spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

ABSOLUTE = re.compile(r"(https?)://([^/?#@]*)(/[^#]*)", re.ASCII | re.IGNORECASE)
"""A URL without user and fragment: scheme, authority, and the path with its query."""

_PORTS = {"http": 80, "https": 443}
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.\-]+)(?::([1-9][0-9]{0,4}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Authority:
    """Host and port; ``str`` gives the canonical spelling: lower case, no default port, IPv6 compressed in brackets."""

    scheme: str
    host: str
    port: int

    @property
    def base(self) -> str:
        """``https://city.example`` or ``http://127.0.0.1:8600``."""
        suffix = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{suffix}"


def parse_authority(text: str, scheme: str) -> Authority | None:
    """``host`` or ``host:port`` of a Host header; None if it is neither."""
    found = _AUTHORITY.fullmatch(text)
    if found is None or int(found[2] or 1) > 65_535:
        return None
    host = found[1].lower()
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except AddressValueError:
            return None
    return Authority(scheme, host, int(found[2] or _PORTS[scheme]))


def parse_base(url: str) -> Authority:
    """A base URL: scheme, host, optionally a port; ValueError otherwise."""
    found = ABSOLUTE.fullmatch(url if url.count("/") > 2 else f"{url}/")
    authority = parse_authority(found[2], found[1].lower()) if found and found[3] == "/" else None
    if authority is None:
        raise ValueError("a base URL is http:// or https:// with a host and perhaps a port, and nothing else")
    return authority
