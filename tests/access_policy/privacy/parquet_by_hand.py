"""Parquet files with false metadata: the metadata of a file is parsed, changed and written again.

The Thrift compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md) without a
schema: a struct is a dictionary from field numbers to `Field`. The numbers are those of parquet.thrift
(https://github.com/apache/parquet-format).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

BOOL_TRUE, BOOL_FALSE, I8, I16, I32, I64, DOUBLE, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
MAGIC = b"PAR1"


class Field(NamedTuple):
    """A field's type in the compact protocol, and its value; of a list the value is (type of items, items)."""

    type: int
    value: Any


Struct: TypeAlias = dict[int, Field]


def i32(value: int) -> Field:
    return Field(I32, value)


def i64(value: int) -> Field:
    return Field(I64, value)


def binary(value: bytes) -> Field:
    return Field(BINARY, value)


def flag(value: bool) -> Field:
    return Field(BOOL_TRUE if value else BOOL_FALSE, value)


def structure(value: Struct) -> Field:
    return Field(STRUCT, value)


def listed(kind: int, items: list[Any]) -> Field:
    return Field(LIST, (kind, items))


class _Reader:
    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def value(self, kind: int) -> Any:
        if kind in (I16, I32, I64):
            return self.zigzag()
        if kind == BINARY:
            return self.take(self.varint())
        if kind == LIST:
            head = self.byte()
            size, item = head >> 4, head & 15
            if size == 15:
                size = self.varint()
            return item, [self.value(item) for _ in range(size)]
        if kind == STRUCT:
            return self.struct()
        if kind == DOUBLE:
            return struct.unpack("<d", self.take(8))[0]
        return self.byte()

    def struct(self) -> Struct:
        found: Struct = {}
        number = 0
        while head := self.byte():
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            found[number] = Field(
                kind, kind == BOOL_TRUE if kind in (BOOL_TRUE, BOOL_FALSE) else self.value(kind)
            )
        return found


def varint(value: int) -> bytes:
    """An unsigned number, seven bits a byte (ULEB128)."""
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _zigzag(value: int) -> bytes:
    return varint((value << 1) ^ (value >> 63))


def _value(kind: int, value: Any) -> bytes:
    if kind in (I16, I32, I64):
        return _zigzag(value)
    if kind == BINARY:
        return varint(len(value)) + value
    if kind == LIST:
        item, items = value
        head = (
            bytes([len(items) << 4 | item]) if len(items) < 15 else bytes([0xF0 | item]) + varint(len(items))
        )
        return head + b"".join(_value(item, one) for one in items)
    if kind == STRUCT:
        return encoded(value)
    if kind == DOUBLE:
        return struct.pack("<d", value)
    return bytes([value])


def encoded(fields: Struct) -> bytes:
    """A struct in the compact protocol."""
    out, last = b"", 0
    for number, (kind, value) in sorted(fields.items()):
        step = number - last
        out += bytes([step << 4 | kind]) if 0 < step < 16 else bytes([kind]) + _zigzag(number)
        out += b"" if kind in (BOOL_TRUE, BOOL_FALSE) else _value(kind, value)
        last = number
    return out + b"\0"


def decoded(data: bytes) -> tuple[Struct, int]:
    """A struct, and its number of bytes."""
    reader = _Reader(data)
    return reader.struct(), reader.at


def rewritten(path: Path, change: Callable[[Struct], None]) -> None:
    """Change the footer of a file (FileMetaData), not the data."""
    body = path.read_bytes()
    length = int.from_bytes(body[-8:-4], "little")
    footer, _ = decoded(body[-8 - length : -8])
    change(footer)
    new = encoded(footer)
    path.write_bytes(body[: -8 - length] + new + struct.pack("<I", len(new)) + MAGIC)


def chunks(footer: Struct) -> Iterator[Struct]:
    """The ColumnMetaData of every column in every row group."""
    for group in footer[4].value[1]:
        for chunk in group[1].value[1]:
            yield chunk[3].value


def spoilt(rng: random.Random, path: Path) -> list[str]:
    """Change numbers, names and flags in the footer of a file, in the header of one of its pages (without moving what
    follows), or bytes of its data, and say which."""
    body = bytearray(path.read_bytes())
    length = int.from_bytes(body[-8:-4], "little")
    footer, _ = decoded(bytes(body[-8 - length : -8]))
    told: list[str] = []
    kind = rng.choice(["footer", "page", "page", "bytes", "both"])
    if kind in ("page", "both"):
        at, size = rng.choice(list(_page_headers(bytes(body), footer)))
        for _ in range(20):
            header, _ = decoded(bytes(body[at : at + size]))
            said = _change(rng, header)
            if len(encoded(header)) == size:
                body[at : at + size] = encoded(header)
                told.append(f"page at {at}: {said}")
                break
    if kind in ("footer", "both"):
        told += [f"footer: {_change(rng, footer)}" for _ in range(rng.choice([1, 1, 3]))]
    if kind == "bytes":
        at = rng.randrange(4, len(body) - 8 - length)
        body[at] = rng.randrange(256)
        told.append(f"byte {at}")
    tail = encoded(footer)
    path.write_bytes(bytes(body[: -8 - length]) + tail + struct.pack("<I", len(tail)) + MAGIC)
    return told


def _page_headers(body: bytes, footer: Struct) -> Iterator[tuple[int, int]]:
    for chunk in chunks(footer):
        at = min(chunk[number].value for number in (9, 11) if number in chunk)
        end = at + chunk[7].value
        while at < end:
            header, size = decoded(body[at:end])
            yield at, size
            at += size + header[3].value


def _change(rng: random.Random, fields: Struct) -> str:
    holder, key, kind = rng.choice(list(_values(fields)))
    old = holder[key] if isinstance(holder, list) else holder[key].value
    new: Any = old
    if kind in (I16, I32, I64):
        new = rng.choice([-1, 0, 1, 2, 8, 255, 2**31 - 1, 2**31, 2**62, -(2**31), old + 1, old - 1, old * 2])
    elif kind == BINARY:
        new = rng.choice([b"", old[::-1], rng.randbytes(len(old)), old + b"\0", b"\xff" * 8])
    elif kind in (BOOL_TRUE, BOOL_FALSE):
        new = not old
    if isinstance(holder, list):
        holder[key] = new
    else:
        holder[key] = flag(new) if isinstance(new, bool) else Field(kind, new)
    return f"{old!r} -> {new!r}"


def _values(fields: Struct) -> Iterator[tuple[Any, int, int]]:
    """Every value that is not a struct: its container, its key and its type."""
    for number, (kind, value) in list(fields.items()):
        if kind == STRUCT:
            yield from _values(value)
        elif kind != LIST:
            yield fields, number, kind
        elif value[0] == STRUCT:
            for one in value[1]:
                yield from _values(one)
        else:
            yield from ((value[1], place, value[0]) for place in range(len(value[1])))
