"""Whether the rows of an act are those that were signed and taken, and which acts that are taken nobody carries.

Rows are not believed about an act that denies something: the log says which call carries it, and whether it is decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from ledger.acts.act import ActError, SignedAct
from ledger.audit.verify.acts import call_hash
from ledger.chain.deployment import Deployment
from ledger.chain.messages import MessageError
from ledger.lost.holds import told_by
from ledger.lost.taken_in_log import TakenAct
from ledger.outbox.store import find, load_act
from ledger.outbox.transactions import open_transactions


class ActUndeliverable(ActError):
    """An act was taken, and its rows are gone or changed: it denies, and cannot be carried to the chain."""

    code = "act.undeliverable"


@dataclass(slots=True)
class Undecided:
    """``idle``: acts that nothing carries and whose rows are sound; ``lost``: why the others cannot be carried, by id."""

    idle: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)


def taken_act(connection: Connection, identity: str) -> TakenAct | None:
    """An act that denies something now, by the log; None for every other act, and where nobody reads the log."""
    told = told_by(connection)
    return None if told is None else told.taken.act(identity)


def stored_act(connection: Connection, deployment: Deployment, identity: str) -> SignedAct | str:
    """An act as it was signed, or why its row is not it."""
    try:
        act = load_act(connection, identity)
        return act if act.id(deployment) == identity else "its row is not the act that was signed"
    except NoResultFound:
        return "its row is gone"
    except (ActError, MessageError) as error:
        return str(error)
    except (ValueError, TypeError, AttributeError) as error:
        return f"its row cannot be read: {error}"


def sound_act(connection: Connection, deployment: Deployment, identity: str) -> SignedAct | str:
    """An act as it was signed and, where it denies something, taken; or why its row is not it."""
    act = stored_act(connection, deployment, identity)
    taken = taken_act(connection, identity)
    if isinstance(act, str) or taken is None or taken.call == call_hash(act.call(deployment).data):
        return act
    return "its row is not the act that was taken"


def undecided_acts(connection: Connection, deployment: Deployment, now: int) -> Undecided:
    """The acts that deny something by the log, and whose rows say that they are over, lack their transaction, or are not
    theirs. ``now`` is the chain's time: an act that is too late by it waits for nothing."""
    found, told = Undecided(), told_by(connection)
    acts = told.taken.acts() if told is not None else ()
    if not acts:
        return found
    sent = {one.digest for one in open_transactions(connection, deployment)}
    for identity in acts:
        act = sound_act(connection, deployment, identity)
        if isinstance(act, str):
            found.lost[identity] = act
            continue
        record = find(connection, identity)
        late = act.deadline is not None and act.deadline < now
        if record is not None and record.state != "received" and identity not in sent and not late:
            found.idle.append(identity)
    return found
