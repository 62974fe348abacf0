"""What a received revocation denies before the chain has heard of it.

A valid signed Revoke takes effect on reads when it is received, and holds until its event is recorded (then the
grant itself is dead) or the contract refuses it. It holds also when its deadline passed before the chain could be
reached: the officer's will is known, and only a message that the chain never saw is too old. Suspensions of an
asset or department and removals of keys hold while they are on their way.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table, or_, select

from ledger.ids import asset_text
from ledger.outbox.acts import SignedAct
from ledger.store.prepared import Prepared
from ledger.store.tables.outbox import OutboxActRow, OutboxDenialRow
from ledger.store.tables.projection import AssetParentRow, AssetRow, GrantRow, ProjectionCursorRow

_acts: Table = OutboxActRow.__table__  # type: ignore[attr-defined]
_denials: Table = OutboxDenialRow.__table__  # type: ignore[attr-defined]
_grants: Table = GrantRow.__table__  # type: ignore[attr-defined]
_assets: Table = AssetRow.__table__  # type: ignore[attr-defined]
_parents: Table = AssetParentRow.__table__  # type: ignore[attr-defined]
_cursors: Table = ProjectionCursorRow.__table__  # type: ignore[attr-defined]

GRANT_ACTIVE = 1

_PENDING = Prepared(
    select(_denials.c.kind, _denials.c.target)
    .join(_acts, _acts.c.digest == _denials.c.digest)
    .where(
        _acts.c.state.in_(("received", "submitted", "mined"))
        | ((_acts.c.state == "expired") & _acts.c.type.in_(("Revoke", "RevokeBatch")))
    )
)
"""Every call asks this at least twice."""

_VERSION = Prepared(select(_cursors.c.version).where(_cursors.c.id == 1))


def denials_of(act: SignedAct) -> list[tuple[str, str]]:
    """What an act denies: pairs of kind (grant, asset, department, key) and target; empty where it denies nothing."""
    message = act.message
    match act.type:
        case "Revoke" | "Cancel":
            return [("grant", message["grant"])]
        case "RevokeBatch":
            return [("grant", grant) for grant in dict.fromkeys(message["grants"])]
        case "SuspendAsset" | "RetireAsset":
            return [("asset", asset_text(message["asset"]))]
        case "SuspendDepartment":
            return [("department", str(message["department"]))]
        case "RemoveServiceKey":
            return [("key", f"{message['department']}:{message['key']}")]
    return []


def pending_revocations(connection: Connection) -> frozenset[str]:
    """Ids of the grants that must not be used although the chain still calls them live.

    Those named by a revocation on its way, those on an asset, to a department or under a department's right whose
    suspension is on its way, and everything that was delegated or derived from them.
    """
    pending = _pending(connection)
    return _reach(connection, pending) if pending else frozenset()


class PendingRevocations:
    """`pending_revocations` for the call path of one database: worked out once for each state of outbox and
    projection. Thread-safe."""

    def __init__(self) -> None:
        self._known: tuple[object, frozenset[str]] = (None, frozenset())

    def of(self, connection: Connection, *, committed: bool = True) -> frozenset[str]:
        """Ids of the grants that must not be used although the chain still calls them live.

        ``committed``: the connection sees nothing that may still be undone; otherwise the answer is not kept.
        """
        pending = _pending(connection)
        if not pending:
            return frozenset()
        state = (pending, _VERSION.rows(connection))
        known, found = self._known
        if known != state:
            found = _reach(connection, pending)
            if committed:
                self._known = (state, found)
        return found


def _reach(connection: Connection, pending: dict[str, set[str]]) -> frozenset[str]:
    """The grants that denials on their way touch, directly or through what stands between."""
    assets = _derived(connection, pending.get("asset", set()))
    departments = [int(number) for number in pending.get("department", ())]
    found = set(pending.get("grant", ()))
    if assets or departments:
        holding = [
            (_grants.c.right == right) & _assets.c[column].in_(departments)
            for right, column in enumerate(("holder", "processor", "operator"), 1)
        ]
        found |= set(
            connection.execute(
                select(_grants.c.id)
                .join(_assets, _assets.c.id == _grants.c.asset)
                .where(
                    _grants.c.state == GRANT_ACTIVE,
                    or_(_grants.c.asset.in_(assets), _grants.c.grantee.in_(departments), *holding),
                )
            ).scalars()
        )
    return frozenset(_delegated(connection, found))


def pending_callers(connection: Connection) -> tuple[frozenset[int], frozenset[tuple[int, str]]]:
    """Departments whose suspension, and service keys (department, key) whose removal, is on its way: whoever
    calls as one of them is refused already."""
    pending = _pending(connection)
    keys = (target.split(":") for target in pending.get("key", ()))
    return (
        frozenset(int(number) for number in pending.get("department", ())),
        frozenset((int(department), key) for department, key in keys),
    )


def _pending(connection: Connection) -> dict[str, set[str]]:
    """Targets by kind of every denial whose act is not decided yet."""
    found: dict[str, set[str]] = {}
    for kind, target in _PENDING.rows(connection):
        found.setdefault(kind, set()).add(target)
    return found


def _derived(connection: Connection, assets: set[str]) -> set[str]:
    """These assets and all that were derived from them."""
    found, edge = set(assets), set(assets)
    while edge:
        children = connection.execute(select(_parents.c.asset).where(_parents.c.parent.in_(edge))).scalars()
        edge = set(children) - found
        found |= edge
    return found


def _delegated(connection: Connection, grants: set[str]) -> set[str]:
    """These grants and all that were delegated from them."""
    found, edge = set(grants), set(grants)
    while edge:
        children = connection.execute(select(_grants.c.id).where(_grants.c.parent.in_(edge))).scalars()
        edge = set(children) - found
        found |= edge
    return found
