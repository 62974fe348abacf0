"""A message in words: what an officer reads before signing. Every member is shown, none is summed up or left out.

Words are chosen by the member's name; a member this module does not know is shown under its own name as it is
signed, so that a new message type is never signed unseen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from api.cli.language import say
from api.cli.times import unix_text
from api.sdk.codes import (
    ATTEST_ROLES,
    GRADES,
    NO_HASH,
    OFFICER_ROLES,
    REVOCATION_REASONS,
    RIGHTS,
    SERVICE_ROLES,
    SHARING,
    UNLIMITED,
    word_of,
    words_of,
)
from ledger.chain.messages import fields, normalise
from ledger.ids import asset_text

Words = list[tuple[str, str]]

_TITLES: Mapping[str, tuple[str, str]] = {
    "Terms": ("Grant access under these terms", "依据以下条款授权"),
    "GrantBatch": ("Grant access, several at once", "批量授权"),
    "Revoke": ("Revoke a grant for ever", "永久撤销授权"),
    "RegisterAsset": ("Register a dataset", "登记数据集"),
    "RetireAsset": ("Retire a dataset for ever", "永久停用数据集"),
    "SuspendAsset": ("Suspend a dataset", "中止数据集"),
    "LiftAsset": ("Lift the suspension of a dataset", "恢复数据集"),
    "Admission": ("Admit a department", "接纳部门"),
    "AddOfficer": ("Give an office", "任命人员"),
    "RemoveOfficer": ("Take an office away", "免除人员"),
    "AddServiceKey": ("Register a service key", "登记服务密钥"),
    "RemoveServiceKey": ("Remove a service key for ever", "永久移除服务密钥"),
    "AddAttestKey": ("Register an attest key", "登记证明密钥"),
    "RemoveAttestKey": ("Remove an attest key", "移除证明密钥"),
    "SuspendDepartment": ("Suspend a department", "中止部门"),
    "LiftDepartment": ("Lift the suspension of a department", "恢复部门"),
}
_LABELS: Mapping[str, tuple[str, str]] = {
    "asset": ("dataset", "数据集"),
    "class": ("grade", "级别"),
    "sharing": ("sharing", "共享类型"),
    "metadata": ("catalogue entry (SHA-256)", "目录条目（SHA-256）"),
    "deadline": ("may be handed in until", "提交期限"),
    "grantee": ("to department", "使用部门"),
    "right": ("right", "权利"),
    "notBefore": ("valid from", "生效时间"),
    "notAfter": ("valid until", "截止时间"),
    "expiry": ("valid until", "截止时间"),
    "maxUses": ("uses at most", "最多使用次数"),
    "depth": ("may be passed on (steps)", "可转授层数"),
    "termsHash": ("agreement (SHA-256)", "协议（SHA-256）"),
    "parent": ("passed on from", "转授自"),
    "grant": ("grant", "授权"),
    "reason": ("reason", "原因"),
    "department": ("department", "部门"),
    "recovery": ("recovery key", "恢复密钥"),
    "profile": ("department's entry (SHA-256)", "部门条目（SHA-256）"),
    "seats": ("offices", "任职"),
    "serviceKeys": ("service keys", "服务密钥"),
    "holder": ("address", "地址"),
    "officer": ("officer", "人员"),
    "key": ("key", "密钥"),
    "roles": ("roles", "角色"),
    "salt": ("number that makes it unique", "唯一随机数"),
}


def title_of(kind: str) -> str:
    """What signing a message of this type does."""
    return say(*_TITLES.get(kind, (kind, kind)))


def words_for(kind: str, message: Mapping[str, Any]) -> Words:
    """Every member of a message, in the order in which it is hashed, with a label; MessageError for a malformed one."""
    return _members(kind, normalise(kind, message), "")


def _members(kind: str, message: Mapping[str, Any], within: str) -> Words:
    told: Words = []
    for member in fields(kind):
        label = within + say(*_LABELS.get(member.name, (member.name, member.name)))
        value = message[member.name]
        inner = member.type.removesuffix("[]")
        if isinstance(value, list):
            told.append((label, str(len(value))))
            for place, item in enumerate(value, start=1):
                if isinstance(item, Mapping):
                    told += _members(inner, item, f"{label} {place}, ")
                else:
                    told.append((f"{label} {place}", _value(kind, member.name, item)))
        else:
            told.append((label, _value(kind, member.name, value)))
    return told


def _value(kind: str, name: str, value: Any) -> str:
    if name == "grantee" and value == 0:
        return say("every department", "所有部门")
    if name == "reason" and isinstance(value, int):
        return word_of(REVOCATION_REASONS, value)
    if name == "roles":
        words = (
            SERVICE_ROLES if kind in ("ServiceKey", "AddServiceKey") else {**OFFICER_ROLES, **ATTEST_ROLES}
        )
        return f"{', '.join(words_of(words, value))} ({value})"
    if value == NO_HASH:
        return say("none", "无")
    spoken = _SPOKEN.get(name)
    return spoken(value) if spoken else value if isinstance(value, str) else json.dumps(value)


def _instant(value: int) -> str:
    return unix_text(value) or say("at once", "立即")


_SPOKEN: Mapping[str, Callable[[Any], str]] = {
    "asset": asset_text,
    "class": lambda value: word_of(GRADES, value),
    "sharing": lambda value: word_of(SHARING, value),
    "right": lambda value: word_of(RIGHTS, value),
    "maxUses": lambda value: say("no bound", "不限") if value == UNLIMITED else str(value),
    "notBefore": _instant,
    "notAfter": _instant,
    "expiry": _instant,
    "deadline": _instant,
}
