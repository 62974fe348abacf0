"""The text of a message, which an officer's client shows before signing.

Every member of every message is shown, in the order in which it is signed. Codes (roles, rights, grades) and times are
written in words. A type or a member without a text is refused, so that no officer signs it without seeing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from contracts.codes import (
    FOREVER,
    MAY_DERIVE,
    UNLIMITED,
    ConditionKind,
    Grade,
    Right,
    Role,
    ServiceRole,
    Sharing,
    Stopper,
)
from languages.choice import Language
from languages.moments import moment
from languages.texts import N_, translated
from ledger.acts.labels import LABELS, TITLES
from ledger.acts.naming import Names, named
from ledger.chain.code_words import ConditionEnd, Reason
from ledger.chain.limits import NOTHING
from ledger.chain.messages import Message, MessageError, fields, normalise
from ledger.ids import asset_text, department_of

Line = tuple[str, str]
Words = Mapping[int, str]


class NoWords(MessageError):
    """A message has a type or member without a text."""

    code = "act.unshown"


def title(type_name: str, language: Language) -> str:
    """The title of a type of message, such as ``Revoke a grant``. Raises `NoWords`."""
    if type_name not in TITLES:
        raise NoWords(f"there are no words for {type_name[:60]}")
    return translated(TITLES[type_name], language)


def describe(type_name: str, message: Message, language: Language, names: Names | None = None) -> list[Line]:
    """Label and value of every member, with its name if ``names`` knows one; items of lists are numbered.

    Raises `MessageError` for a malformed message and `NoWords` for one without a text.
    """
    return list(_lines(type_name, normalise(type_name, message), language, "", names))


def _lines(
    type_name: str, message: Message, language: Language, prefix: str, names: Names | None
) -> list[Line]:
    def text(member: str, value: Any) -> str:
        words = value_text(type_name, member, value, language)
        return named(words, type_name, member, value, language, names)

    found: list[Line] = []
    for member in fields(type_name):
        label = prefix + _label(type_name, member.name, language)
        value = message[member.name]
        if not member.type.endswith("[]"):
            found.append((label, text(member.name, value)))
            continue
        inner = member.type.removesuffix("[]")
        if not value:
            found.append((label, translated("none", language)))
        for n, item in enumerate(value, 1):
            if isinstance(item, Mapping):
                found += _lines(inner, item, language, f"{label} {n} · ", names)
            else:
                found.append((f"{label} {n}", text(member.name, item)))
    return found


def _label(type_name: str, member: str, language: Language) -> str:
    words = LABELS.get(f"{type_name}.{member}") or LABELS.get(member)
    if words is None:
        raise NoWords("there are no words for this member", pointer=f"/{member}")
    return translated(words, language)


def value_text(type_name: str, member: str, value: Any, language: Language) -> str:
    """The text of one member's value, as the signer reads it."""
    say = _SAY.get(f"{type_name}.{member}") or _SAY.get(member)
    return say(value, language) if say else _hash(str(value), language)


# --------------------------------------------------------------------------- values


def _time(value: int, language: Language) -> str:
    if value == 0:
        return translated("at once", language)
    if value == FOREVER:
        return translated("without end", language)
    try:
        return moment(datetime.fromtimestamp(value, UTC), language)
    except (OverflowError, ValueError, OSError):
        return str(value)


def _seconds(value: int, language: Language) -> str:
    return translated("{value} s", language, value=value)


def _department(value: int, language: Language) -> str:
    return translated("department {value}", language, value=value)


def _grantee(value: int, language: Language) -> str:
    if value == 0:
        return translated("every admitted department (standing offer)", language)
    return _department(value, language)


def _asset(value: int, _: Language) -> str:
    return asset_text(value)


def _pool(value: int, language: Language) -> str:
    department, number = department_of(value), value & ((1 << 40) - 1)
    return translated("{number} of department {department}", language, number=number, department=department)


def _uses(value: int, language: Language) -> str:
    if value == UNLIMITED:
        return translated("unlimited", language)
    return str(value)


def _depth(value: int, language: Language) -> str:
    steps = str(value & ~MAY_DERIVE)
    if not value & MAY_DERIVE:
        return steps
    also = translated("; may derive datasets of its own", language)
    return steps + also


def _hash(value: str, language: Language) -> str:
    if value == NOTHING:
        return translated("none", language)
    return value


def _money(value: int, language: Language) -> str:
    return translated("{amount} CNY", language, amount=f"{value // 100}.{value % 100:02d}")


def _word(words: Words) -> Callable[[int, Language], str]:
    def say(value: int, language: Language) -> str:
        if value not in words:
            return translated("unknown ({value})", language, value=value)
        return translated(words[value], language)

    return say


def _bits(words: Words) -> Callable[[int, Language], str]:
    def say(value: int, language: Language) -> str:
        names = [translated(word, language) for bit, word in words.items() if value & bit]
        rest = value & ~sum(words)
        if rest:
            names.append(translated("unknown ({value})", language, value=rest))
        return (translated(", ", language)).join(names) or (translated("none", language))

    return say


_RIGHTS: Words = {
    Right.HOLD: N_("holding right"),
    Right.USE: N_("processing-and-use right"),
    Right.OPERATE: N_("product-operation right"),
}
_STOPPERS: Words = {
    Stopper.HOLDER: N_("its holder"),
    Stopper.BUREAU: N_("the data bureau"),
}
_GRADES: Words = {
    Grade.GENERAL: N_("general"),
    Grade.IMPORTANT: N_("important"),
    Grade.CORE: N_("core"),
}
_SHARING: Words = {
    Sharing.UNCONDITIONAL: N_("unconditional sharing"),
    Sharing.CONDITIONAL: N_("conditional sharing"),
    Sharing.NONE: N_("no sharing"),
}
_OFFICER_ROLES: Words = {
    Role.ADMIN: N_("ADMIN (keys)"),
    Role.STEWARD: N_("STEWARD (assets and grants)"),
    Role.FINANCE: N_("FINANCE (statements)"),
    Role.CDO: N_("CDO (chief data officer)"),
    Role.OVERSIGHT: N_("OVERSIGHT"),
    Role.EMERGENCY: N_("EMERGENCY (may break glass)"),
    Role.BUREAU: N_("BUREAU (the data bureau)"),
    Role.ATTEST: N_("ATTEST (machine)"),
    Role.WITNESS: N_("WITNESS (machine)"),
    Role.GATEWAY: N_("GATEWAY (machine)"),
}
_KEY_ROLES: Words = {
    ServiceRole.READER: N_("READER"),
    ServiceRole.AUDITOR: N_("AUDITOR of its own department"),
    ServiceRole.CITY_AUDITOR: N_("AUDITOR of the city"),
}
_REASONS: Words = {
    Reason.NOT_SAID: N_("not said"),
    Reason.TERMS_BREACHED: N_("terms breached"),
    Reason.PURPOSE_ENDED: N_("purpose ended"),
    Reason.ASSET_WITHDRAWN: N_("asset withdrawn"),
    Reason.KEY_COMPROMISED: N_("key compromised"),
    Reason.LEGAL_ORDER: N_("legal order"),
    Reason.DATA_QUALITY: N_("data quality"),
    Reason.REPLACED: N_("replaced by a new grant"),
}

_CONDITIONS: Words = {
    ConditionKind.CONSENT: N_("consent"),
    ConditionKind.CASE: N_("case"),
    ConditionKind.ORDER: N_("order"),
    ConditionKind.AGREEMENT: N_("agreement"),
}
_ENDS: Words = {
    ConditionEnd.WITHDRAWN: N_("withdrawn"),
    ConditionEnd.CLOSED: N_("closed"),
    ConditionEnd.LAPSED: N_("lapsed"),
    ConditionEnd.MISTAKEN: N_("opened by mistake"),
}

_SAY: Mapping[str, Callable[[Any, Language], str]] = {
    "department": _department,
    "operator": _department,
    "grantee": _grantee,
    "asset": _asset,
    "parents": _asset,
    "right": _word(_RIGHTS),
    "class": _word(_GRADES),
    "sharing": _word(_SHARING),
    "roles": _bits(_OFFICER_ROLES),
    "AddServiceKey.roles": _bits(_KEY_ROLES),
    "ServiceKey.roles": _bits(_KEY_ROLES),
    "Revoke.reason": _word(_REASONS),
    "RevokeBatch.reason": _word(_REASONS),
    "CloseCondition.reason": _word(_ENDS),
    "OpenCondition.kind": _word(_CONDITIONS),
    "condition": _asset,
    "notBefore": _time,
    "notAfter": _time,
    "expiry": _time,
    "until": _time,
    "deadline": _time,
    "freezeAt": _time,
    "handOverAt": _time,
    "duration": _seconds,
    "window": _seconds,
    "maxUses": _uses,
    "depth": _depth,
    "by": _word(_STOPPERS),
    "ReplaceGrant.by": _hash,
    "parent": _hash,
    "RenewParent.parent": _asset,
    "under": _hash,
    "TransferRight.from": _department,
    "TransferRight.to": _department,
    "pool": _pool,
    "deposited": _money,
    "withdrawn": _money,
    "debits": _money,
}
