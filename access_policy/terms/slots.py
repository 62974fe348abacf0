"""Validity, uses and parties in an agreement, for comparison with the signed slot on chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from access_policy.errors import PolicyError
from access_policy.terms.agreement import Agreement, Permission
from access_policy.terms.constraints import PINS, Constraint, ConstraintNode


class SlotBounds(NamedTuple):
    """Validity and uses in the form of the slot on chain: ``not_before <= now < expiry``; None means no limit."""

    not_before: datetime | None
    expiry: datetime | None
    max_uses: int | None


def conjuncts(constraints: tuple[ConstraintNode, ...]) -> Iterator[Constraint]:
    """The constraints that must always be satisfied: those at the top level and inside ``and`` and ``andSequence``."""
    for node in constraints:
        if isinstance(node, Constraint):
            yield node
        elif node.kind in ("and", "andSequence") or len(node.parts) == 1:
            yield from conjuncts(node.parts)


def bounds_of(permission: Permission) -> SlotBounds:
    """The strictest validity and number of uses in the conjunctive constraints of a permission."""
    starts, ends, uses = [], [], []
    for c in conjuncts(permission.constraints):
        if c.operand == "dateTime" and isinstance(c.value, datetime):
            if c.operator in ("gteq", "gt"):
                starts.append(c.value)
            elif c.operator in ("lt", "lteq"):
                ends.append(c.value)
        elif c.operand == "count" and isinstance(c.value, int) and c.operator in ("lt", "lteq"):
            uses.append(c.value if c.operator == "lteq" else c.value - 1)
    return SlotBounds(max(starts, default=None), min(ends, default=None), min(uses, default=None))


def pin_of(permission: Permission) -> int | None:
    """The version of the dataset that a permission pins; None if it reads the current version."""
    for c in permission.constraints:
        if isinstance(c, Constraint) and c.operand in PINS and isinstance(c.value, int):
            return c.value
    return None


def pins_of(agreement: Agreement) -> tuple[int | None, ...]:
    """The pins of all permissions of an agreement (see `pin_of`)."""
    return tuple(map(pin_of, agreement.permissions))


def lasting_pins(agreement: Agreement, above: Iterable[Agreement]) -> frozenset[int]:
    """The versions that an agreement permits even when they are not current: those pinned by it and by every ancestor."""
    found = frozenset(pin for pin in pins_of(agreement) if pin is not None)
    for one in above:
        found = found.intersection(pins_of(one))
    return found


def slot_bounds(agreement: Agreement) -> SlotBounds:
    """The bounds that the signed slot must have: the widest ones over all permissions."""
    each = [bounds_of(p) for p in agreement.permissions]
    starts = [b.not_before for b in each]
    ends = [b.expiry for b in each]
    uses = [b.max_uses for b in each]
    return SlotBounds(
        min((s for s in starts if s is not None), default=None) if None not in starts else None,
        max((e for e in ends if e is not None), default=None) if None not in ends else None,
        max((u for u in uses if u is not None), default=None) if None not in uses else None,
    )


def names_deriving(agreement: Agreement) -> bool:
    """Whether a permission names the action ``derive``, so that the assignee may make derived datasets. The broader action
    ``use`` is not sufficient, and a prohibition of ``derive`` removes it."""
    named = any(use.action == "derive" for rule in agreement.permissions for use in rule.actions)
    forbidden = any(
        use.action in ("derive", "use") for rule in agreement.prohibitions for use in rule.actions
    )
    return named and not forbidden


def slot_parties(agreement: Agreement) -> tuple[str, str, str]:
    """``(assigner, assignee, asset)`` as the slot must have them; raises PolicyError when the targets differ."""
    assert agreement.assigner is not None
    assert agreement.assignee is not None
    targets = {p.target.asset for p in agreement.permissions} | {
        p.target.asset for p in agreement.prohibitions
    }
    if len(targets) != 1:
        raise PolicyError("a grant on chain is about one asset, these terms name several")
    return agreement.assigner, agreement.assignee.id, targets.pop()
