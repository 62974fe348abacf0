"""The format of an answer that a caller prefers (RFC 9110, 12.5.1), and the names of the formats over HTTP."""

from __future__ import annotations

import re
from dataclasses import dataclass

from access_policy.privacy.execution.encoding import ANSWER_FORMATS, AnswerFormat, media_type
from api.http.problems import Problem
from languages.texts import in_both

PREFERENCE: tuple[AnswerFormat, ...] = ("json", "ndjson", "csv", "arrow")
"""The order of formats that a caller wants equally."""

MEDIA_TYPES = tuple(media_type(one) for one in ANSWER_FORMATS)
"""The media types of rows, without parameters."""

_QUALITY = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?", re.ASCII)


def negotiated(accept: str) -> AnswerFormat:
    """The format that an ``Accept`` field prefers; Problem ``format.unknown`` if it accepts none of ours.

    For each format the most specific range counts; the highest ``q`` wins, at equal ones the first of PREFERENCE. A
    format's bare name (``csv``) stands for its media type. An empty field takes everything.
    """
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [Range("*/*", frozenset(), 1.0)]
    best = max(PREFERENCE, key=lambda name: _quality(name, ranges))
    if _quality(best, ranges) == 0:
        raise Problem(
            "format.unknown",
            in_both("no format of {accept} is written here", accept=repr(accept[:40])),
            {"matches": list(ANSWER_FORMATS)},
        )
    return best


@dataclass(frozen=True, slots=True)
class Range:
    """One media range of an ``Accept`` field, its parameters and its quality value (0 to 1)."""

    kind: str
    parameters: frozenset[str]
    quality: float


def _range(part: str) -> Range:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    narrowing: set[str] = set()
    quality = 1.0
    for name, _, value in (parameter.partition("=") for parameter in parameters if parameter):
        if name.strip() == "q":
            quality = float(value) if _QUALITY.fullmatch(value.strip()) else 0.0
            break  # The rest are no parameters of the media type.
        narrowing.add(f"{name.strip()}={value.strip().strip(chr(34))}")
    return Range(kind, frozenset(narrowing), quality)


def _quality(name: AnswerFormat, ranges: list[Range]) -> float:
    """The quality value of a format: by the most specific range that contains it; 0 if none does."""
    kind = media_type(name)
    own = {"charset=utf-8", "header=present"}
    fits = [
        (order, len(one.parameters), one.quality)
        for one in ranges
        for order, wanted in enumerate(("*/*", kind.split("/")[0] + "/*", kind))
        if (one.kind == wanted or (wanted == kind and one.kind == name)) and one.parameters <= own
    ]
    return max(fits)[2] if fits else 0.0
