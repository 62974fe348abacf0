"""Strict JSON: a file is accepted only if writing its value gives the same bytes, so no byte is left unchecked."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from ledger.audit.verify.verdict import tampered

MAX_JSON = 256 * 1024 * 1024
MOST_VALUES = 1 << 21
"""The most values in one file: four times the need of a bundle with the most heads. An empty list takes six bytes of a
file and a hundred bytes of memory."""


def read_once(data: bytes | str) -> Any:
    """Parse JSON in which no object has two members of one name: readers could otherwise take different ones.

    Raises ValueError.
    """

    def unique(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) != len(members):
            again = next(name for name, count in Counter(name for name, _ in members).items() if count > 1)
            raise ValueError(f"{again[:80]!r} stands there twice")
        return found

    try:
        return json.loads(data, object_pairs_hook=unique)
    except RecursionError as error:
        raise ValueError("lists in lists without end") from error


def write_json(value: Any) -> bytes:
    """The canonical form of the files of a bundle: sorted keys, two spaces of indent, UTF-8, one line end."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False).encode() + b"\n"


def read_json(data: bytes, file: str) -> Any:
    """Parse a file; raises `Tampered` unless `write_json` of the value gives the same bytes."""
    if len(data) > MAX_JSON:
        raise tampered("bundle.malformed", "the file is too large", file)
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise tampered("bundle.malformed", f"the file holds more than {MOST_VALUES} values", file)
    try:
        value = json.loads(data)
        again = write_json(value)
    except (ValueError, RecursionError) as error:
        raise tampered("bundle.malformed", f"the file is not JSON: {error}", file) from error
    if again != data:
        raise tampered("bundle.malformed", "the file is not in canonical form: a byte was changed", file)
    return value


def take(value: Any, shape: dict[str, type | tuple[type, ...]], file: str, what: str) -> dict[str, Any]:
    """Check that a value is an object with exactly these keys and types of values; raises `Tampered`."""
    if not isinstance(value, dict) or set(value) != set(shape):
        raise tampered("bundle.malformed", f"{what} has other fields than {', '.join(sorted(shape))}", file)
    for key, kind in shape.items():
        allowed = kind if isinstance(kind, tuple) else (kind,)
        if type(value[key]) not in allowed:
            raise tampered("bundle.malformed", f"{what}: {key} is of the wrong type", file)
    return value
