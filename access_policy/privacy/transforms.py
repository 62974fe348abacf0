"""Privacy transforms per column: what the terms may prescribe for a released value.

JSON form, under the column's name: ``{"type": "keep"}``, ``{"type": "mask", "keep_first": 0, "keep_last": 4,
"with": "*"}``, ``{"type": "pseudonym"}``. A column that is granted without a transform is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from access_policy.errors import TransformError


@dataclass(frozen=True, slots=True)
class Keep:
    """The value as it is."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Replace every character but the first ``keep_first`` and last ``keep_last`` with ``character``."""

    keep_first: int = 0
    keep_last: int = 0
    character: str = "*"


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """A keyed pseudonym; the key is derived per grant, so two grantees' extracts do not link by it."""


Transform: TypeAlias = Keep | Mask | Pseudonym


def parse_transform(document: object, *, pointer: str = "") -> Transform:
    """Parse the JSON form; raise TransformError with a JSON pointer on anything outside it."""
    if not isinstance(document, Mapping):
        raise TransformError("a transform is a JSON object with a 'type'", pointer=pointer)
    kind = document.get("type")
    extra = set(document) - {"type"}
    match kind:
        case "keep" if not extra:
            return Keep()
        case "pseudonym" if not extra:
            return Pseudonym()
        case "mask" if extra <= {"keep_first", "keep_last", "with"}:
            first, last = document.get("keep_first", 0), document.get("keep_last", 0)
            character = document.get("with", "*")
            for name, value in (("keep_first", first), ("keep_last", last)):
                if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 64:
                    raise TransformError(f"'{name}' is an integer from 0 to 64", pointer=f"{pointer}/{name}")
            if not isinstance(character, str) or len(character) != 1:
                raise TransformError("'with' is one character", pointer=f"{pointer}/with")
            return Mask(first, last, character)
        case "keep" | "pseudonym" | "mask":
            raise TransformError(
                f"'{kind}' does not take {', '.join(sorted(map(str, extra)))}", pointer=pointer
            )
    raise TransformError(
        f"unknown transform {str(kind)[:40]!r}", pointer=f"{pointer}/type", matches=("keep", "mask", "pseudonym")
    )


def transform_to_json(transform: Transform) -> dict[str, object]:
    """The JSON form; ``parse_transform(transform_to_json(t)) == t``."""
    match transform:
        case Keep():
            return {"type": "keep"}
        case Mask(first, last, character):
            return {"type": "mask", "keep_first": first, "keep_last": last, "with": character}
        case Pseudonym():
            return {"type": "pseudonym"}
