"""The words for the codes of the contracts (``contracts.codes``), and codes that the contracts store without using them."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Reason(IntEnum):
    """The reason of a revocation: ``reason`` of Revoke and RevokeBatch. The contracts store it and do not use it."""

    NOT_SAID = 0
    TERMS_BREACHED = 1
    PURPOSE_ENDED = 2
    ASSET_WITHDRAWN = 3
    KEY_COMPROMISED = 4
    LEGAL_ORDER = 5
    DATA_QUALITY = 6
    REPLACED = 7


class ConditionEnd(IntEnum):
    """The reason of a condition's end: ``reason`` of CloseCondition. The contracts store it and do not use it."""

    WITHDRAWN = 1
    CLOSED = 2
    LAPSED = 3
    MISTAKEN = 4


def word_of(number: IntEnum | IntFlag) -> str:
    """The word for a code, such as ``city-auditor`` for ``CITY_AUDITOR``; the HTTP API, commands and SDK use it."""
    return str(number.name).lower().replace("_", "-")
