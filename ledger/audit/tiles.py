"""The tree's hashes in SQL: full tiles of 256, and the paths of C2SP tlog-tiles.

Only full tiles are stored, once each and never changed; what lies in a partial tile is read from the entries
(level 0) or from the roots of the full tiles below. So an append writes 8.7 KB per 256 entries and nothing else.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select

from ledger.audit.errors import LogCorrupt
from ledger.audit.merkle import HASH_SIZE, Node, parents, root_of_hashes
from ledger.store.tables.audit import AuditEntry, AuditTile

WIDTH = 256
ROW = 16
TILE_BYTES = WIDTH * HASH_SIZE

entry_table: Table = AuditEntry.__table__  # type: ignore[attr-defined]
tile_table: Table = AuditTile.__table__  # type: ignore[attr-defined]

_TILE = select(tile_table.c.data).where(
    tile_table.c.level == bindparam("level_"), tile_table.c.n == bindparam("n_")
)
_LEAF_HASHES = (
    select(entry_table.c.leaf_hash)
    .where(entry_table.c.idx >= bindparam("first_"), entry_table.c.idx < bindparam("end_"))
    .order_by(entry_table.c.idx)
)
_TILE_ROOTS = (
    select(tile_table.c.root)
    .where(
        tile_table.c.level == bindparam("level_"),
        tile_table.c.n >= bindparam("first_"),
        tile_table.c.n < bindparam("end_"),
    )
    .order_by(tile_table.c.n)
)


def build_tile(hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(root, stored bytes) of a full tile: its 256 hashes, then the roots of its rows of 16."""
    rows = list(hashes)
    for _ in range(4):
        rows = parents(rows)
    return root_of_hashes(rows), b"".join(hashes) + b"".join(rows)


class TileReader:
    """Reads nodes of the tree, with a bounded cache of full tiles (8.7 KB each)."""

    def __init__(self, cached: int = 256) -> None:
        self._cached = cached
        self._tiles: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._lock = Lock()

    def forget(self) -> None:
        """Drop the cache, after anything that may have replaced the database under it."""
        with self._lock:
            self._tiles.clear()

    def nodes(self, conn: Connection, size: int) -> Node:
        """``node(level, index)`` over the stored tree of ``size`` leaves."""

        def node(level: int, index: int) -> bytes:
            tile_level, height = divmod(level, 8)
            first, count = index << height, 1 << height
            number, offset = first >> 8, first & 255
            if (number + 1) * WIDTH <= size >> (8 * tile_level):
                data = self._tile(conn, tile_level, number)
                if height >= 4:
                    at, count = TILE_BYTES + (offset >> 4) * HASH_SIZE, count >> 4
                else:
                    at = offset * HASH_SIZE
                return root_of_hashes(_split(data, at, count))
            return root_of_hashes(self.hashes(conn, tile_level, first, count))

        return node

    def hashes(self, conn: Connection, tile_level: int, first: int, count: int) -> list[bytes]:
        """Consecutive hashes of a tile level that may still be partial."""
        if tile_level == 0:
            rows = conn.execute(_LEAF_HASHES, {"first_": first, "end_": first + count})
        else:
            rows = conn.execute(
                _TILE_ROOTS, {"level_": tile_level - 1, "first_": first, "end_": first + count}
            )
        found = [bytes(row[0]) for row in rows]
        if len(found) != count:
            raise LogCorrupt(
                f"level {tile_level} should hold {count} hashes from {first} on, {len(found)} are there"
            )
        return found

    def tile(self, conn: Connection, level: int, number: int, width: int, size: int) -> bytes:
        """The bytes of a hash tile as tlog-tiles serves it; ``width`` 256 is a full one."""
        available = min(WIDTH, (size >> (8 * level)) - number * WIDTH)
        if not 1 <= width <= available or level > 7:
            raise LookupError(f"no tile of width {width} at level {level}, {number}")
        if available == WIDTH:
            return self._tile(conn, level, number)[: width * HASH_SIZE]
        return b"".join(self.hashes(conn, level, number * WIDTH, width))

    def _tile(self, conn: Connection, level: int, number: int) -> bytes:
        key = (level, number)
        with self._lock:
            data = self._tiles.get(key)
            if data is not None:
                self._tiles.move_to_end(key)
                return data
        stored: Any = conn.execute(_TILE, {"level_": level, "n_": number}).scalar_one_or_none()
        if stored is None or len(stored) != TILE_BYTES + ROW * HASH_SIZE:
            raise LogCorrupt(f"tile {number} of level {level} is missing or has the wrong length")
        data = bytes(stored)
        with self._lock:
            self._tiles[key] = data
            if len(self._tiles) > self._cached:
                self._tiles.popitem(last=False)
        return data


def _split(data: bytes, at: int, count: int) -> list[bytes]:
    return [data[i : i + HASH_SIZE] for i in range(at, at + count * HASH_SIZE, HASH_SIZE)]


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """``tile/<L>/<N>[.p/<W>]``; level "entries" for entry bundles (C2SP tlog-tiles)."""
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.append(f"x{number % 1000:03d}")
    suffix = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(parts))}{suffix}"


_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9]\d?)/(?P<n>(?:x\d{3}/){0,5}\d{3})(?:\.p/(?P<width>[1-9]\d{0,2}))?",
    re.ASCII,
)


def parse_tile_path(path: str) -> tuple[int | str, int, int]:
    """(level or "entries", number, width) from a path; `LookupError` unless it is the one spelling."""
    found = _PATH.fullmatch(path)
    if found:
        level: int | str = found["level"] if found["level"] == "entries" else int(found["level"])
        number = int(found["n"].replace("x", "").replace("/", ""))
        width = int(found["width"] or WIDTH)
        if tile_path(level, number, width) == path:
            return level, number, width
    raise LookupError(f"not a tile path: {path[:80]!r}")
