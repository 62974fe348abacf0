"""What a message says, in words: shown by an officer's tool before it signs.

Every member of every message appears, in the order in which it is signed. Numbers that stand for something (roles,
rights, grades, times) are written out. A type or a member that has no words is refused: nobody signs it unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from ledger.chain.messages import Message, MessageError, fields, normalise
from ledger.ids import asset_text

Language = Literal["zh", "en"]
Line = tuple[str, str]

UNLIMITED = 2**32 - 1
FOREVER = 2**40 - 1
NOTHING = "0x" + "00" * 32


class NoWords(MessageError):
    """A message cannot be shown in words."""

    code = "act.unshown"


def title(type_name: str, language: Language) -> str:
    """What kind of act a message is: ``授权`` or ``Grant``."""
    if type_name not in _TITLES:
        raise NoWords(f"there are no words for {type_name[:60]}")
    zh, en = _TITLES[type_name]
    return zh if language == "zh" else en


def describe(type_name: str, message: Message, language: Language) -> list[Line]:
    """Label and value of every member; members of lists are numbered. `MessageError` for a malformed message,
    `NoWords` for one that cannot be shown."""
    return list(_lines(type_name, normalise(type_name, message), language, ""))


def _lines(type_name: str, message: Message, language: Language, prefix: str) -> list[Line]:
    found: list[Line] = []
    for member in fields(type_name):
        label = prefix + _label(type_name, member.name, language)
        value = message[member.name]
        if not member.type.endswith("[]"):
            found.append((label, _value(type_name, member.name, value, language)))
            continue
        inner = member.type.removesuffix("[]")
        if not value:
            found.append((label, "无" if language == "zh" else "none"))
        for n, item in enumerate(value, 1):
            if isinstance(item, Mapping):
                found += _lines(inner, item, language, f"{label} {n} · ")
            else:
                found.append((f"{label} {n}", _value(type_name, member.name, item, language)))
    return found


def _label(type_name: str, member: str, language: Language) -> str:
    words = _LABELS.get(f"{type_name}.{member}") or _LABELS.get(member)
    if words is None:
        raise NoWords("there are no words for this member", pointer=f"/{member}")
    return words[0] if language == "zh" else words[1]


def _value(type_name: str, member: str, value: Any, language: Language) -> str:
    say = _SAY.get(f"{type_name}.{member}") or _SAY.get(member)
    return say(value, language) if say else _hash(str(value), language)


# --------------------------------------------------------------------------- values


def _time(value: int, language: Language) -> str:
    if value == 0:
        return "即时" if language == "zh" else "at once"
    if value == FOREVER:
        return "长期" if language == "zh" else "without end"
    try:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return str(value)


def _seconds(value: int, language: Language) -> str:
    return f"{value} 秒" if language == "zh" else f"{value} s"


def _department(value: int, language: Language) -> str:
    return f"{value} 号部门" if language == "zh" else f"department {value}"


def _grantee(value: int, language: Language) -> str:
    if value == 0:
        return (
            "任何已接入部门（普遍授权）" if language == "zh" else "every admitted department (standing offer)"
        )
    return _department(value, language)


def _asset(value: int, _: Language) -> str:
    return asset_text(value)


def _uses(value: int, language: Language) -> str:
    if value == UNLIMITED:
        return "不限" if language == "zh" else "unlimited"
    return str(value)


def _hash(value: str, language: Language) -> str:
    if value == NOTHING:
        return "无" if language == "zh" else "none"
    return value


def _money(value: int, _: Language) -> str:
    return f"{value // 100}.{value % 100:02d} CNY"


def _word(words: Mapping[int, tuple[str, str]]) -> Callable[[int, Language], str]:
    def say(value: int, language: Language) -> str:
        zh, en = words.get(value, (f"未知 ({value})", f"unknown ({value})"))
        return zh if language == "zh" else en

    return say


def _bits(words: Mapping[int, tuple[str, str]]) -> Callable[[int, Language], str]:
    def say(value: int, language: Language) -> str:
        names = [pair[0] if language == "zh" else pair[1] for bit, pair in words.items() if value & bit]
        rest = value & ~sum(words)
        if rest:
            names.append(f"{'未知' if language == 'zh' else 'unknown'} ({rest})")
        return ("、" if language == "zh" else ", ").join(names) or ("无" if language == "zh" else "none")

    return say


_RIGHTS = {
    1: ("数据资源持有权", "holding right"),
    2: ("数据加工使用权", "processing-and-use right"),
    3: ("数据产品经营权", "product-operation right"),
}
_GRADES = {1: ("一般", "general"), 2: ("重要", "important"), 3: ("核心", "core")}
_SHARING = {
    1: ("无条件共享", "unconditional sharing"),
    2: ("有条件共享", "conditional sharing"),
    3: ("不予共享", "no sharing"),
}
_OFFICER_ROLES = {
    1: ("密钥管理员", "ADMIN (keys)"),
    2: ("数据管理员", "STEWARD (assets and grants)"),
    4: ("财务", "FINANCE (statements)"),
    8: ("首席数据官", "CDO (chief data officer)"),
    16: ("监督", "OVERSIGHT"),
    32: ("紧急授权人", "EMERGENCY (may break glass)"),
    64: ("数据主管部门", "BUREAU (the data bureau)"),
    256: ("签证机", "ATTEST (machine)"),
    512: ("见证机", "WITNESS (machine)"),
    1024: ("网关", "GATEWAY (machine)"),
}
_KEY_ROLES = {
    1: ("读取", "READER"),
    2: ("本部门审计", "AUDITOR of its own department"),
    4: ("全市审计", "AUDITOR of the city"),
}
_REASONS = {
    0: ("未说明", "not said"),
    1: ("违反条款", "terms breached"),
    2: ("用途终止", "purpose ended"),
    3: ("数据集撤回", "asset withdrawn"),
    4: ("密钥泄露", "key compromised"),
    5: ("法律命令", "legal order"),
    6: ("数据质量", "data quality"),
    7: ("由新授权取代", "replaced by a new grant"),
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
    "notBefore": _time,
    "notAfter": _time,
    "expiry": _time,
    "until": _time,
    "deadline": _time,
    "duration": _seconds,
    "window": _seconds,
    "maxUses": _uses,
    "parent": _hash,
    "under": _hash,
    "TransferRight.from": _department,
    "TransferRight.to": _department,
    "deposited": _money,
    "withdrawn": _money,
    "debits": _money,
}

_TITLES: Mapping[str, tuple[str, str]] = {
    "Terms": ("依据以下条款授权", "Grant access under these terms"),
    "GrantBatch": ("批量授权", "Grant access, several at once"),
    "Revoke": ("永久撤销授权", "Revoke a grant for ever"),
    "RevokeBatch": ("批量撤销授权", "Revoke several grants"),
    "Cancel": ("作废未提交的授权", "Cancel a grant that was signed and not sent"),
    "BreakGlass": ("紧急授权", "Break glass"),
    "Ratify": ("追认紧急授权", "Ratify a break-glass grant"),
    "Use": ("使用次数", "Record uses"),
    "UseBatch": ("批量使用次数", "Record uses of several grants"),
    "RegisterAsset": ("登记数据集", "Register a dataset"),
    "DeriveAsset": ("登记衍生数据集", "Register a derived dataset"),
    "NewVersion": ("数据集新版本", "New version of a dataset"),
    "Reclassify": ("变更分级与共享类型", "Change grade and sharing"),
    "SuspendAsset": ("中止数据集", "Suspend a dataset"),
    "LiftAsset": ("恢复数据集", "Lift the suspension of a dataset"),
    "RetireAsset": ("永久停用数据集", "Retire a dataset for ever"),
    "TransferRight": ("转移权利", "Transfer a right"),
    "Admission": ("接纳部门", "Admit a department"),
    "CancelAdmission": ("取消部门接入", "Cancel an admission"),
    "AddOfficer": ("任命人员", "Give an office"),
    "RemoveOfficer": ("免除人员", "Take an office away"),
    "AddAttestKey": ("登记证明密钥", "Register an attest key"),
    "RemoveAttestKey": ("移除证明密钥", "Remove an attest key"),
    "AddServiceKey": ("登记服务密钥", "Register a service key"),
    "RemoveServiceKey": ("永久移除服务密钥", "Remove a service key for ever"),
    "RotateKey": ("更换密钥", "Rotate a key"),
    "Recover": ("恢复密钥", "Recover a lost key"),
    "VetoRecovery": ("否决恢复", "Veto a recovery"),
    "OverrideVeto": ("推翻否决", "Override a veto"),
    "SetRecoveryKey": ("设置恢复密钥", "Set the recovery key"),
    "SuspendDepartment": ("中止部门", "Suspend a department"),
    "LiftDepartment": ("恢复部门", "Lift the suspension of a department"),
    "ReplaceCouncil": ("更换理事会", "Replace the council"),
    "Pause": ("暂停合约", "Pause the contract"),
    "Unpause": ("恢复合约", "End the pause"),
    "Supersede": ("由新合约接替", "Supersede the contract"),
    "RestorePrivilege": ("恢复紧急授权资格", "Restore the break-glass privilege"),
    "OpenLog": ("开设审计日志", "Open an audit log"),
    "TreeHead": ("审计日志树头", "Head of an audit log"),
    "NewEpoch": ("审计日志新纪元", "New epoch of an audit log"),
    "SetBudget": ("设置预算", "Set a budget"),
    "CommitStatement": ("提交分摊报表", "Commit a cost statement"),
    "Dispute": ("提出异议", "Dispute a line"),
    "CloseDispute": ("结束异议", "Close a dispute"),
    "Finalise": ("结算", "Settle a statement"),
}

_LABELS: Mapping[str, tuple[str, str]] = {
    "asset": ("数据集", "dataset"),
    "grantee": ("使用部门", "to department"),
    "right": ("权利", "right"),
    "notBefore": ("生效时间", "valid from"),
    "notAfter": ("截止时间", "valid until"),
    "expiry": ("截止时间", "valid until"),
    "until": ("有效至", "valid until"),
    "maxUses": ("最多使用次数", "uses at most"),
    "depth": ("可转授层数", "may be passed on (steps)"),
    "deadline": ("提交期限", "may be handed in until"),
    "termsHash": ("协议（SHA-256）", "agreement (SHA-256)"),
    "parent": ("转授自", "passed on from"),
    "salt": ("唯一随机数", "number that makes it unique"),
    "grants": ("授权", "grant"),
    "grant": ("授权", "grant"),
    "uses": ("使用", "use"),
    "total": ("累计次数", "total"),
    "reason": ("原因", "reason"),
    "reasonHash": ("原因摘要", "reason (hash)"),
    "class": ("级别", "grade"),
    "sharing": ("共享类型", "sharing"),
    "metadata": ("目录条目（SHA-256）", "catalogue entry (SHA-256)"),
    "version": ("版本", "version"),
    "parents": ("上级数据集", "derived from"),
    "under": ("依据授权", "under the grant"),
    "department": ("部门", "department"),
    "recovery": ("恢复密钥", "recovery key"),
    "VetoRecovery.recovery": ("恢复编号", "recovery"),
    "OverrideVeto.recovery": ("恢复编号", "recovery"),
    "profile": ("部门条目（SHA-256）", "department's entry (SHA-256)"),
    "seats": ("任职", "offices"),
    "holder": ("地址", "address"),
    "serviceKeys": ("服务密钥", "service keys"),
    "key": ("密钥", "key"),
    "hpke": ("加密密钥", "HPKE key"),
    "roles": ("角色", "roles"),
    "officer": ("人员", "officer"),
    "from": ("由", "from"),
    "to": ("至", "to"),
    "members": ("成员", "member"),
    "threshold": ("所需签名数", "signatures needed"),
    "guardian": ("守护人", "guardian"),
    "epoch": ("届次", "epoch"),
    "duration": ("时长", "duration"),
    "successor": ("接替合约", "successor"),
    "snapshotRoot": ("快照根", "snapshot root"),
    "admission": ("接入编号", "admission"),
    "origin": ("日志标识", "log"),
    "operator": ("运营部门", "operator"),
    "quorum": ("所需见证数", "witnesses needed"),
    "size": ("条目数", "entries"),
    "root": ("树根", "root"),
    "lastSize": ("保留条目数", "entries kept"),
    "lastRoot": ("保留树根", "root kept"),
    "newOrigin": ("新日志标识", "new log"),
    "logHead": ("日志树根", "root of the log"),
    "pool": ("资金池", "pool"),
    "deposited": ("累计存入", "deposited in all"),
    "withdrawn": ("累计取出", "withdrawn in all"),
    "voucher": ("凭证摘要", "voucher (hash)"),
    "period": ("账期", "period"),
    "supersedes": ("取代", "supersedes"),
    "lineRoot": ("明细根", "root of the lines"),
    "netRoot": ("净额根", "root of the nets"),
    "debits": ("应付总额", "debits in all"),
    "CommitStatement.members": ("成员数", "members"),
    "window": ("异议期", "dispute window"),
    "ruleHash": ("规则摘要", "rules (hash)"),
    "inputRoot": ("计量根", "root of the metering"),
    "statement": ("报表", "statement"),
    "line": ("明细", "line"),
    "dispute": ("异议编号", "dispute"),
}
