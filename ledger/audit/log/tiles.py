"""The hashes of the tree in SQL: full tiles of 256 hashes, and the paths of C2SP tlog-tiles.

Only full tiles are stored, and they never change. The hashes of a partial tile are read from the entries (level 0) or
from the roots of the full tiles below. An append therefore writes 8.7 KB of tiles per 256 entries.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from sqlalchemy import Connection

from ledger.audit.formats.errors import LogCorrupt
from ledger.audit.formats.merkle import HASH_SIZE, Node, parents, root_of_hashes
from ledger.store.prepared import fetched
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditEntry, AuditTile

WIDTH = 256
ROW = 16
TILE_BYTES = WIDTH * HASH_SIZE

entry_table = table_of(AuditEntry)
tile_table = table_of(AuditTile)

# Every proof reads single tiles and short runs of hashes, so these are plain SQL ({0} is the parameter mark).
_TILE = "SELECT data FROM audit_tile WHERE level = {0} AND n = {0}"
_LEAF_HASHES = "SELECT leaf_hash FROM audit_entry WHERE idx >= {0} AND idx < {0} ORDER BY idx"
_TILE_ROOTS = "SELECT root FROM audit_tile WHERE level = {0} AND n >= {0} AND n < {0} ORDER BY n"


def _run(conn: Connection, statement: str, *values: int) -> list[tuple[Any, ...]]:
    mark = "?" if conn.dialect.name == "sqlite" else "%s"
    return fetched(conn, statement.format(mark), values, (bytes,))


def build_tile(hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Returns (root, stored bytes) of a full tile. The bytes are its 256 hashes, then the roots of its 16 rows of 16."""
    rows = list(hashes)
    for _ in range(4):
        rows = parents(rows)
    return root_of_hashes(rows), b"".join(hashes) + b"".join(rows)


class TileReader:
    """Reads nodes of the tree, with a bounded cache of full tiles (8.7 KB each)."""

    def __init__(self, cached: int = 256) -> None:
        self._cached = cached
        self._tiles: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._lock = Lock()

    def forget(self) -> None:
        """Clear the cache. Call this after the database may have been replaced."""
        with self._lock:
            self._tiles.clear()

    def nodes(self, conn: Connection, size: int) -> Node:
        """The function ``node(level, index)`` of the stored tree of ``size`` leaves, as `merkle` uses it."""

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
            if tile_level == 0:
                return root_of_hashes(self.hashes(conn, 0, first, count))
            data = self._partial(conn, tile_level, number, (size >> (8 * tile_level)) & 255)
            return root_of_hashes(_split(data, offset * HASH_SIZE, count))

        return node

    def hashes(self, conn: Connection, tile_level: int, first: int, count: int) -> list[bytes]:
        """``count`` consecutive hashes of a tile level from index ``first`` on, also those of its partial tile."""
        if tile_level == 0:
            rows = _run(conn, _LEAF_HASHES, first, first + count)
        else:
            rows = _run(conn, _TILE_ROOTS, tile_level - 1, first, first + count)
        found = [row[0] for row in rows]
        if len(found) != count:
            raise LogCorrupt(
                f"level {tile_level} should hold {count} hashes from {first} on, {len(found)} are there"
            )
        return found

    def tile(self, conn: Connection, level: int, number: int, width: int, size: int) -> bytes:
        """The bytes of a hash tile in the form of tlog-tiles; ``width`` is 256 for a full tile."""
        available = min(WIDTH, (size >> (8 * level)) - number * WIDTH)
        if not 1 <= width <= available or level > 7:
            raise LookupError(f"no tile of width {width} at level {level}, {number}")
        if available == WIDTH:
            return self._tile(conn, level, number)[: width * HASH_SIZE]
        return b"".join(self.hashes(conn, level, number * WIDTH, width))

    def _tile(self, conn: Connection, level: int, number: int) -> bytes:
        def read() -> bytes:
            stored = [row[0] for row in _run(conn, _TILE, level, number)]
            if [len(data) for data in stored] != [TILE_BYTES + ROW * HASH_SIZE]:
                raise LogCorrupt(f"tile {number} of level {level} is missing or has the wrong length")
            data: bytes = stored[0]
            return data

        return self._cached_or((level, number, WIDTH), read)

    def _partial(self, conn: Connection, level: int, number: int, width: int) -> bytes:
        """A partial tile above level 0. It changes once in 256 entries, so it is cached."""

        def read() -> bytes:
            return b"".join(self.hashes(conn, level, number * WIDTH, width))

        return self._cached_or((level, number, width), read)

    def _cached_or(self, key: tuple[int, int, int], read: Callable[[], bytes]) -> bytes:
        with self._lock:
            data = self._tiles.get(key)
            if data is not None:
                self._tiles.move_to_end(key)
                return data
        data = read()
        with self._lock:
            self._tiles[key] = data
            if len(self._tiles) > self._cached:
                self._tiles.popitem(last=False)
        return data


def _split(data: bytes, at: int, count: int) -> list[bytes]:
    return [data[i : i + HASH_SIZE] for i in range(at, at + count * HASH_SIZE, HASH_SIZE)]


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """The path ``tile/<L>/<N>[.p/<W>]`` of C2SP tlog-tiles; the level is "entries" for entry bundles."""
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
    """Returns (level or "entries", number, width) of a path. Raises LookupError unless `tile_path` gives the same path."""
    found = _PATH.fullmatch(path)
    if found:
        level: int | str = found["level"] if found["level"] == "entries" else int(found["level"])
        number = int(found["n"].replace("x", "").replace("/", ""))
        width = int(found["width"] or WIDTH)
        if tile_path(level, number, width) == path:
            return level, number, width
    raise LookupError(f"not a tile path: {path[:80]!r}")
