"""The metadata document of an asset: checked, canonicalised, hashed. Its hash is recorded on chain.

The document a steward signs over (by ``metadataHash``, the SHA-256 of its RFC 8785 form)::

    {"title": {"zh": "空气质量", "en": "Air quality"},
     "description": {"zh": "...", "en": "..."},
     "schema": {"fields": [{"name": "station", "type": "string", "class": "plain"},
                           {"name": "pm25", "type": "number", "class": "plain", "unit": "ug/m3"}],
                "personKey": "...", "missingValues": [""], "zone": "Asia/Shanghai"},
     "source": {"format": "csv", "opening": "64 hex digits"},
     "updateCycle": "P1D",
     "sharing": "unconditional" | "conditional" | "none",
     "grade": "general" | "important" | "core",
     "contact": {"department": 7, "unit": "...", "email": "..."},
     "legalBasis": "...", "licence": "...", "code": "...", "related": ["7.3"]}

The last four members, ``updateCycle``, ``personKey``, ``missingValues``, ``zone``, ``unit``, ``normalise``, ``title`` and ``description``
of a field and the unit and email of the contact may be absent. ``schema`` is a Frictionless Table Schema with
the members ``class``, ``unit``, ``normalise``, ``personKey`` and ``zone`` of our own; the data plane reads that member as it stands.

The entry is public, but the digest of its file is not: a small file can be guessed, and its digest would confirm the guess.
The entry therefore names the *opening* of its source by the SHA-256 of the opening's RFC 8785 form. The opening is a separate
document for the parties of the asset; its random salt of 128 bits prevents guessing::

    {"sha256": "64 hex digits", "bytes": 1024, "salt": "32 hex digits"}
    {"parts": [{"sha256": "64 hex digits", "bytes": 1024}, ...], "salt": "32 hex digits"}

The second form is that of a growing table (`ledger.audit.formats.source_parts`): a signature of the entry covers the digests of
all parts.

`ledger.audit.formats.source_opening.seal` makes entry and opening from an entry with the source ``{"format", "sha256",
"bytes"}``. Entries in that form were signed before openings were introduced; they remain readable.

The catalogue's fields follow the directory rules cited in the design notes (Shanghai, art. 28).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import rfc8785

from contracts.codes import Grade, Sharing
from ledger.audit.formats.source_parts import MAX_PARTS, PARTS_FORMAT
from ledger.chain.code_words import word_of
from ledger.errors import LedgerError

FIELD_TYPES = (
    *("string", "integer", "number", "boolean", "date", "datetime", "time", "year", "yearmonth"),
    *(f"decimal({places})" for places in range(19)),
)
"""The same values as in `access_policy.privacy.schema`."""
NORMALISATIONS = ("width", "nfc", "case", "trim")
"""The same values as in `access_policy.privacy.spelling`."""
CLASSES = ("identifier", "quasi-identifier", "sensitive", "plain")
FORMATS = ("csv", "parquet")
SHARING = tuple(map(word_of, Sharing))
"""无条件共享, 有条件共享, 不予共享: their numbers on chain are the positions here, counted from 1."""
GRADES = tuple(map(word_of, Grade))
"""一般, 重要, 核心: their numbers on chain are the positions here, counted from 1."""

MAX_BYTES = 1 << 20
MAX_FIELDS = 1_000
MAX_TEXT = 10_000
MAX_NAME = 128

_SALT = re.compile(r"(?:[0-9a-f]{2}){16,32}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DURATION = re.compile(
    r"P(?=[\dT])(?:\d+Y)?(?:\d+M)?(?:\d+W)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?", re.ASCII
)
_ASSET = re.compile(r"[1-9]\d{0,7}\.[1-9]\d{0,12}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")

_Check = Callable[[object, str], None]


class MetadataError(LedgerError):
    """A metadata document is malformed; ``pointer`` is the RFC 6901 pointer of the wrong value."""

    code = "metadata.invalid"

    def __init__(self, message: str, *, pointer: str = "", hint: str = "") -> None:
        super().__init__(f"{pointer}: {message}" if pointer else message, hint=hint)
        self.pointer = pointer


class PartsError(MetadataError):
    """A list of parts is malformed; ``code`` states the fault."""

    def __init__(self, code: str, message: str, pointer: str) -> None:
        super().__init__(message, pointer=pointer)
        self.code = code


@dataclass(frozen=True, slots=True)
class Metadata:
    """A checked document with its canonical bytes and its hash (``sha256``: 64 hex digits)."""

    document: Mapping[str, Any]
    canonical: bytes
    sha256: str

    @property
    def chain_hash(self) -> str:
        """The hash in the form of the messages: 0x and 64 hex digits."""
        return "0x" + self.sha256

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(field["name"] for field in self.document["schema"]["fields"])

    def title(self, language: str) -> str:
        """The title in ``zh`` or ``en``; in the other language when this one is missing."""
        titles: Mapping[str, str] = self.document["title"]
        return titles.get(language) or next(iter(titles.values()))


def parse_metadata(document: object) -> Metadata:
    """Check a metadata document; raises `MetadataError` with a JSON pointer unless it has the form above."""
    _object(document, "", required=_REQUIRED, optional=_OPTIONAL)
    assert isinstance(document, Mapping)
    _distinct_columns(document["schema"])
    canonical = canonical_json(document)
    if len(canonical) > MAX_BYTES:
        raise MetadataError(f"the document has {len(canonical)} bytes, at most {MAX_BYTES} are allowed")
    return Metadata(document, canonical, hashlib.sha256(canonical).hexdigest())


def metadata_hash(document: object) -> str:
    """The on-chain metadata hash of a document: 0x and the SHA-256 of its RFC 8785 form."""
    return parse_metadata(document).chain_hash


def is_sealed(document: Mapping[str, Any]) -> bool:
    """Whether a checked entry names the opening of its source instead of its digest."""
    return "opening" in document["source"]


def parse_opening(document: object) -> str:
    """Check the opening of a source, and return the SHA-256 (64 hex digits) by which an entry names it. Raises
    `MetadataError`."""
    in_parts = isinstance(document, Mapping) and "parts" in document
    (_OPENING_OF_PARTS if in_parts else _OPENING)(document, "")
    return hashlib.sha256(canonical_json(document)).hexdigest()


def canonical_json(document: object) -> bytes:
    """The RFC 8785 bytes. Raises `MetadataError` for values outside JSON (NaN, integers from 2^53, lone surrogates)."""
    try:
        return rfc8785.dumps(document)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise MetadataError(f"the document has no canonical form: {error}") from None


# --------------------------------------------------------------------------- the form


def _object(
    value: object, pointer: str, *, required: Mapping[str, _Check], optional: Mapping[str, _Check]
) -> None:
    if not isinstance(value, Mapping):
        raise MetadataError("an object is expected", pointer=pointer)
    for name in value:
        if name not in required and name not in optional:
            known = sorted([*required, *optional])
            raise MetadataError(
                "there is no such member", pointer=_join(pointer, name), hint=f"known: {known}"
            )
    for name in required:
        if name not in value:
            raise MetadataError("this member is missing", pointer=_join(pointer, name))
    for name, item in value.items():
        (required.get(name) or optional[name])(item, _join(pointer, name))


def _join(pointer: str, name: object) -> str:
    return f"{pointer}/{str(name)[:80].replace('~', '~0').replace('/', '~1')}"


def _text(
    value: object, pointer: str, *, limit: int = MAX_TEXT, pattern: re.Pattern[str] | None = None
) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > limit:
        raise MetadataError(f"a text of 1 to {limit} characters is expected", pointer=pointer)
    if pattern is not None and not pattern.fullmatch(value):
        raise MetadataError("the text is not of the expected form", pointer=pointer, hint=_FORM[pattern])


def _one_of(value: object, pointer: str, *, words: Collection[str]) -> None:
    if not isinstance(value, str) or value not in words:
        raise MetadataError(f"one of {', '.join(words)} is expected", pointer=pointer)


def _integer(value: object, pointer: str, *, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise MetadataError(f"an integer from {low} to {high} is expected", pointer=pointer)


def _boolean(value: object, pointer: str) -> None:
    if not isinstance(value, bool):
        raise MetadataError("true or false is expected", pointer=pointer)


def _list(value: object, pointer: str, *, item: _Check, low: int, high: int) -> None:
    if not isinstance(value, list) or not low <= len(value) <= high:
        raise MetadataError(f"a list of {low} to {high} items is expected", pointer=pointer)
    for index, entry in enumerate(value):
        item(entry, f"{pointer}/{index}")


def _source(value: object, pointer: str) -> None:
    members = value.keys() if isinstance(value, Mapping) else ()
    if "opening" in members:
        _SEALED(value, pointer)
    elif "parts" in members:
        _WRITTEN_OUT_PARTS(value, pointer)
    else:
        _WRITTEN_OUT(value, pointer)


def _format_of_parts(value: object, pointer: str) -> None:
    _format(value, pointer)
    if value != PARTS_FORMAT:
        raise PartsError("parts.format", f"only {PARTS_FORMAT} files are parts of a table", pointer)


def _parts(value: object, pointer: str) -> None:
    if isinstance(value, list) and not value:
        raise PartsError("parts.none", "a table has at least one part", pointer)
    if isinstance(value, list) and len(value) > MAX_PARTS:
        raise PartsError("parts.too-many", f"a table has at most {MAX_PARTS} parts", pointer)
    _list(value, pointer, item=_PART, low=1, high=MAX_PARTS)
    assert isinstance(value, list)
    seen: set[str] = set()
    for index, part in enumerate(value):
        if part["sha256"] in seen:
            raise PartsError("parts.twice", "this part is named before", f"{pointer}/{index}/sha256")
        seen.add(part["sha256"])


def _words_of_both_languages(value: object, pointer: str) -> None:
    _object(value, pointer, required={}, optional={"zh": _text, "en": _text})
    if not value:
        raise MetadataError("a text in zh, en or both is expected", pointer=pointer)


def _missing_value(value: object, pointer: str) -> None:
    if not isinstance(value, str) or len(value) > 64:
        raise MetadataError("a text of at most 64 characters is expected", pointer=pointer)


def _distinct_columns(schema: Mapping[str, Any]) -> None:
    seen: set[str] = set()
    for index, field in enumerate(schema["fields"]):
        folded = field["name"].casefold()
        if folded in seen:
            raise MetadataError(
                "two columns have the same name, or names that differ only by case",
                pointer=f"/schema/fields/{index}/name",
            )
        seen.add(folded)
    key = schema.get("personKey")
    if key is not None and key not in {field["name"] for field in schema["fields"]}:
        raise MetadataError("the person key names one of the columns", pointer="/schema/personKey")


_FORM = {
    _SHA256: "64 lower-case hex digits",
    _SALT: "32 to 64 lower-case hex digits",
    _DURATION: "an ISO 8601 duration such as P1D or P1M",
    _ASSET: "department.sequence, such as 7.12",
    _EMAIL: "an address such as data@city.example",
}
_name: _Check = partial(_text, limit=MAX_NAME)

_FIELD = partial(
    _object,
    required={
        "name": _name,
        "type": partial(_one_of, words=FIELD_TYPES),
        "class": partial(_one_of, words=CLASSES),
    },
    optional={
        "unit": _name,
        "title": _name,
        "description": _text,
        "constraints": partial(_object, required={}, optional={"required": _boolean}),
        "normalise": partial(
            _list, item=partial(_one_of, words=NORMALISATIONS), low=1, high=len(NORMALISATIONS)
        ),
    },
)
_digest: _Check = partial(_text, limit=64, pattern=_SHA256)
_size: _Check = partial(_integer, low=0, high=(1 << 53) - 1)
_salt: _Check = partial(_text, limit=64, pattern=_SALT)
_format: _Check = partial(_one_of, words=FORMATS)
_SEALED = partial(_object, required={"format": _format, "opening": _digest}, optional={})
_WRITTEN_OUT = partial(
    _object, required={"format": _format, "sha256": _digest, "bytes": _size}, optional={"salt": _salt}
)
_OPENING = partial(_object, required={"sha256": _digest, "bytes": _size, "salt": _salt}, optional={})
_PART = partial(_object, required={"sha256": _digest, "bytes": _size}, optional={})
_WRITTEN_OUT_PARTS = partial(
    _object, required={"format": _format_of_parts, "parts": _parts}, optional={"salt": _salt}
)
_OPENING_OF_PARTS = partial(_object, required={"parts": _parts, "salt": _salt}, optional={})
_REQUIRED: Mapping[str, _Check] = {
    "title": _words_of_both_languages,
    "description": _words_of_both_languages,
    "schema": partial(
        _object,
        required={"fields": partial(_list, item=_FIELD, low=1, high=MAX_FIELDS)},
        optional={
            "personKey": _name,
            "missingValues": partial(_list, item=_missing_value, low=0, high=32),
            "zone": _name,
        },
    ),
    "source": _source,
    "sharing": partial(_one_of, words=SHARING),
    "grade": partial(_one_of, words=GRADES),
    "contact": partial(
        _object,
        required={"department": partial(_integer, low=1, high=(1 << 24) - 1)},
        optional={"unit": _name, "email": partial(_text, limit=256, pattern=_EMAIL)},
    ),
}
_OPTIONAL: Mapping[str, _Check] = {
    "updateCycle": partial(_text, limit=32, pattern=_DURATION),
    "legalBasis": _text,
    "licence": _name,
    "code": _name,
    "related": partial(_list, item=partial(_text, limit=24, pattern=_ASSET), low=0, high=100),
}
