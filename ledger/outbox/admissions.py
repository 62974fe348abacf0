"""The two steps of an admission: the council proposes it, and after the delay it is activated.

Both steps are acts over one message. When both sets of signatures are submitted and the delay is not 0, they become two
acts: the proposal is sent at once, and the activation waits in the outbox until the admission is ready.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from eth_abi.abi import decode
from eth_hash.auto import keccak
from sqlalchemy import Connection, select

from ledger.acts.act import SignedAct
from ledger.chain.calls import functions_of
from ledger.chain.client import ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.messages import record_id
from ledger.ids import ACTIVATION
from ledger.lost.holds import held_targets
from ledger.lost.lost_act import ADMISSION
from ledger.outbox.store import ActRecord, find, load_act
from ledger.store.tables import table_of
from ledger.store.tables.projection import AdmissionRow

_admissions = table_of(AdmissionRow)

Step = Literal["waiting", "due", "void"]


@dataclass(frozen=True, slots=True)
class Admission:
    """An admission on the chain: the time from which it can be activated (unix seconds), and its state."""

    ready_at: int
    state: str


def admission_delay(client: ChainClient, deployment: Deployment) -> int:
    """The seconds between proposal and activation, fixed when the contracts were deployed."""
    answer = client.call(deployment.addresses["SharingLedger"], keccak(b"council()")[:4])
    return int(decode(["address[]", "uint8", "address", "uint32", "uint32"], answer)[4])


def admission_of(connection: Connection, message: Mapping[str, Any]) -> Admission | None:
    """The recorded admission of this message; None before it is proposed."""
    identity = record_id("Admission", message)
    row = connection.execute(select(_admissions).where(_admissions.c.id == identity)).mappings().one_or_none()
    return None if row is None else Admission(row["ready_at"], row["state"])


def steps_of(
    connection: Connection, deployment: Deployment, act: SignedAct, delay: int
) -> tuple[SignedAct, ...]:
    """The acts into which a submitted act is split, in the order in which they are sent; the last completes it.

    ``delay`` is that of admissions in seconds.
    """
    if act.function.name != "admit":
        return (act,)
    proposal, activation = _step(act, "proposeAdmission"), _step(act, "activate")
    known = find(connection, act.id(deployment))
    if known is not None and known.state not in ("failed", "expired"):
        whole = load_act(connection, known.id).function.name == "admit"
        return (act,) if whole else (proposal, activation)
    found = admission_of(connection, act.message)
    if found is not None and found.state == "proposed":
        return (activation,)
    return (proposal, activation) if delay else (act,)


def proposal_of(connection: Connection, activation: ActRecord) -> ActRecord | None:
    """The proposal of an activation; None when it was not sent through this outbox."""
    return find(connection, activation.id.removesuffix(ACTIVATION))


def step_of(connection: Connection, activation: ActRecord, now: int) -> Step:
    """Whether an accepted activation can be sent at ``now`` (unix seconds); "void" when there is nothing to activate."""
    found = admission_of(connection, activation.message)
    if record_id("Admission", activation.message) in held_targets(connection).get(ADMISSION, ()):
        return "waiting"  # its cancellation was lost with a chain: the council must sign it again
    if found is None:
        proposal = proposal_of(connection, activation)
        return "void" if proposal is not None and proposal.state in ("failed", "expired") else "waiting"
    return "waiting" if found.state == "proposed" and now < found.ready_at else "due"


def _step(act: SignedAct, name: str) -> SignedAct:
    function = next(one for one in functions_of(act.type) if one.name == name)
    return replace(act, function=function, signatures={slot: act.signatures[slot] for slot in function.slots})
