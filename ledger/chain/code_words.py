"""The words for the numbers of the contracts (``contracts.codes``), and the numbers that contracts keep unread."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Reason(IntEnum):
    """Why a grant is revoked: ``reason`` of Revoke and RevokeBatch. The contracts keep it and read nothing from it."""

    NOT_SAID = 0
    TERMS_BREACHED = 1
    PURPOSE_ENDED = 2
    ASSET_WITHDRAWN = 3
    KEY_COMPROMISED = 4
    LEGAL_ORDER = 5
    DATA_QUALITY = 6
    REPLACED = 7


class ConditionEnd(IntEnum):
    """Why a condition ends: ``reason`` of CloseCondition, kept likewise."""

    WITHDRAWN = 1
    CLOSED = 2
    LAPSED = 3
    MISTAKEN = 4


def word_of(number: IntEnum | IntFlag) -> str:
    """``city-auditor`` for ``CITY_AUDITOR``: one spelling in answers, commands and SDK."""
    return str(number.name).lower().replace("_", "-")
