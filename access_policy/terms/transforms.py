"""Privacy transforms of columns, which terms may prescribe for released values.

JSON form, under the column's name:

| document | the released value |
| --- | --- |
| ``{"type": "keep"}`` | as it is |
| ``{"type": "mask", "keep_first": 0, "keep_last": 4, "with": "*"}`` | all but the ends replaced |
| ``{"type": "pseudonym"}`` | a keyed pseudonym, different for each grant |
| ``{"type": "truncate", "to": "month"}`` | a date cut to its ``month`` (2024-05) or ``year`` (2024) |
| ``{"type": "band", "width": 10, "origin": 0}`` | a number's band (``30-39``) |
| ``{"type": "ladder", "steps": {"Cambodia": "Asia"}, "otherwise": "*"}`` | a code's broader code |
| ``{"type": "round", "step": 5}`` | the nearest multiple |
| ``{"type": "clamp", "bottom": 18, "top": 90}`` | bottom- and top-coded |

A column that is granted without a transform is kept. Null stays null under every transform.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from access_policy.errors import TransformError

MAX_STEPS = 1_000
MAX_LABEL = 256


@dataclass(frozen=True, slots=True)
class Keep:
    """The unchanged value."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Replace every character but the first ``keep_first`` and last ``keep_last`` with ``character``.

    A value with no more characters than these is masked completely.
    """

    keep_first: int = 0
    keep_last: int = 0
    character: str = "*"


@dataclass(frozen=True, slots=True)
class Pseudonym:
    """A keyed pseudonym. The key is derived for each grant, so extracts of two grantees cannot be linked by it."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """A date or instant cut to its month (``2024-05``) or year (2024)."""

    to: Literal["month", "year"]


@dataclass(frozen=True, slots=True)
class Band:
    """A number's band of ``width``, counted from ``origin``: ``30-39``, or ``[0.5, 1)`` off the integers."""

    width: int | float
    origin: int | float = 0


@dataclass(frozen=True, slots=True)
class Ladder:
    """A code replaced by its broader code; unknown codes become ``otherwise``."""

    steps: tuple[tuple[str, str], ...]
    otherwise: str = "*"


@dataclass(frozen=True, slots=True)
class Round:
    """A number rounded to the nearest multiple of ``step``."""

    step: int | float


@dataclass(frozen=True, slots=True)
class Clamp:
    """A number below ``bottom`` becomes ``bottom``, above ``top`` becomes ``top``; one may be absent."""

    bottom: int | float | None = None
    top: int | float | None = None


Transform: TypeAlias = Keep | Mask | Pseudonym | Truncate | Band | Ladder | Round | Clamp

_MEMBERS: dict[str, frozenset[str]] = {
    "keep": frozenset(),
    "mask": frozenset({"keep_first", "keep_last", "with"}),
    "pseudonym": frozenset(),
    "truncate": frozenset({"to"}),
    "band": frozenset({"width", "origin"}),
    "ladder": frozenset({"steps", "otherwise"}),
    "round": frozenset({"step"}),
    "clamp": frozenset({"bottom", "top"}),
}


def parse_transform(document: object, *, pointer: str = "") -> Transform:
    """Parse the JSON form; raise TransformError with a JSON pointer on anything outside it."""
    if not isinstance(document, Mapping):
        raise TransformError("a transform is a JSON object with a 'type'", pointer=pointer)
    kind = document.get("type")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise TransformError(
            f"unknown transform {str(kind)[:40]!r}", pointer=f"{pointer}/type", matches=tuple(_MEMBERS)
        )
    extra = set(document) - {"type"} - _MEMBERS[kind]
    if extra:
        raise TransformError(
            f"'{kind}' does not take {', '.join(sorted(str(e)[:40] for e in extra))}", pointer=pointer
        )
    match kind:
        case "mask":
            return _mask(document, pointer)
        case "pseudonym":
            return Pseudonym()
        case "truncate":
            if document.get("to") not in ("month", "year"):
                raise TransformError("'to' is month or year", pointer=f"{pointer}/to")
            return Truncate(cast(Literal["month", "year"], document["to"]))
        case "band":
            return Band(_step(document, "width", pointer), _number(document, "origin", pointer) or 0)
        case "ladder":
            return _ladder(document, pointer)
        case "round":
            return Round(_step(document, "step", pointer))
        case "clamp":
            return _clamp(document, pointer)
    return Keep()


def transform_to_json(transform: Transform) -> dict[str, object]:
    """The JSON form; ``parse_transform(transform_to_json(t)) == t``."""
    match transform:
        case Keep():
            return {"type": "keep"}
        case Mask(first, last, character):
            return {"type": "mask", "keep_first": first, "keep_last": last, "with": character}
        case Pseudonym():
            return {"type": "pseudonym"}
        case Truncate(to):
            return {"type": "truncate", "to": to}
        case Band(width, origin):
            return {"type": "band", "width": width, "origin": origin}
        case Ladder(steps, otherwise):
            return {"type": "ladder", "steps": dict(steps), "otherwise": otherwise}
        case Round(step):
            return {"type": "round", "step": step}
        case Clamp(bottom, top):
            bounds = {"bottom": bottom, "top": top}
            return {"type": "clamp"} | {name: value for name, value in bounds.items() if value is not None}


def _mask(document: Mapping[str, object], pointer: str) -> Mask:
    kept: list[int] = []
    for name in ("keep_first", "keep_last"):
        value = document.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 64:
            raise TransformError(f"'{name}' is an integer from 0 to 64", pointer=f"{pointer}/{name}")
        kept.append(value)
    character = document.get("with", "*")
    if not isinstance(character, str) or len(character) != 1:
        raise TransformError("'with' is one character", pointer=f"{pointer}/with")
    return Mask(kept[0], kept[1], character)


def _ladder(document: Mapping[str, object], pointer: str) -> Ladder:
    steps, otherwise = document.get("steps"), document.get("otherwise", "*")
    if not isinstance(steps, Mapping) or not 1 <= len(steps) <= MAX_STEPS:
        raise TransformError(
            f"'steps' maps 1 to {MAX_STEPS} codes to broader ones", pointer=f"{pointer}/steps"
        )
    for code, broader in steps.items():
        if not (_label(code) and _label(broader)):
            raise TransformError(
                f"a code is a text of at most {MAX_LABEL} characters", pointer=f"{pointer}/steps"
            )
    if not isinstance(otherwise, str) or not _label(otherwise):
        raise TransformError("'otherwise' is a short text", pointer=f"{pointer}/otherwise")
    return Ladder(tuple(sorted(steps.items())), otherwise)


def _label(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_LABEL


def _clamp(document: Mapping[str, object], pointer: str) -> Clamp:
    bottom, top = _number(document, "bottom", pointer), _number(document, "top", pointer)
    if bottom is None and top is None:
        raise TransformError("'clamp' needs a bottom, a top or both", pointer=pointer)
    if bottom is not None and top is not None and bottom > top:
        raise TransformError("'bottom' is not above 'top'", pointer=f"{pointer}/bottom")
    return Clamp(bottom, top)


def _step(document: Mapping[str, object], name: str, pointer: str) -> int | float:
    value = _number(document, name, pointer)
    if value is None or value <= 0:
        raise TransformError(f"'{name}' is a number above 0", pointer=f"{pointer}/{name}")
    return value


def _number(document: Mapping[str, object], name: str, pointer: str) -> int | float | None:
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TransformError(f"'{name}' is a number", pointer=f"{pointer}/{name}")
    if not math.isfinite(value) or abs(value) >= 2**53:
        raise TransformError(f"'{name}' is finite and below 2^53", pointer=f"{pointer}/{name}")
    return value
