"""The words for the numbers that stand in messages, words and events (``contracts/src/types/Codes.sol``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from api.sdk.errors import ClientError

OFFICER_ROLES: Mapping[str, int] = {
    "admin": 1 << 0,
    "steward": 1 << 1,
    "finance": 1 << 2,
    "cdo": 1 << 3,
    "oversight": 1 << 4,
    "emergency": 1 << 5,
    "bureau": 1 << 6,
}
ATTEST_ROLES: Mapping[str, int] = {"attest": 1 << 8, "witness": 1 << 9, "gateway": 1 << 10}
SERVICE_ROLES: Mapping[str, int] = {"reader": 1 << 0, "auditor": 1 << 1, "city-auditor": 1 << 2}
RIGHTS: Mapping[str, int] = {"hold": 1, "use": 2, "operate": 3}
GRADES: Mapping[str, int] = {"general": 1, "important": 2, "core": 3}
SHARING: Mapping[str, int] = {"unconditional": 1, "conditional": 2, "none": 3}
REVOCATION_REASONS: Mapping[str, int] = {
    "not-said": 0,
    "terms-breached": 1,
    "purpose-ended": 2,
    "asset-withdrawn": 3,
    "key-compromised": 4,
    "legal-order": 5,
    "data-quality": 6,
    "replaced": 7,
}

UNLIMITED = (1 << 32) - 1
"""``maxUses`` of a grant without a bound."""
FOREVER = (1 << 40) - 1
"""``notAfter`` of a seat or key without an end."""
NO_HASH = "0x" + 64 * "0"


class CodeUnknown(ClientError):
    """A word is not one of those that have a number."""

    code = "word.unknown"


def number_of(words: Mapping[str, int], word: str) -> int:
    """The number of one word; CodeUnknown lists the words there are."""
    try:
        return words[word.strip().lower()]
    except KeyError:
        raise CodeUnknown(f"there is no {word[:40]!r} here", hint=f"one of {', '.join(words)}") from None


def bits_of(words: Mapping[str, int], chosen: Iterable[str]) -> int:
    """The roles of several words as one number; CodeUnknown also when there are none."""
    bits = 0
    for word in chosen:
        bits |= number_of(words, word)
    if not bits:
        raise CodeUnknown("at least one role is needed", hint=f"one or more of {', '.join(words)}")
    return bits


def words_of(words: Mapping[str, int], bits: int) -> list[str]:
    """The words of the bits that are set."""
    return [word for word, bit in words.items() if bits & bit]


def word_of(words: Mapping[str, int], number: int) -> str:
    """The word of a number; the number itself as text where it has none."""
    return next((word for word, value in words.items() if value == number), str(number))
