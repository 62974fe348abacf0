"""The words for the numbers in messages and events (``contracts/src/types/Codes.sol``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, IntFlag

from api.protocol.errors import ClientError
from contracts.codes import MACHINES, PEOPLE, ConditionKind, Grade, Right, ServiceRole, Sharing, Stopper
from ledger.chain.code_words import ConditionEnd, Reason, word_of


def _numbers(of: Iterable[IntEnum | IntFlag]) -> Mapping[str, int]:
    return {word_of(number): int(number) for number in of}


OFFICER_ROLES = _numbers(PEOPLE)
ATTEST_ROLES = _numbers(MACHINES)
SEAT_ROLES = {**OFFICER_ROLES, **ATTEST_ROLES}
SERVICE_ROLES = _numbers(ServiceRole)
RIGHTS = _numbers(Right)
GRADES = _numbers(Grade)
STOPPERS = _numbers(Stopper)
SHARING = _numbers(Sharing)
REVOCATION_REASONS = _numbers(Reason)
CONDITION_KINDS = _numbers(ConditionKind)
CONDITION_ENDS = _numbers(ConditionEnd)


class CodeUnknown(ClientError):
    """A word that has no number."""

    code = "word.unknown"


def number_of(words: Mapping[str, int], word: str) -> int:
    """The number of one word; CodeUnknown lists the known words."""
    try:
        return words[word.strip().lower()]
    except KeyError:
        raise CodeUnknown(f"there is no {word[:40]!r} here", hint=f"one of {', '.join(words)}") from None


def bits_of(words: Mapping[str, int], chosen: Iterable[str]) -> int:
    """The bits of several role words as one number; CodeUnknown also for an empty list."""
    bits = 0
    for word in chosen:
        bits |= number_of(words, word)
    if not bits:
        raise CodeUnknown("at least one role is needed", hint=f"one or more of {', '.join(words)}")
    return bits
