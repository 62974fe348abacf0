"""Fetches the tiles of a log from a directory of a static export, a web server, or the service itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from api.cli.failures import CommandError
from api.cli.long_checks import Bound
from api.protocol.errors import ClientError
from api.terminal.language import say
from ledger.audit.verify.tiles import MAX_TILE, Fetch

WITHIN_S = 30.0
"""The time limit for one tile, in seconds."""


class TileMissing(CommandError):
    """A tile could not be fetched."""

    code = "audit.tile"


def is_tiles(where: str) -> bool:
    """Whether the text names a log in tiles: a URL, or a directory with tiles (a bundle has none)."""
    from ledger.audit.verify.tiles import has_tiles

    return is_url(where) or has_tiles(Path(where))


def is_url(where: str) -> bool:
    """Whether the text is a URL."""
    return where.startswith(("http://", "https://"))


@contextmanager
def tiles_at(url: str, profile: Path | None, bound: Bound) -> Iterator[Fetch]:
    """A function that fetches tiles from a web server or a service. It raises `TileMissing`, the transport's errors
    and the bound's: a broken or slow connection is no statement about the log.

    Entry tiles say who reads what, and the service gives them only to an auditor's key. If the profile's service is
    at the URL, its key signs the calls.
    """
    base = url.rstrip("/")
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    if profile is not None and read_profile(profile).url.rstrip("/") == base:
        with read_profile(profile).connect(Passphrases(None)) as civic:

            def signed(path: str, within_s: float) -> bytes:
                answer = civic.transport.call("GET", f"/{path}", within_s=within_s, most=MAX_TILE)
                return civic.checked(answer).body

            yield _bounded(signed, bound)
        return
    from ledger.outgoing import CallFailed, Outgoing

    with Outgoing() as line:

        def public(path: str, within_s: float) -> bytes:
            try:
                answer = line.ask(line.prepare("GET", f"{base}/{path}"), within_s=within_s, most=MAX_TILE)
            except CallFailed as broken:
                raise TileMissing(
                    say(
                        "{base}/{path} cannot be had: {why}",
                        base=base,
                        path=path,
                        why=broken.message,
                    )
                ) from broken
            if answer.status != 200:
                raise TileMissing(
                    say(
                        "{base}/{path} answers {status}; entry tiles need an auditor's profile",
                        base=base,
                        path=path,
                        status=answer.status,
                    )
                )
            return answer.body

        yield _bounded(public, bound)


def _bounded(ask: Callable[[str, float], bytes], bound: Bound) -> Fetch:
    def fetch(path: str) -> bytes:
        left = bound.left_s()
        try:
            data = ask(path, min(WITHIN_S, left))
        except ClientError:
            bound.left_s()
            raise
        bound.took(path, len(data))
        return data

    return fetch
