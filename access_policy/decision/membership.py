"""The transitive membership of parties and assets in collections, for ``Context.collections``.

The engine follows no links; it gets the closure, so a decision cannot loop. A gateway that does not know memberships must not
accept terms that depend on them: ``recipients_to_know`` finds these terms.
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
"""Operators that compare the recipient itself, not its collections."""


class MembershipError(PolicyError):
    """Collections contain each other, or are nested too deeply."""

    code = "membership.invalid"


def closure(part_of: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The transitive closure of direct membership (``odrl:partOf``): for each member all its collections, sorted.

    Raises MembershipError when a collection is a part of itself, or for more than MAX_STEPS levels.
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
    """The recipients whose members must be known for a constraint, with the pointer of the constraint.

    These are recipients other than a single department under an operator for members (``isPartOf``, ``isAnyOf``,
    ``isNoneOf``), and "any department" under every operator, because a call cannot name it as a party.
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
