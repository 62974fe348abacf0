"""An agreement in words: what the hash in the signed terms stands for, read before anybody signs it.

Reads the normal form as plain JSON, so that it needs no policy engine, and shows every member of every rule: one
that it has no words for is shown as it is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from access_policy.vocabulary import legal_bases, purposes
from api.cli.language import language, say

Words = list[tuple[str, str]]

_OPERANDS: Mapping[str, tuple[str, str]] = {
    "columns": ("columns", "字段"),
    "rows": ("rows", "行"),
    "transforms": ("made less exact", "脱敏"),
    "cohort": ("groups of at least", "最小分组人数"),
    "epsilon": ("privacy budget", "隐私预算"),
    "purpose": ("purpose", "用途"),
    "dateTime": ("time", "时间"),
    "count": ("uses", "次数"),
    "legalBasis": ("legal basis", "法律依据"),
    "elapsedTime": ("period", "期间"),
    "event": ("when", "时点"),
}
_RULES: Mapping[str, tuple[str, str]] = {
    "permission": ("permits", "许可"),
    "prohibition": ("prohibits", "禁止"),
    "obligation": ("obliges", "义务"),
}
_OPERATORS: Mapping[str, str] = {
    "eq": "=", "neq": "≠", "lt": "<", "lteq": "≤", "gt": ">", "gteq": "≥", "isA": "⊑", "isAnyOf": "∈",
}  # fmt: skip
_OWN = frozenset(("@context", "@type", "uid", "profile", "assigner", "assignee", *_RULES))


def is_agreement(document: Mapping[str, Any]) -> bool:
    """Whether a document of an act is an agreement."""
    return document.get("@type") == "Agreement"


def agreement_words(document: Mapping[str, Any]) -> Words:
    """Every rule of an agreement, each of its conditions on a line."""
    told: Words = [
        (say("between", "双方"), f"{document.get('assigner')} → {document.get('assignee')}"),
        *((name, _spoken(value)) for name, value in document.items() if name not in _OWN),
    ]
    for member, label in _RULES.items():
        for rule in document.get(member, ()):
            actions = rule.get("action", ())
            told.append((say(*label), ", ".join(actions) if isinstance(actions, list) else str(actions)))
            told += [(f"  {name}", value) for name, value in _conditions(rule)]
    return told


def _conditions(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in rule.items():
        if name == "action":
            continue
        if name == "target" and isinstance(value, Mapping):
            yield say("dataset", "数据集"), str(value.get("source", _spoken(value)))
            for condition in value.get("refinement", ()):
                yield _condition(condition)
        elif name in ("constraint", "refinement") and isinstance(value, list):
            for condition in value:
                yield _condition(condition)
        elif name == "duty" and isinstance(value, list):
            for duty in value:
                yield say("duty", "义务"), _duty(duty)
        else:
            yield name, _spoken(value)


def _condition(condition: Mapping[str, Any]) -> tuple[str, str]:
    operand = condition.get("leftOperand")
    if not isinstance(operand, str):
        return say("condition", "条件"), _spoken(condition)
    operator = str(condition.get("operator"))
    value = _spoken(condition.get("rightOperand"))
    plain = operand in ("columns", "rows", "transforms")
    shown = value if plain else f"{_OPERATORS.get(operator, operator)} {value}"
    return say(*_OPERANDS.get(operand, (operand, operand))), shown


def _duty(duty: Mapping[str, Any]) -> str:
    limits = "; ".join(" ".join(_condition(one)) for one in duty.get("constraint", ()))
    rest = {name: value for name, value in duty.items() if name not in ("uid", "action", "constraint")}
    return " ".join(
        filter(
            None, (str(duty.get("action")), f"({limits})" if limits else "", _spoken(rest) if rest else "")
        )
    )


def _spoken(value: Any) -> str:
    if isinstance(value, Mapping):
        for member in ("@value", "@id"):
            if member in value:
                return _spoken(value[member])
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return ", ".join(_spoken(item) for item in value)
    if isinstance(value, str):
        for scheme in (purposes(), legal_bases()):
            if value in scheme:
                return f"{value} ({scheme.label(value, language())})"
        return value
    return json.dumps(value, ensure_ascii=False)
