"""An agreement in words: what the hash in the signed terms stands for, read before anybody signs it.

The words are made from the terms as the engine reads them, so nothing stands there that the engine does not know, and
every member has its words. What the author wrote freely (`author_words`) is no term and is shown apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from access_policy.constraints import Constraint, ConstraintNode, duration_text, instant_text
from access_policy.duties import Duty
from access_policy.evaluation import concept_set
from access_policy.phrases import Phrase, operator_words
from access_policy.privacy.transforms import (
    Band,
    Clamp,
    Keep,
    Ladder,
    Mask,
    Pseudonym,
    Round,
    Transform,
    Truncate,
)
from access_policy.rows import And, Compare, In, IsNull, Not, Or, RowPredicate
from access_policy.targets import Target
from access_policy.terms import ActionUse, Party, Permission, Prohibition, Terms
from access_policy.vocabulary import (
    ANY_DEPARTMENT,
    actions,
    call_purposes,
    duty_actions,
    legal_bases,
    purposes,
)
from api.cli.language import language, say
from ledger.visible import json_line, quoted

Words = list[tuple[str, str]]

OPERANDS: dict[str, Phrase] = {
    "purpose": ("purpose", "用途"),
    "dateTime": ("time", "时间"),
    "count": ("uses", "次数"),
    "legalBasis": ("legal basis", "法律依据"),
    "elapsedTime": ("time since the first use", "自首次使用起的时间"),
    "spatial": ("area", "行政区划"),
    "recipient": ("recipient", "接收方"),
    "language": ("language", "语言"),
    "fileFormat": ("format", "格式"),
    "partyKind": ("kind of party", "主体类型"),
}
JOINS: dict[str, Phrase] = {
    "and": ("all of", "同时满足"),
    "andSequence": ("all of, in this order", "依次满足"),
    "or": ("at least one of", "至少满足其一"),
    "xone": ("exactly one of", "恰好满足其一"),
}
CONFLICTS: dict[str, Phrase] = {
    "prohibit": ("a prohibition prevails over a permission", "禁止优先于许可"),
    "perm": ("a permission prevails over a prohibition", "许可优先于禁止"),
    "invalid": ("the whole agreement is void", "整份协议无效"),
}
_SIGNS = {"eq": "=", "neq": "≠", "lt": "<", "lteq": "≤", "gt": ">", "gteq": "≥"}


def agreement_words(terms: Terms) -> Words:
    """Every term of an agreement, each of its conditions on a line."""
    told: Words = [
        (say("between", "双方"), f"{quoted(terms.assigner or '')} → {_party(terms.assignee)}"),
        (say("name", "名称"), quoted(terms.uid)),
        (say("if rules conflict", "规则冲突时"), say(*CONFLICTS[terms.conflict])),
    ]
    if terms.assessment is not None:
        told.append((say("impact assessment", "影响评估"), terms.assessment))
    for permission in terms.permissions:
        told += _rule(permission, say("permits", "许可"), upwards=False)
        told += [(say("  duty", "  义务"), duty_words(duty)) for duty in permission.duties]
    for prohibition in terms.prohibitions:
        told += _rule(prohibition, say("prohibits", "禁止"), upwards=True)
        told += [
            (say("  owed for an infringement", "  违反时的补救"), duty_words(duty))
            for duty in prohibition.remedies
        ]
    told += [(say("obliges", "义务"), duty_words(duty)) for duty in terms.obligations]
    return told


def author_words(terms: Terms) -> Words:
    """What its author wrote freely: nothing of it is a term, the engine reads none of it."""
    told = [(say("cited law", "所引法规"), citation) for citation in terms.law]
    if terms.description is not None:
        told.append((say("description", "说明"), terms.description))
    return told


# --- rules --------------------------------------------------------------------------------------------------------


def _rule(rule: Permission | Prohibition, label: str, *, upwards: bool) -> Iterator[tuple[str, str]]:
    yield label, "; ".join(_action(use, upwards) for use in rule.actions)
    if rule.uid is not None:
        yield say("  rule", "  规则"), quoted(rule.uid)
    yield from _target(rule.target)
    for constraint in rule.constraints:
        yield _labelled(constraint)


def _action(use: ActionUse, upwards: bool) -> str:
    scheme = actions()
    reach = scheme.descendants[use.action] | (scheme.ancestors[use.action] if upwards else frozenset())
    told = f"{use.action} ({scheme.label(use.action, language())})"
    if more := sorted(reach - {use.action}):
        told += say(f", and with it {', '.join(more)}", f"，并及 {'、'.join(more)}")
    if use.refinements:
        told += say(", only if ", "，仅限 ") + " & ".join(_inner(one) for one in use.refinements)
    return told


def _party(party: Party | None) -> str:
    if party is None:
        return "-"
    told = say("every department", "所有部门") if party.id == ANY_DEPARTMENT else quoted(party.id)
    if party.refinements:
        told += say(", only if ", "，仅限 ") + " & ".join(_inner(one) for one in party.refinements)
    return told


def _target(target: Target) -> Iterator[tuple[str, str]]:
    yield say("  dataset", "  数据集"), quoted(target.asset)
    if target.columns is None:
        yield say("  columns", "  字段"), say("all of them", "全部")
    else:
        yield say("  columns", "  字段"), ", ".join(map(quoted, target.columns))
    if target.rows is not None:
        yield say("  rows", "  行"), say("only where ", "仅限 ") + rows_words(target.rows)
    for column, transform in target.transforms:
        yield say("  made less exact", "  脱敏"), f"{quoted(column)}: {transform_words(transform)}"
    if target.cohort is not None:
        yield say("  groups of at least", "  最小分组人数"), str(target.cohort)
    if target.epsilon is not None:
        said = format(target.epsilon, "f")
        yield say("  privacy budget", "  隐私预算"), say(f"{said} over the whole grant", f"授权期内共 {said}")


def rows_words(rows: RowPredicate) -> str:
    """Which rows a rule reaches. A row without a value in a column satisfies no comparison with it."""
    match rows:
        case Compare(column, op, value):
            return f"{quoted(column)} {_SIGNS[op]} {json_line(value)}"
        case In(column, values):
            listed = ", ".join(map(json_line, values))
            return say(f"{quoted(column)} is one of {listed}", f"{quoted(column)} 为 {listed} 之一")
        case IsNull(column):
            return say(f"{quoted(column)} has no value", f"{quoted(column)} 无值")
        case And(parts):
            return "(" + say(" and ", " 且 ").join(map(rows_words, parts)) + ")"
        case Or(parts):
            return "(" + say(" or ", " 或 ").join(map(rows_words, parts)) + ")"
        case Not(part):
            return say("not ", "非 ") + f"({rows_words(part)})"


def transform_words(transform: Transform) -> str:
    """What happens to a value before it is released."""
    match transform:
        case Keep():
            return say("as it is", "原样")
        case Mask(first, last, character):
            sign = json_line(character)
            return say(
                f"masked by {sign} but for the first {first} and the last {last} characters",
                f"以 {sign} 遮盖，保留前 {first} 位和后 {last} 位",
            )
        case Pseudonym():
            return say("a keyed pseudonym, another one for each grant", "带密钥的假名，每项授权不同")
        case Truncate(to):
            return say(f"a date cut to its {to}", "日期截至月份" if to == "month" else "日期截至年份")
        case Band(width, origin):
            return say(
                f"the band of width {width}, counted from {origin}", f"宽度 {width} 的区间，自 {origin} 起"
            )
        case Ladder(steps, otherwise):
            listed = ", ".join(f"{json_line(code)} → {json_line(broader)}" for code, broader in steps)
            rest = json_line(otherwise)
            return say(f"{listed}; any other → {rest}", f"{listed}；其他 → {rest}")
        case Round(step):
            return say(f"the nearest multiple of {step}", f"取 {step} 的最近倍数")
        case Clamp(bottom, top):
            low, high = (say("no bound", "不限") if one is None else str(one) for one in (bottom, top))
            return say(f"not below {low}, not above {high}", f"下限 {low}，上限 {high}")


# --- conditions ---------------------------------------------------------------------------------------------------


def _labelled(node: ConstraintNode) -> tuple[str, str]:
    if isinstance(node, Constraint):
        return "  " + say(*OPERANDS[node.operand]), constraint_words(node)
    return say("  condition", "  条件"), _inner(node)


def _inner(node: ConstraintNode) -> str:
    if isinstance(node, Constraint):
        return f"[{say(*OPERANDS[node.operand])}: {constraint_words(node)}]"
    return f"{say(*JOINS[node.kind])} ({'; '.join(_inner(part) for part in node.parts)})"


def constraint_words(c: Constraint) -> str:
    """What a constraint lets pass; of concepts also how many that are, and which."""
    values = c.value if isinstance(c.value, tuple) else (c.value,)
    comma = say(", ", "、")
    told = say(*operator_words(c.operand, c.operator)).replace("{0}", comma.join(map(_named, values)))
    if c.operand not in ("purpose", "legalBasis"):
        return told
    scheme = purposes() if c.operand == "purpose" else legal_bases()
    every = call_purposes() if c.operand == "purpose" else frozenset(scheme.concepts)
    allowed = concept_set(scheme, c) & every
    return f"{told} ({_set_words(allowed, every)})"


def _set_words(allowed: frozenset[str], every: frozenset[str]) -> str:
    """A set of concepts by its members, or by those it leaves out where these are fewer."""
    left_out = every - allowed
    if not left_out:
        return say(f"every one of the {len(every)}", f"全部 {len(every)} 项")
    if len(left_out) < len(allowed):
        names = ", ".join(sorted(left_out))
        return say(f"{len(allowed)}: all but {names}", f"{len(allowed)} 项：除 {names} 以外的全部")
    return say(f"{len(allowed)}: ", f"{len(allowed)} 项：") + (
        ", ".join(sorted(allowed)) or say("none", "无")
    )


def _named(value: object) -> str:
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, timedelta):
        return duration_text(value)
    text = str(value)
    for scheme in (purposes(), legal_bases()):
        if text in scheme:
            return f"{text} ({scheme.label(text, language())})"
    return quoted(text)


# --- duties -------------------------------------------------------------------------------------------------------


def duty_words(duty: Duty) -> str:
    """What is owed, when, and what follows when it is not done."""
    told = f"{duty.action} ({duty_actions().label(duty.action, language())}) {quoted(duty.uid)}, "
    told += say("before use", "使用之前") if duty.when == "before" else say("after a use", "使用之后")
    if duty.within is not None:
        limit = duration_text(duty.within)
        told += say(f", within {limit} of it", f"，{limit} 内")
    if duty.until is not None:
        limit = instant_text(duty.until)
        told += say(f", until {limit}", f"，截至 {limit}")
    if duty.consequences:
        more = "; ".join(map(duty_words, duty.consequences))
        told += say(f"; if it is not done, in addition: {more}", f"；未履行时另须：{more}")
    return told
