"""The public parts of the log: proofs and hash tiles. Tiles of entries are for auditors only, and each
request for one is logged."""

from __future__ import annotations

from dataclasses import dataclass

from api.calls.looks import Looks
from api.runtime.errors import RefusedError
from api.runtime.signed_call import SignedCall
from languages.texts import in_both
from ledger.audit.formats.errors import NoSuchEntry
from ledger.audit.formats.merkle import ProofError
from ledger.audit.formats.note import b64
from ledger.audit.log.log import AuditLog
from ledger.audit.log.tiles import parse_tile_path
from ledger.counts import counted


@dataclass(frozen=True, slots=True)
class Tile:
    """The position of a tile: the level or ``entries``, the number within it, and the width."""

    level: int | str
    number: int
    width: int

    @property
    def has_entries(self) -> bool:
        """Whether the tile contains entries, not only hashes."""
        return self.level == "entries"


def named_tile(path: str) -> Tile:
    """The tile named by the path after ``tile/`` (C2SP tlog-tiles); RefusedError ``not-found.tile`` for any
    other spelling."""
    try:
        return Tile(*parse_tile_path(f"tile/{path}"))
    except LookupError as other:
        raise _no_tile() from other


@dataclass(frozen=True, slots=True)
class LogProofs:
    """Proofs and tiles of the log."""

    log: AuditLog
    looks: Looks

    def consistency(self, old: int, new: int) -> list[str]:
        """The hashes (base64) of the RFC 6962 proof between two sizes; RefusedError ``request.size``."""
        try:
            return [b64(item) for item in self.log.consistency(old, new)]
        except (NoSuchEntry, ProofError, ValueError) as beyond:
            raise self._beyond() from beyond

    def inclusion(self, index: int, size: int) -> list[str]:
        """The hashes (base64) of the RFC 6962 proof of an entry in the tree of a size; RefusedError ``request.size``."""
        try:
            return [b64(item) for item in self.log.inclusion(index, size)]
        except (NoSuchEntry, ValueError) as beyond:
            raise self._beyond() from beyond

    def hash_tile(self, tile: Tile) -> bytes:
        """The hashes of a tile; RefusedError ``not-found.tile`` if the log does not have it."""
        assert not tile.has_entries
        return self._content(tile)

    def entry_tile(self, call: SignedCall, tile: Tile) -> bytes:
        """The entries of a tile, for a city-wide auditor; RefusedError ``caller.not-auditor``, ``not-found.tile``."""
        self.looks.must_audit_city(call, in_both("entry tiles need a city-wide AUDITOR key"))
        content = self._content(tile)
        self.looks.note(call, "tile", tile=tile.number)
        return content

    def _content(self, tile: Tile) -> bytes:
        try:
            return self.log.tile_bytes(tile.level, tile.number, tile.width)
        except LookupError as missing:
            raise _no_tile() from missing

    def _beyond(self) -> RefusedError:
        return RefusedError(
            "request.size",
            in_both("the log has {entries}", entries=counted(self.log.size, "entry", "entries")),
        )


def _no_tile() -> RefusedError:
    return RefusedError("not-found.tile", in_both("the log has no such tile"))
