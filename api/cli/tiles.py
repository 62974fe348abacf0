"""Where the tiles of a log are fetched from: a directory of a static export, a web server, or the service itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.cli.failures import CommandError
from api.cli.language import say
from ledger.audit.verify.tiles import MAX_TILE, Fetch

WITHIN_S = 30.0
"""How long one tile may take."""


class TileMissing(CommandError):
    """A tile could not be fetched."""

    code = "audit.tile"


def is_tiles(where: str) -> bool:
    """Whether this names a log in tiles: a URL, or a directory with tiles (a bundle has none)."""
    return is_url(where) or (Path(where) / "tile").is_dir()


def is_url(where: str) -> bool:
    """Whether this names something on the network."""
    return where.startswith(("http://", "https://"))


@contextmanager
def tiles_at(url: str, profile: Path | None) -> Iterator[Fetch]:
    """How to fetch from a web server or a service. Raises `TileMissing` and the transport's errors: that a line broke
    says nothing about the log.

    Entry tiles say who reads what: the service gives them to an auditor's key alone, so a profile whose service is
    at the URL signs the calls.
    """
    base = url.rstrip("/")
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    if profile is not None and read_profile(profile).url.rstrip("/") == base:
        with read_profile(profile).connect(Passphrases(None)) as civic:

            def signed(path: str) -> bytes:
                answer = civic.transport.call("GET", f"/{path}")
                return civic.checked(answer).body

            yield signed
        return
    from ledger.outgoing import CallFailed, Outgoing

    with Outgoing() as line:

        def public(path: str) -> bytes:
            try:
                answer = line.ask(line.prepare("GET", f"{base}/{path}"), within_s=WITHIN_S, most=MAX_TILE)
            except CallFailed as broken:
                raise TileMissing(
                    say(
                        f"{base}/{path} cannot be had: {broken.message}",
                        f"无法取得 {base}/{path}：{broken.message}",
                    )
                ) from broken
            if answer.status != 200:
                raise TileMissing(
                    say(
                        f"{base}/{path} answers {answer.status}; entry tiles need an auditor's profile",
                        f"{base}/{path} 返回 {answer.status}；条目瓦片需审计员配置",
                    )
                )
            return answer.body

        yield public
