"""Identifiers, times and words in the description of the interface, each by the rule that parses it.

They only describe. `ledger.ids` and `api.http.parameters` parse what arrives, each with a code of its own,
and answers contain values that were checked when they were stored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import Annotated, Any

from pydantic import WithJsonSchema

from ledger import ids
from ledger.chain.code_words import word_of
from ledger.ids import ACTIVATION


def spelled(
    pattern: re.Pattern[str] | str, example: str, what: str, most: int | None = None
) -> WithJsonSchema:
    """A text of a pattern (matched completely), at most ``most`` characters."""
    text = pattern if isinstance(pattern, str) else pattern.pattern
    schema: dict[str, Any] = {"type": "string", "pattern": f"^{text}$", "examples": [example]}
    return WithJsonSchema(schema | {"description": what} | ({} if most is None else {"maxLength": most}))


def one_of(words: Iterable[str] | type[IntEnum] | type[IntFlag]) -> WithJsonSchema:
    """One of these words, or of the words for the numbers of the contracts."""
    if isinstance(words, type):
        words = [word_of(one) for one in words]
    return WithJsonSchema({"type": "string", "enum": list(words)})


GRANT = "0x" + "5f" * 32

Department = Annotated[str, spelled("[1-9][0-9]{0,7}", "7", "a department, by its number")]
Asset = Annotated[
    str, spelled(ids.ASSET, "7.12", "an asset: the department that registered it, and its count")
]
Condition = Annotated[str, spelled(ids.ASSET, "3.1", "a condition: its keeper, and the keeper's count")]
Grant = Annotated[str, spelled(ids.HASH, GRANT, "a grant: the EIP-712 struct hash of its Terms")]
Act = Annotated[
    str,
    spelled(
        f"{ids.HASH.pattern}({ACTIVATION})?", GRANT, "an act by its digest; its second step, where it has one"
    ),
]
Hash = Annotated[str, spelled(ids.HASH, GRANT, "32 bytes")]
Address = Annotated[str, spelled(ids.ADDRESS, "0x" + "00" * 20, "20 bytes, with the checksum of EIP-55")]
Key = Annotated[str, spelled(ids.KEY, "7a" * 32, "32 bytes")]
Actor = Annotated[
    str,
    spelled(
        f"({ids.KEY_ID.pattern}|{ids.ADDRESS.pattern})",
        f"7:{'7a' * 32}",
        "who acted: a key id or an address",
        200,
    ),
]
Moment = Annotated[
    str, WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T08:00:00+00:00"]})
]
"""ISO 8601 with its zone, which is UTC."""
Time = WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-01-31T08:00:00Z"]})
"""A time as a caller may write it: with any zone, to the microsecond."""
