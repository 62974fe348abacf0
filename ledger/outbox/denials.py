"""What accepted acts deny before the chain records them, and what lost acts still deny.

A valid signed Revoke denies reads from its acceptance until its event is recorded (then the grant has ended) or the
contract refuses it. It also denies when its deadline passed while the chain was unreachable, because the officer's
decision is known. Suspensions of an asset or department and removals of keys deny while they are pending. What an act
denied that was lost with a chain is denied until the act is signed again (`ledger.lost.holds`). The end of a condition is
treated as a revocation of every grant that is bound to it.

The denials, and the grants that they affect, include at least those in the log (`ledger.lost.taken_in_log`,
`ledger.lost.relations_in_log`): changing database rows cannot remove a denial.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, case, or_, select

from contracts.codes import GrantStatus, Right
from ledger.acts.act import SignedAct
from ledger.ids import asset_text, condition_text
from ledger.lost.holds import LogFacts, held_with, log_facts
from ledger.lost.lost_act import CONDITION
from ledger.store.prepared import Prepared
from ledger.store.tables import table_of
from ledger.store.tables.outbox import OutboxActRow, OutboxDenialRow
from ledger.store.tables.projection import (
    AssetParentRow,
    AssetRow,
    GrantConditionRow,
    GrantRow,
    ProjectionCursorRow,
    SeatRow,
)

_acts = table_of(OutboxActRow)
_denials = table_of(OutboxDenialRow)
_grants = table_of(GrantRow)
_assets = table_of(AssetRow)
_seats = table_of(SeatRow)
_bindings = table_of(GrantConditionRow)
_parents = table_of(AssetParentRow)
_cursors = table_of(ProjectionCursorRow)


REVOCATIONS = ("Revoke", "RevokeBatch", "CloseCondition")

REVOKED, CONDITION_ENDED, LOST_ACT = "revoked", "condition-ended", "lost-act"
"""The reasons why a grant must not be used: a revocation is pending, the end of a condition of the grant is pending, or an
act about it is lost."""

_NOTHING: Mapping[str, str] = MappingProxyType({})

_PENDING = Prepared(
    select(_denials.c.kind, _denials.c.target)
    .join(_acts, _acts.c.digest == _denials.c.digest)
    .where(
        _acts.c.state.in_(("received", "submitted", "mined"))
        | ((_acts.c.state == "expired") & _acts.c.type.in_(REVOCATIONS))
    )
)
"""Every call runs this query at least twice."""

_VERSION = Prepared(select(_cursors.c.version).where(_cursors.c.id == 1))


def denials_of(connection: Connection, act: SignedAct, signer: str) -> list[tuple[str, str]]:
    """The denials of an act of this signer: pairs of kind (grant, replaced, asset, department, key, condition) and
    target; empty when it denies nothing."""
    message = act.message
    match act.type:
        case "Revoke" | "Cancel":
            return [("grant", message["grant"])]
        case "ReplaceGrant":
            return [("replaced", message["grant"])]
        case "RevokeBatch":
            return [("grant", grant) for grant in _theirs(connection, message["grants"], signer)]
        case "SuspendAsset" | "RetireAsset":
            return [("asset", asset_text(message["asset"]))]
        case "SuspendDepartment":
            return [("department", str(message["department"]))]
        case "RemoveServiceKey":
            return [("key", f"{message['department']}:{message['key']}")]
        case "CloseCondition":
            return [(CONDITION, condition_text(message["condition"]))]
    return []


def _theirs(connection: Connection, grants: list[str], signer: str) -> list[str]:
    """Those of these grants that the signer's department may revoke. The contract skips the others of a batch, so they are
    not denied."""
    log_known = log_facts(connection)
    department = log_known.relations.seat(signer) if log_known is not None else None
    found = (
        set()
        if log_known is None or department is None
        else log_known.relations.revocable_by(department, grants)
    )
    return sorted(found | _theirs_by_rows(connection, grants, signer))


def _theirs_by_rows(connection: Connection, grants: list[str], signer: str) -> set[str]:
    right = case(
        (_grants.c.right == Right.HOLD, _assets.c.holder),
        (_grants.c.right == Right.USE, _assets.c.processor),
        else_=_assets.c.operator,
    )
    query = (
        select(_grants.c.id)
        .join(_assets, _assets.c.id == _grants.c.asset)
        .join(_seats, (_seats.c.holder == signer) & (_seats.c.department == right))
        .where(_grants.c.id.in_(grants))
    )
    return set(connection.execute(query).scalars())


def pending_revocations(connection: Connection) -> Mapping[str, str]:
    """Ids of the grants that must not be used although they are active on chain, each with its reason (`REVOKED`,
    `CONDITION_ENDED`, `LOST_ACT`).

    These are the grants named by a pending or lost revocation; the grants on an asset, to a department or under a
    department's right with a pending or lost suspension; and all grants that were delegated or derived from them.
    """
    log_known = log_facts(connection)
    return _denied(connection, _pending(connection, log_known), _held(connection, log_known), log_known)


def _denied(
    connection: Connection,
    pending: dict[str, set[str]],
    held: dict[str, set[str]],
    log_known: LogFacts | None,
) -> Mapping[str, str]:
    conditions = {kind: targets for kind, targets in pending.items() if kind == CONDITION}
    others = {kind: targets for kind, targets in pending.items() if kind != CONDITION}
    found: dict[str, str] = {}
    for some, word in ((held, LOST_ACT), (conditions, CONDITION_ENDED), (others, REVOKED)):
        if some:
            reached = _reach(connection, some) | (
                log_known.reach(some) if log_known is not None else frozenset()
            )
            found |= dict.fromkeys(reached, word)
    return found


class PendingRevocations:
    """`pending_revocations` for the call path of one database, computed once for each state of outbox and projection.
    Thread-safe."""

    def __init__(self) -> None:
        self._known: tuple[object, Mapping[str, str]] = (None, _NOTHING)

    def of(self, connection: Connection, *, committed: bool = True) -> Mapping[str, str]:
        """The result of `pending_revocations`.

        With ``committed``, the connection sees only committed data; otherwise the result is not cached.
        """
        log_known = log_facts(connection)
        pending, held = _pending(connection, log_known), _held(connection, log_known)
        if not pending and not held:
            return _NOTHING
        state = (pending, held, _VERSION.rows(connection), log_known and log_known.relations.changes)
        known, found = self._known
        if known != state:
            found = _denied(connection, pending, held, log_known)
            if committed:
                self._known = (state, found)
        return found


def _reach(connection: Connection, pending: dict[str, set[str]]) -> frozenset[str]:
    """The grants that denials affect: directly, by delegation, and as grants on assets that were derived under a denied
    grant."""
    departments = [int(number) for number in pending.get("department", ())]
    replaced = pending.get("replaced", set())  # grants delegated from them continue under the replacements
    grants, assets = set(pending.get("grant", ())), set(pending.get("asset", ()))
    grants |= _of_departments(connection, departments) | _bound(connection, pending.get(CONDITION, set()))
    while True:
        assets = _derived(connection, assets | _derived_under(connection, grants | replaced))
        reached = _delegated(connection, grants | _granted_on(connection, assets))
        if reached == grants:
            return frozenset(grants | replaced)
        grants = reached


def _of_departments(connection: Connection, departments: list[int]) -> set[str]:
    """The active grants to these departments, or under their rights."""
    if not departments:
        return set()
    holding = [
        (_grants.c.right == right) & _assets.c[column].in_(departments)
        for right, column in enumerate(("holder", "processor", "operator"), 1)
    ]
    query = (
        select(_grants.c.id)
        .join(_assets, _assets.c.id == _grants.c.asset)
        .where(_grants.c.state == GrantStatus.ACTIVE, or_(_grants.c.grantee.in_(departments), *holding))
    )
    return set(connection.execute(query).scalars())


def _bound(connection: Connection, conditions: set[str]) -> set[str]:
    """Grants that are bound to these conditions."""
    if not conditions:
        return set()
    query = select(_bindings.c.grant).where(_bindings.c.condition.in_(conditions))
    return set(connection.execute(query).scalars())


def _granted_on(connection: Connection, assets: set[str]) -> set[str]:
    """Active grants on these assets."""
    if not assets:
        return set()
    query = select(_grants.c.id).where(_grants.c.state == GrantStatus.ACTIVE, _grants.c.asset.in_(assets))
    return set(connection.execute(query).scalars())


def _derived_under(connection: Connection, grants: set[str]) -> set[str]:
    """The assets that were derived under these grants; they end with the grants."""
    if not grants:
        return set()
    return set(connection.execute(select(_parents.c.asset).where(_parents.c.under.in_(grants))).scalars())


def pending_callers(connection: Connection) -> tuple[frozenset[int], frozenset[tuple[int, str]]]:
    """The departments with a pending or lost suspension, and the service keys (department, key) with a pending or lost
    removal. Calls by them are refused."""
    log_known = log_facts(connection)
    pending, held = _pending(connection, log_known), _held(connection, log_known)
    keys = (target.partition(":") for denied in (pending, held) for target in denied.get("key", ()))
    return (
        frozenset(int(number) for denied in (pending, held) for number in denied.get("department", ())),
        frozenset((int(department), key) for department, _, key in keys),
    )


def _pending(connection: Connection, log_known: LogFacts | None) -> dict[str, set[str]]:
    """The targets, by kind, of every denial whose act is not decided yet."""
    found: dict[str, set[str]] = {}
    for kind, target in _PENDING.rows(connection):
        number, colon, _ = target.partition(":")
        if kind not in ("department", "key") or (number.isdecimal() and bool(colon) is (kind == "key")):
            found.setdefault(kind, set()).add(target)
    for kind, targets in log_known.taken.denied().items() if log_known is not None else ():
        found.setdefault(kind, set()).update(targets)
    return found


def _held(connection: Connection, log_known: LogFacts | None) -> dict[str, set[str]]:
    """The targets, by kind, of every denial by a lost act."""
    return {kind: set(targets) for kind, targets in held_with(connection, log_known).items()}


def _derived(connection: Connection, assets: set[str]) -> set[str]:
    """These assets and all assets derived from them."""
    found, edge = set(assets), set(assets)
    while edge:
        children = connection.execute(select(_parents.c.asset).where(_parents.c.parent.in_(edge))).scalars()
        edge = set(children) - found
        found |= edge
    return found


def _delegated(connection: Connection, grants: set[str]) -> set[str]:
    """These grants and all grants delegated from them or from grants that they replaced."""
    found, edge = set(grants), set(grants)
    while edge:
        above, newer = set(edge), set(edge)
        while newer:
            older = connection.execute(select(_grants.c.id).where(_grants.c.replaced_by.in_(newer))).scalars()
            newer = set(older) - above
            above |= newer
        children = connection.execute(select(_grants.c.id).where(_grants.c.parent.in_(above))).scalars()
        edge = set(children) - found
        found |= edge
    return found
