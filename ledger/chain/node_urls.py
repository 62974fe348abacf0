"""The addresses of a chain's nodes, as a setting names them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SEPARATOR = re.compile(r"[\s,]+(?=[a-z]+://)", re.IGNORECASE)
_SECRET = re.compile(r"//[^/@]*@")


def node_urls(text: str) -> tuple[str, ...]:
    """One URL, or several separated by spaces or commas. ValueError where a node is named twice: it would vote twice."""
    urls = tuple(url for url in _SEPARATOR.split(text.strip(" \t\r\n,")) if url)
    places = {_SECRET.sub("//", url).rstrip("/").lower() for url in urls}
    if len(places) < len(urls):
        raise ValueError("a node is named twice")
    return urls


def place_of(url: str) -> str:
    """Which node this is, for messages that callers and logs get: a path and a query may hold a key, as what is before the
    host does."""
    try:
        found = urlsplit(url)
        return f"{found.scheme}://{found.netloc.rpartition('@')[2]}"
    except ValueError:
        return "the node"
