"""The URLs of a chain's nodes in a setting."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SEPARATOR = re.compile(r"[\s,]+(?=[a-z]+://)", re.IGNORECASE)
_SECRET = re.compile(r"//[^/@]*@")


def node_urls(text: str) -> tuple[str, ...]:
    """Split a setting into URLs, separated by spaces or commas. Raises ValueError for a repeated node, which would have two
    votes."""
    urls = tuple(url for url in _SEPARATOR.split(text.strip(" \t\r\n,")) if url)
    places = {_SECRET.sub("//", url).rstrip("/").lower() for url in urls}
    if len(places) < len(urls):
        raise ValueError("a node is named twice")
    return urls


def place_of(url: str) -> str:
    """The scheme and host of a URL for messages and logs. User info, path and query are left out, because they may contain
    a key."""
    try:
        found = urlsplit(url)
        return f"{found.scheme}://{found.netloc.rpartition('@')[2]}"
    except ValueError:
        return "the node"
