"""The check for `civic audit fsck` that the tables of the service agree with the log and the chain.

No release depends on this check, because calls use the chain and the log. It finds rows that somebody changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, inspect, select

from ledger.acts.act import FINAL
from ledger.audit.formats.errors import EventInvalid, LogCorrupt
from ledger.audit.formats.events import Event, read_event
from ledger.audit.keeping.fsck import Damage
from ledger.audit.log.reading import LogReader
from ledger.audit.log.tiles import entry_table
from ledger.audit.verify.acts import call_hash
from ledger.chain.client import ChainClient
from ledger.chain.deployment import FIRST_EDITION, Deployment
from ledger.chain.errors import ChainError
from ledger.chain.transactions import transaction_hash
from ledger.counts import counted
from ledger.errors import LedgerError
from ledger.grants.acceptances import ACCEPTED, AcceptanceProofs
from ledger.grants.uses_in_log import DECIDED, UsesInLog
from ledger.lost.holds import lost_acts
from ledger.lost.lost_act import LostAct
from ledger.lost.taken_in_log import TakenInLog
from ledger.outbox.denials import REVOCATIONS
from ledger.outbox.store import denials, find
from ledger.outbox.transactions import act_in, transactions
from ledger.outbox.undecided import stored_act
from ledger.projection.rebuild import departures
from ledger.projection.views import terms_of
from ledger.releases import Charges
from ledger.store.stored import UNREADABLE, StoreDamaged
from ledger.store.tables import table_of
from ledger.store.tables.audit import AuditEpoch
from ledger.store.tables.calls import AcceptanceRow, ChargeRow, ReleaseRow
from ledger.store.tables.outbox import DocumentRow, OutboxActRow
from ledger.store.tables.projection import GrantRow

_acceptances = table_of(AcceptanceRow)
_charges = table_of(ChargeRow)
_releases = table_of(ReleaseRow)
_documents = table_of(DocumentRow)
_acts = table_of(OutboxActRow)
_grants = table_of(GrantRow)
_epochs = table_of(AuditEpoch)

_ENDED = ("gateway:release:done", "gateway:release:aborted")
_TOLD = tuple(f'"type":"{kind}"'.encode() for kind in (DECIDED, ACCEPTED, *_ENDED))
_AT_ONCE = 60_000_000
"""How many microseconds the first use in a table may differ from the first use in the log, for parallel first uses."""
_ROUNDED = 2
"""How many microseconds a time in a table may differ from the same time in the log."""


@dataclass(slots=True)
class _LogRecords:
    """The entries about releases and acceptances in the log, by the id of the release or grant."""

    opened: dict[str, Event] = field(default_factory=dict)
    ended: dict[str, Event] = field(default_factory=dict)
    accepted: dict[str, Event] = field(default_factory=dict)


def check_tables(
    connection: Connection, log: LogReader, client: ChainClient, deployment: Deployment
) -> Iterator[Damage]:
    """The damage in projection, documents, acts, acceptances, charges and releases, in one snapshot.

    Events of contracts of the first edition, and acts signed for them, are not compared: this version cannot read them.
    """
    second = deployment.edition != FIRST_EDITION
    if second:
        yield from _check_projection(connection, client, deployment)
    yield from as_far_as_read("fsck.document", _check_documents(connection))
    if second:
        yield from as_far_as_read("fsck.act", _check_acts(connection, deployment))
        yield from as_far_as_read("fsck.act", _check_transactions(connection, deployment))
    try:
        logged = _log_records(connection)
    except StoreDamaged:
        return  # the entries are damaged: this was reported
    if second:
        yield from as_far_as_read(
            "fsck.acceptance", _check_acceptances(connection, log, deployment, logged.accepted)
        )
    counted = UsesInLog(log)
    try:
        counted.follow(connection)
    except (LogCorrupt, StoreDamaged) as corrupt:
        yield Damage("fsck.charge", f"the uses in the log were not counted: {corrupt.message}")
    else:
        yield from as_far_as_read("fsck.charge", _check_charges(connection, counted.every()))
        yield from as_far_as_read("fsck.hold", _check_holds(connection, counted.every_hold()))
        if second:
            yield from as_far_as_read("fsck.act", _check_taken(connection, deployment, counted.taken))
    yield from as_far_as_read("fsck.release", _check_releases(connection, logged))


def _check_projection(
    connection: Connection, client: ChainClient, deployment: Deployment
) -> Iterator[Damage]:
    try:
        for line in departures(connection, client, deployment):
            yield Damage("fsck.projection", line)
    except ChainError as silent:
        yield Damage("fsck.chain", f"the projection was not compared with the chain: {silent.message}")
    except UNREADABLE as malformed:
        yield Damage("fsck.projection", f"a row of the projection cannot be read: {malformed}")


def as_far_as_read(code: str, found: Iterator[Damage]) -> Iterator[Damage]:
    """Yield the damage. At a row that cannot be read, report it and end."""
    try:
        yield from found
    except UNREADABLE as malformed:
        yield Damage(code, f"a row cannot be read, the others were not checked: {malformed}")


def _log_records(connection: Connection) -> _LogRecords:
    found = _LogRecords()
    leaves = (
        select(entry_table.c.leaf)
        .where(func.length(entry_table.c.leaf) > 0)
        .order_by(entry_table.c.idx)
        .execution_options(yield_per=1_000)
    )
    for (leaf,) in connection.execute(leaves):
        # The type is read from the leaf, because the column may have been changed.
        if not any(kind in leaf for kind in _TOLD):
            continue
        try:
            event = read_event(bytes(leaf))
        except EventInvalid:
            continue  # reported by the check of the entries
        kind = event.type
        release = str(event.facts.get("release", ""))
        if kind == ACCEPTED and event.grant is not None:
            found.accepted[event.grant] = event
        elif kind in _ENDED:
            found.ended[release] = event
        elif event.decision == "permit" and release:
            found.opened[release] = event
    return found


def _check_documents(connection: Connection) -> Iterator[Damage]:
    for sha256, body in connection.execute(select(_documents.c.sha256, _documents.c.body)):
        if hashlib.sha256(bytes(body)).hexdigest() != sha256:
            yield Damage("fsck.document", f"the document {sha256} was changed")


def _check_acts(connection: Connection, deployment: Deployment) -> Iterator[Damage]:
    for identity in connection.scalars(select(_acts.c.digest)).all():
        if isinstance(stored_act(connection, deployment, identity), str):
            yield Damage("fsck.act", f"the act {identity} is not the one that was signed")


def _check_transactions(connection: Connection, deployment: Deployment) -> Iterator[Damage]:
    query = select(transactions.c.tx_hash, transactions.c.digest, transactions.c.raw)
    for tx_hash, digest, raw in connection.execute(query).all():
        # Bytes in which no act is found may be of contracts of an earlier version.
        same = not isinstance(raw, str) and transaction_hash(bytes(raw)) == tx_hash
        if not same or act_in(raw, tx_hash, deployment) not in (digest, None):
            yield Damage("fsck.act", f"the transaction {tx_hash} does not carry the act {digest}")


def _check_taken(connection: Connection, deployment: Deployment, logged: TakenInLog) -> Iterator[Damage]:
    """Check the accepted denying acts that are not decided by the log."""
    for identity in logged.acts():
        taken, record = logged.act(identity), find(connection, identity)
        act = stored_act(connection, deployment, identity)
        if isinstance(act, str):
            why = act
        elif taken is None or taken.call != call_hash(act.call(deployment).data):
            why = "its row is not the act that was taken"
        elif record is None or (
            record.state in FINAL and not (record.state == "expired" and act.type in REVOCATIONS)
        ):
            why = f"its row says that it is {record.state if record else 'unknown'}"
        elif taken.open - _denied_by_rows(connection, identity):
            why = "a row of what it denies is gone"
        else:
            continue
        yield Damage("fsck.act", f"the act {identity} was taken and is not decided, and {why}")


def _denied_by_rows(connection: Connection, identity: str) -> set[str]:
    query = select(denials.c.kind, denials.c.target).where(denials.c.digest == identity)
    return {f"{kind}:{target}" for kind, target in connection.execute(query)}


def _check_acceptances(
    connection: Connection, log: LogReader, deployment: Deployment, logged: Mapping[str, Event]
) -> Iterator[Damage]:
    rows = {row["grant_id"]: row for row in connection.execute(select(_acceptances)).mappings()}
    terms: dict[str, dict[str, Any]] = {}
    for row in connection.execute(select(_grants)).mappings():
        if row["id"] in rows:
            with suppress(
                LedgerError, ValueError, LookupError
            ):  # an unreadable row is reported by the check of the projection
                terms[row["id"]] = terms_of(row)
    proofs = AcceptanceProofs(deployment, log)
    for grant, row in rows.items():
        event = logged.get(grant)
        sound: dict[str, str] = {}
        with suppress(LogCorrupt, StoreDamaged):
            sound = proofs.of(connection, {grant: terms[grant]}) if grant in terms else {}
        if grant not in sound or (event and abs(event.microseconds - row["accepted_at"]) > _ROUNDED):
            yield Damage("fsck.acceptance", f"the acceptance of grant {grant} is not the one in the log")
    for grant in logged.keys() - rows.keys():
        yield Damage("fsck.acceptance", f"the acceptance of grant {grant} is in the log and missing here")


def _check_holds(connection: Connection, logged: Sequence[LostAct]) -> Iterator[Damage]:
    if not inspect(connection).has_table(lost_acts.name):
        return
    rows = {
        one.entry: one
        for row in connection.execute(select(lost_acts)).mappings()
        if (one := LostAct(**row)).kind
    }
    for one in logged:
        if rows.pop(one.entry, None) != one:
            yield Damage(
                "fsck.hold", f"the hold after the lost act of entry {one.entry} is not the one in the log"
            )
    for entry in rows:
        yield Damage("fsck.hold", f"no entry tells of the hold after the lost act of entry {entry}")


def _check_charges(connection: Connection, logged: Mapping[str, Charges]) -> Iterator[Damage]:
    rows = {row.grant_id: row for row in connection.execute(select(_charges))}
    for grant, uses in logged.items():
        row = rows.get(grant)
        if row is None or row.used < uses.used:
            yield Damage(
                "fsck.charge",
                f"grant {grant} was used {counted(uses.used, 'time')} by the log, not as charged",
            )
        elif abs(row.first - int(uses.first.timestamp() * 1_000_000)) > _AT_ONCE:
            yield Damage("fsck.charge", f"grant {grant} is charged with another first use than the log tells")
    if connection.execute(select(_epochs.c.epoch)).first() is not None:
        return  # after a loss, charges include uses without an entry in this log
    uses_on_chain = connection.execute(select(_grants.c.id, _grants.c.uses))
    on_chain: dict[int, int] = {row.id: row.uses for row in uses_on_chain}
    for grant, row in rows.items():
        most = logged[grant].used if grant in logged else 0
        if (
            on_chain.get(grant, 0) > most
        ):  # a total on chain is the lower bound of the charges, also without uses
            most += on_chain[grant]
        if row.used > most:
            yield Damage("fsck.charge", f"grant {grant} is charged more often than the log tells")


def _check_releases(connection: Connection, logged: _LogRecords) -> Iterator[Damage]:
    missing = dict(logged.opened)
    for row in connection.execute(select(_releases)).mappings():
        opened = missing.pop(row["id"], None)
        if opened is None:
            yield Damage("fsck.release", f"no entry tells of the release {row['id']}")
            continue
        wrong = [name for name, value in _decided(opened).items() if row[name] not in (value, None, "")]
        wrong += ["charged_at"] if abs(row["charged_at"] - opened.microseconds) > _ROUNDED else []
        if row["state"] != "streaming":
            wrong += _wrong_end(row, logged.ended.get(row["id"]))
        if wrong:
            yield Damage("fsck.release", f"release {row['id']}: {', '.join(wrong)} is not what the log says")
    for release in missing:
        yield Damage("fsck.release", f"the release {release} is in the log and missing here")


def _decided(event: Event) -> dict[str, Any]:
    """The columns of a release that are in the entry of its decision."""
    expected = {
        "key_id": event.service,
        "department": event.department,
        "asset": event.asset,
        "grant_id": event.grant,
        "purpose": event.purpose,
        "plan_hash": (event.plan_hash or "").removeprefix("0x"),
        "entry_id": str(event.id),
        "action": event.facts.get("action"),
        "version": event.facts.get("version"),
        "metadata_hash": event.facts.get("metadata"),
    }
    # Unsalted digests of earlier versions were deleted, so an empty one is correct.
    expected["request_hash"] = event.commitments.get("request", "")
    return {name: value for name, value in expected.items() if value is not None}


def _wrong_end(row: Mapping[Any, Any], event: Event | None) -> list[str]:
    if event is None:
        return ["state"]
    wrong = ["state"] if event.type != f"gateway:release:{row['state']}" else []
    wrong += ["rows"] if row["rows"] != event.counts.get("rows", 0) else []
    wrong += ["size"] if row["size"] != event.counts.get("bytes", 0) else []
    wrong += ["digest"] if row["digest"] not in (None, event.commitments.get("response")) else []
    if row["finished_at"] is None or abs(row["finished_at"] - event.microseconds) > _ROUNDED:
        wrong.append("finished_at")
    return wrong
