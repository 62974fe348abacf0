"""Which collections a party or asset is in, through any number of steps: what ``Context.collections`` wants.

The engine itself follows no links: it is given the closure, so a decision cannot loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from access_policy.errors import PolicyError

MAX_STEPS = 32


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
