"""Which collections a party or asset is in, through any number of steps: what ``Context.collections`` wants.

The engine itself follows no links: it is given the closure, so a decision cannot loop. Who cannot say what is in which
collection must not take terms that depend on it: ``recipients_to_know`` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from access_policy.decision.compiled import Ban, Rule, compile_grant
from access_policy.decision.evaluation import Leaf, Node
from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement
from access_policy.terms.vocabulary import ANY_DEPARTMENT, DEPARTMENT

MAX_STEPS = 32


_SINGLE = re.compile(re.escape(DEPARTMENT) + "[1-9][0-9]{0,7}")
_EXACT = ("eq", "neq")
"""Operators that compare a recipient itself, and none of its collections."""


class MembershipError(PolicyError):
    """Collections contain one another, or lie too deep in one another."""

    code = "membership.invalid"


def closure(part_of: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """From direct membership (``odrl:partOf``) to every collection each member is in, sorted.

    MembershipError when a collection is, through others, part of itself, or more than MAX_STEPS deep.
    """
    direct = {member: tuple(groups) for member, groups in part_of.items()}
    found: dict[str, frozenset[str]] = {}

    def climb(member: str, path: tuple[str, ...]) -> frozenset[str]:
        if member in path:
            raise MembershipError(
                f"{member} is part of itself, through {' and '.join(path[1:]) or 'nothing else'}"
            )
        if len(path) > MAX_STEPS:
            raise MembershipError(f"collections lie at most {MAX_STEPS} deep in one another")
        if member not in found:
            groups = direct.get(member, ())
            found[member] = frozenset(groups).union(*(climb(g, (*path, member)) for g in groups))
        return found[member]

    return {member: tuple(sorted(climb(member, ()))) for member in sorted(direct)}


def recipients_to_know(agreement: Agreement) -> Iterator[tuple[str, str]]:
    """Every recipient whose members decide whether a constraint holds, with the pointer of the constraint.

    That is one under an operator that asks of members (``isPartOf``, ``isAnyOf``, ``isNoneOf``) and that is no single
    department; and "any department" under every operator, since it is no party that a call may name.
    """
    grant = compile_grant("", agreement)
    rules: list[Rule | Ban] = [*grant.rules, *grant.bans]
    for rule in rules:
        for node in (*rule.nodes, *rule.covers.values()):
            yield from _to_know(node) if node is not None else ()


def _to_know(node: Node) -> Iterator[tuple[str, str]]:
    if not isinstance(node, Leaf):
        for part in node.parts:
            yield from _to_know(part)
        return
    c = node.constraint
    if c.operand != "recipient":
        return
    for value in map(str, c.value if isinstance(c.value, tuple) else (c.value,)):
        if value == ANY_DEPARTMENT or (c.operator not in _EXACT and not _SINGLE.fullmatch(value)):
            yield node.pointer, value
