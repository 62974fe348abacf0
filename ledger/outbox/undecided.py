"""Whether the rows of an act are those that were signed and accepted, and which accepted acts are not being sent.

For an act that denies something the log is authoritative, not the rows: it states the call of the act and whether the act
is decided.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection
from sqlalchemy.exc import NoResultFound

from ledger.acts.act import ActError, SignedAct
from ledger.audit.verify.acts import call_hash
from ledger.chain.deployment import Deployment
from ledger.chain.messages import MessageError
from ledger.lost.holds import log_facts
from ledger.lost.taken_in_log import TakenAct
from ledger.outbox.store import find, load_act
from ledger.outbox.transactions import open_transactions


class ActUndeliverable(ActError):
    """The rows of an accepted denying act are missing or changed. The act denies, but cannot be sent to the chain."""

    code = "act.undeliverable"


@dataclass(slots=True)
class Undecided:
    """The denying acts that are not being sent. The rows of ``idle`` acts are intact; ``lost`` maps the ids of the others to
    the reason why they cannot be sent."""

    idle: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)


def taken_act(connection: Connection, identity: str) -> TakenAct | None:
    """The act with this id if it denies something now by the log; None otherwise, and when this process does not read the
    log."""
    told = log_facts(connection)
    return None if told is None else told.taken.act(identity)


def stored_act(connection: Connection, deployment: Deployment, identity: str) -> SignedAct | str:
    """The act as it was signed, or a text that states why its row is not valid."""
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
    """`stored_act`; an act that denies something must also be the one in the log."""
    act = stored_act(connection, deployment, identity)
    taken = taken_act(connection, identity)
    if isinstance(act, str) or taken is None or taken.call == call_hash(act.call(deployment).data):
        return act
    return "its row is not the act that was taken"


def undecided_acts(connection: Connection, deployment: Deployment, now: int) -> Undecided:
    """The acts that deny something by the log, and whose rows state a final state, lack the transaction, or are not those
    that were signed. ``now`` is the chain's time (unix seconds): acts with an earlier deadline are left out."""
    found, told = Undecided(), log_facts(connection)
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
