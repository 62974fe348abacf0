"""The service's own addresses, and the address and target of a request.

A call is signed over the address it was made for (``@target-uri``), so the service must know its own. That is
``CIVIC_PUBLIC_URL``; without one, the address on which the connection arrived, and on loopback ``localhost``
too. A request for another address is refused, signed or not. ``X-Forwarded-*`` and ``Forwarded`` are never
read, because any client can send them.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any

from api.http.problems import Problem
from api.protocol.addresses import ABSOLUTE, Authority, parse_authority, parse_base
from api.protocol.http_signatures import RequestMessage
from languages.texts import in_both

Scope = MutableMapping[str, Any]

TARGET = "civic.target"
"""Member of the scope: the request target as it arrived. ASGI's path and query do not distinguish ``/x?`` from
``/x``, nor the absolute form from the origin form."""

ONCE = frozenset(
    ("host", "accept", "content-digest", "content-type", "idempotency-key", "signature", "signature-input")
)
"""Headers that the service uses. Two lines of one of them would be ambiguous, so they are refused."""

_TARGET = re.compile(r"/[!-\"$-~]*", re.ASCII)
_SERVED = "http"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as its caller made it, and the reason to refuse it before anything else (None: there is none)."""

    message: RequestMessage
    refusal: Problem | None = None


def asked_of(scope: Scope, public_url: str) -> Asked:
    """The target and address of a request. The target is the one that arrived, not one that was reassembled.

    A refused request keeps the address that it named, so that its caller can verify the signed refusal.
    """
    headers: dict[str, str] = {}
    twice = ""
    for name, value in (
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
    ):
        if name in headers and name in ONCE:
            twice = twice or name
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    server = scope.get("server") or ("", 0)
    public, served = _own(public_url, str(server[0]), int(server[1] or 0))
    target = _target_of(scope)
    absolute = ABSOLUTE.fullmatch(target)
    path = absolute[3] if absolute else target
    named = parse_authority(headers.get("host", "").strip(" \t"), public.scheme)

    def refused(code: str, detail: str, base: str = public.base) -> Asked:
        return Asked(RequestMessage(scope["method"], base + path, headers), Problem(code, detail))

    if twice:
        return refused(
            "request.header-twice",
            in_both("the header {header} is in the request more than once", header=twice),
        )
    if named is None:
        return refused(
            "request.host", in_both("the request needs one Host header: a host and perhaps a port")
        )
    if _TARGET.fullmatch(path) is None or "%00" in path:  # No text may contain U+0000 (`must_read_alike`).
        return refused(
            "request.target",
            in_both("the request target is a path of visible ASCII characters, without '#' and '%00'"),
        )
    if absolute and parse_authority(absolute[2], absolute[1].lower()) != named:
        return refused("request.misdirected", in_both("the request target names another address than Host"))
    if named not in served:
        return refused(
            "request.misdirected", in_both("this service is not at {address}", address=named.base), named.base
        )
    base = public.base if public_url else named.base
    return Asked(RequestMessage(scope["method"], base + path, headers))


def _target_of(scope: Scope) -> str:
    raw: bytes | None = scope.get(TARGET)
    if raw is None:
        query = scope.get("query_string", b"")
        raw = (scope.get("raw_path") or scope["path"].encode()) + (b"?" + query if query else b"")
    return raw.decode("latin-1")


@lru_cache(maxsize=256)
def _own(public_url: str, host: str, port: int) -> tuple[Authority, frozenset[Authority]]:
    """The address that calls are signed for, and the permitted values of Host.

    A proxy in front of a service with a public URL may name the socket instead. The port of the socket is known, so
    Host carries it.
    """
    hosts = set()
    try:
        address = ip_address(host)
    except ValueError:
        hosts.add(host)
    else:
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        address = mapped or address
        hosts.add(f"[{address.compressed}]" if isinstance(address, IPv6Address) else address.compressed)
        if address.is_loopback:
            hosts.add("localhost")
    scheme = _SERVED if not public_url else parse_base(public_url).scheme
    served = {Authority(scheme, name, port) for name in hosts}
    public = parse_base(public_url) if public_url else min(served, key=lambda one: one.host)
    return public, frozenset(served | {public})
