"""Acts that are refused because an earlier act was lost, for example one that removed their signers.

The restored chain would accept such an act. The gateway does not send it until the lost act is signed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, or_, select

from ledger.acts.act import SignedAct
from ledger.acts.projected import ProjectedRecords
from ledger.acts.refusal import ActRefused
from ledger.chain.client import Address
from ledger.chain.messages import record_id
from ledger.lost.holds import held_targets
from ledger.lost.lost_act import ADMISSION, COUNCIL, PAUSE, RECOVERY, SEAT, TAKEOVER
from ledger.store.tables import table_of
from ledger.store.tables.projection import RecoveryRow, SeatRow

_recoveries = table_of(RecoveryRow)
_seats = table_of(SeatRow)

LOST = "act.lost-act"

NARROWING = frozenset(
    {
        "Revoke", "RevokeBatch", "ReplaceGrant", "Cancel", "SuspendAsset", "SuspendDepartment", "CancelRecovery",
        "RemoveOfficer", "RemoveAttestKey", "RemoveServiceKey", "CancelAdmission", "VetoRecovery",
        "Pause", "Unpause", "ReplaceCouncil", "Use", "UseBatch", "TreeHead", "OpenLog", "NewEpoch",
        "OpenCondition", "BindCondition", "CloseCondition", "HandOver", "CallOffHandOver",
    }
)  # fmt: skip
"""Acts that are allowed during a pause: those that remove authority, those that record, and the end of the pause."""


def held_back(
    connection: Connection, act: SignedAct, signers: Sequence[Address], now: int
) -> ActRefused | None:
    """Why the act must wait until a lost act is signed again; None when it need not. ``now`` is in unix seconds.

    The lost act itself never waits.
    """
    held = held_targets(connection)
    if not held:
        return None
    message = act.message
    seats = held.get(SEAT, {})
    for signer in signers:
        if signer in seats and not _is_the_lost_act(act, signer, seats[signer]):
            return ActRefused(
                LOST,
                f"{signer} signed, and the act that took its office away is lost: it must be signed again first",
            )
    if act.type == "Recover" and str(message["department"]) in held.get(RECOVERY, ()):
        return ActRefused(
            LOST, "the act that changed the recovery key is lost: it must be signed again first"
        )
    if _taken_over(connection, act, signers, held.get(TAKEOVER, {})):
        return ActRefused(LOST, "what stopped a recovery is lost: it must be signed again first")
    if act.type == "Admission" and record_id("Admission", message) in held.get(ADMISSION, ()):
        return ActRefused(
            LOST, "the act that cancelled this admission is lost: it must be signed again first"
        )
    if COUNCIL in held and act.type != "ReplaceCouncil":
        members = ProjectedRecords(connection).council().members
        if any(signer in members for signer in signers):
            return ActRefused(
                LOST, "the act that replaced the council is lost: it must be signed again first"
            )
    if act.type not in NARROWING and any(now <= int(until) for until in held.get(PAUSE, {}).values()):
        return ActRefused(
            LOST,
            "a pause is lost with the chain that recorded it: it lasts as long, or is signed again (Pause) and ended (Unpause)",
        )
    return None


def _taken_over(
    connection: Connection, act: SignedAct, signers: Sequence[Address], vetoed: Mapping[str, str]
) -> bool:
    """Whether the act begins a vetoed recovery, or has a signer who holds a seat by a vetoed or cancelled recovery. After
    a cancellation the council may begin another recovery."""
    if not vetoed:
        return False
    by_another = (
        select(_recoveries.c.holder).where(
            or_(
                *(
                    (_recoveries.c.holder == one) & (_recoveries.c.recovery != what)
                    for one, what in vetoed.items()
                    if what
                )
            )
        )
        if any(vetoed.values())
        else None
    )
    came_in = select(_seats.c.successor).where(_seats.c.holder.in_(vetoed), _seats.c.successor.in_(signers))
    if by_another is not None:
        came_in = came_in.where(_seats.c.holder.not_in(by_another))
    begins = act.type == "Recover" and any(
        _same(act.message["from"], one) for one, what in vetoed.items() if not what
    )
    return begins or connection.execute(came_in).first() is not None


def _is_the_lost_act(act: SignedAct, signer: Address, successor: str) -> bool:
    """Whether the act repeats the lost removal or rotation of the signer, to the same successor if there was one."""
    match act.type:
        case "RemoveOfficer":
            return not successor and _same(act.message["officer"], signer)
        case "RemoveAttestKey":
            return not successor and _same(act.message["key"], signer)
        case "RotateKey":
            return _same(act.message["to"], successor)
    return False


def _same(one: str, other: str) -> bool:
    """Whether two texts are one address: messages have lower case, events the EIP-55 form."""
    return one.lower() == other.lower()
