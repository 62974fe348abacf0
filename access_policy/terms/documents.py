"""Reading terms documents from untrusted sources: limits are checked first, and values keep their position.

No link is followed and no file is opened. The size is checked before decoding, the depth and the number of values before
interpretation. Duplicate members, NaN, lone surrogates, and integers that JSON readers represent differently are refused
(RFC 8259 section 4 and 6; RFC 7493).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from access_policy.errors import TermsError
from access_policy.terms.vocabulary import close_matches, is_misspelt

Json: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None

MAX_BYTES = 262_144
MAX_DEPTH = 24
MAX_VALUES = 20_000
MAX_TEXT = 4_096
MAX_INTEGER = 2**53 - 1

_IRI = re.compile(r"[a-z][a-z0-9+.-]{0,31}:[^\s<>\"{}|\\^`\x00-\x20]{1,480}")

_VOCABULARY = ("dpv:", "odrl:", "civic:", "xsd:", "rdf:")
"""The prefixes of vocabulary terms. Such a term cannot be a party, an asset or a document."""


def load(document: bytes | str | Mapping[str, object]) -> dict[str, Any]:
    """A document as a new plain JSON object; raises TermsError outside the limits."""
    if isinstance(document, bytes | bytearray | str):
        loaded = _decode(document)
    elif isinstance(document, Mapping):
        loaded = document
    else:
        raise TermsError("terms are a JSON object, as bytes, text or a mapping")
    copied = _bounded(loaded, "", 0, [MAX_VALUES])
    if not isinstance(copied, dict):
        raise TermsError("terms are a JSON object")
    return copied


def _decode(document: bytes | bytearray | str) -> object:
    if len(document) > MAX_BYTES:
        raise TermsError(f"terms have at most {MAX_BYTES} bytes, these have {len(document)}")
    try:
        text = document if isinstance(document, str) else bytes(document).decode("utf-8")
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer)
    except UnicodeDecodeError as error:
        raise TermsError(f"terms are UTF-8 text (byte {error.start} is not)") from None
    except json.JSONDecodeError as error:
        raise TermsError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise TermsError(f"terms nest at most {MAX_DEPTH} deep") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise TermsError(f"the member {twice[:80]!r} occurs twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise TermsError(f"{name} is not JSON")


def _integer(text: str) -> int:
    if len(text) > 17:
        raise TermsError(f"an integer is at most {MAX_INTEGER}")
    return int(text)


def _bounded(value: object, pointer: str, depth: int, budget: list[int]) -> Json:
    budget[0] -= 1
    if budget[0] < 0:
        raise TermsError(f"terms hold at most {MAX_VALUES} values")
    if depth > MAX_DEPTH:
        raise TermsError(f"terms nest at most {MAX_DEPTH} deep", pointer=pointer[:200])
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, pointer)
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise TermsError(f"an integer is at most {MAX_INTEGER}", pointer=pointer)
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TermsError("a number is finite", pointer=pointer)
        return value
    if isinstance(value, Mapping):
        copied: dict[str, Any] = {}
        for name, member in value.items():
            if not isinstance(name, str):
                raise TermsError("the members of an object have text names", pointer=pointer)
            copied[_text(name, pointer)] = _bounded(member, f"{pointer}/{escape(name)}", depth + 1, budget)
        return copied
    if isinstance(value, list | tuple):
        return [_bounded(v, f"{pointer}/{i}", depth + 1, budget) for i, v in enumerate(value)]
    raise TermsError(f"{type(value).__name__} is not a JSON value", pointer=pointer)


def _text(value: str, pointer: str) -> str:
    if len(value) > MAX_TEXT:
        raise TermsError(f"a text has at most {MAX_TEXT} characters", pointer=pointer)
    if any("\ud800" <= c <= "\udfff" for c in value):
        raise TermsError("a text holds a lone surrogate", pointer=pointer)
    return value


def escape(name: str) -> str:
    """A member's name as a reference token of a JSON pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")


@dataclass(frozen=True, slots=True)
class Reader:
    """A value of the document with its JSON pointer. All errors contain the pointer."""

    value: Any
    pointer: str = ""

    def fail(self, message: str, *, known: Iterable[str] = (), matches: tuple[str, ...] = ()) -> NoReturn:
        """Raise TermsError for this value; close matches are chosen from ``known``."""
        if not matches and isinstance(self.value, str):
            matches = close_matches(self.value, known)
        raise TermsError(message, pointer=self.pointer, matches=matches)

    def members(self, allowed: Iterable[str], *, required: Iterable[str] = ()) -> Reader:
        """Check that this is an object with no other members than ``allowed`` and with all ``required`` ones."""
        if not isinstance(self.value, dict):
            self.fail("an object belongs here")
        names = tuple(allowed)
        for name in self.value:
            if name not in names:
                Reader(name, f"{self.pointer}/{escape(name)}").fail(
                    f"{name[:80]!r} is not a member of this profile here", known=names
                )
        for name in required:
            if name not in self.value:
                self.fail(f"the member {name!r} is missing")
        return self

    def __contains__(self, name: object) -> bool:
        return isinstance(self.value, dict) and name in self.value

    def __getitem__(self, name: str) -> Reader:
        return Reader(self.value[name], f"{self.pointer}/{escape(name)}")

    def items(self) -> Iterator[Reader]:
        """The elements of a list or of ``{"@list": [...]}``; a single value is treated as a list of one."""
        if isinstance(self.value, dict) and set(self.value) == {"@list"}:
            yield from self["@list"].items()
        elif isinstance(self.value, list):
            for i, value in enumerate(self.value):
                yield Reader(value, f"{self.pointer}/{i}")
        else:
            yield self

    def text(self, what: str = "a text") -> str:
        """A non-empty text."""
        if not isinstance(self.value, str) or not self.value:
            self.fail(f"{what} belongs here")
        return self.value

    def iri(self, what: str = "an IRI") -> str:
        """An absolute IRI, bare or as ``{"@id": ...}``."""
        if isinstance(self.value, dict) and set(self.value) == {"@id"}:
            return self["@id"].iri(what)
        text = self.text(what)
        if not _IRI.fullmatch(text) or text.startswith(_VOCABULARY) or is_misspelt(text):
            self.fail(f"{what} belongs here, such as urn:civic:dept:7")
        return text

    def literal(self, *types: str) -> Reader:
        """The value of ``{"@type": one of types, "@value": ...}``, or this value itself without that form."""
        if isinstance(self.value, dict) and "@value" in self.value:
            self.members(("@type", "@value"))
            if "@type" in self.value and self.value["@type"] not in types:
                self["@type"].fail(f"a literal of type {' or '.join(types)} belongs here", known=types)
            return self["@value"]
        return self
