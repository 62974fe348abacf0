"""Whether what the service keeps beside the log is what log and chain say: for `civic audit fsck`.

Nothing here lets data out: at use everything is read from the chain or the log. This says what somebody changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, func, select

from ledger.acceptances import ACCEPTED, AcceptanceProofs
from ledger.audit.errors import EventInvalid, LogCorrupt
from ledger.audit.events import Event, read_event
from ledger.audit.fsck import Damage
from ledger.audit.reading import LogReader
from ledger.audit.tiles import entry_table
from ledger.chain.client import ChainClient
from ledger.chain.contracts import Deployment, act_digest
from ledger.chain.errors import ChainError
from ledger.chain.messages import MessageError
from ledger.errors import LedgerError
from ledger.projection.rebuild import departures
from ledger.projection.views import terms_of
from ledger.store.tables.audit import AuditEpoch
from ledger.store.tables.calls import AcceptanceRow, ChargeRow, ReleaseRow
from ledger.store.tables.outbox import DocumentRow, OutboxActRow
from ledger.store.tables.projection import GrantRow
from ledger.uses_in_log import DECIDED, uses_in_log

_acceptances: Table = AcceptanceRow.__table__  # type: ignore[attr-defined]
_charges: Table = ChargeRow.__table__  # type: ignore[attr-defined]
_releases: Table = ReleaseRow.__table__  # type: ignore[attr-defined]
_documents: Table = DocumentRow.__table__  # type: ignore[attr-defined]
_acts: Table = OutboxActRow.__table__  # type: ignore[attr-defined]
_grants: Table = GrantRow.__table__  # type: ignore[attr-defined]
_epochs: Table = AuditEpoch.__table__  # type: ignore[attr-defined]

_ENDED = ("gateway:release:done", "gateway:release:aborted")
_TOLD = tuple(f'"type":"{kind}"'.encode() for kind in (DECIDED, ACCEPTED, *_ENDED))
_AT_ONCE = 60_000_000
"""Microseconds by which the first of several uses at once may differ from the first in the log."""
_ROUNDED = 2
"""Microseconds by which a time in a table may differ from the same in the log."""


@dataclass(slots=True)
class _Told:
    """What the log tells of releases and acceptances."""

    opened: dict[str, Event] = field(default_factory=dict)
    ended: dict[str, Event] = field(default_factory=dict)
    accepted: dict[str, Event] = field(default_factory=dict)


def check_tables(
    connection: Connection, log: LogReader, client: ChainClient, deployment: Deployment
) -> Iterator[Damage]:
    """What is wrong with the projection, documents, acts, acceptances, charges and releases; in one snapshot."""
    try:
        for line in departures(connection, client, deployment):
            yield Damage("fsck.projection", line)
    except ChainError as silent:
        yield Damage("fsck.chain", f"the projection was not compared with the chain: {silent.message}")
    except ValueError as malformed:
        yield Damage("fsck.projection", f"a row of the projection cannot be read: {malformed}")
    yield from _check_documents(connection)
    yield from _check_acts(connection, deployment)
    told = _told(connection)
    yield from _check_acceptances(connection, log, deployment, told.accepted)
    yield from _check_charges(connection)
    yield from _check_releases(connection, told)


def _told(connection: Connection) -> _Told:
    found = _Told()
    leaves = (
        select(entry_table.c.leaf)
        .where(func.length(entry_table.c.leaf) > 0)
        .order_by(entry_table.c.idx)
        .execution_options(yield_per=1_000)
    )
    for (leaf,) in connection.execute(leaves):
        # The type is read from the leaf: who changes its column hides nothing.
        if not any(kind in leaf for kind in _TOLD):
            continue
        try:
            event = read_event(bytes(leaf))
        except EventInvalid:
            continue  # that is named as an entry of the log
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
    for digest, kind, message in connection.execute(select(_acts.c.digest, _acts.c.type, _acts.c.message)):
        try:
            same = "0x" + act_digest(deployment, kind, json.loads(message)).hex() == digest
        except (MessageError, ValueError, TypeError, KeyError):
            same = False
        if not same:
            yield Damage("fsck.act", f"the act {digest} is not the one that was signed")


def _check_acceptances(
    connection: Connection, log: LogReader, deployment: Deployment, told: Mapping[str, Event]
) -> Iterator[Damage]:
    rows = {row["grant_id"]: row for row in connection.execute(select(_acceptances)).mappings()}
    terms: dict[str, dict[str, Any]] = {}
    for row in connection.execute(select(_grants)).mappings():
        if row["id"] in rows:
            with suppress(
                LedgerError, ValueError, LookupError
            ):  # what cannot be read is named as a row of the projection
                terms[row["id"]] = terms_of(row)
    proofs = AcceptanceProofs(deployment, log)
    for grant, row in rows.items():
        event = told.get(grant)
        sound: dict[str, str] = {}
        with suppress(LogCorrupt):
            sound = proofs.of(connection, {grant: terms[grant]}) if grant in terms else {}
        if grant not in sound or (event and abs(event.microseconds - row["accepted_at"]) > _ROUNDED):
            yield Damage("fsck.acceptance", f"the acceptance of grant {grant} is not the one in the log")
    for grant in told.keys() - rows.keys():
        yield Damage("fsck.acceptance", f"the acceptance of grant {grant} is in the log and missing here")


def _check_charges(connection: Connection) -> Iterator[Damage]:
    rows = {row.grant_id: row for row in connection.execute(select(_charges))}
    try:
        told = uses_in_log(connection)
    except LogCorrupt as corrupt:
        yield Damage("fsck.charge", f"the uses in the log were not counted: {corrupt.message}")
        return
    for grant, uses in told.items():
        row = rows.get(grant)
        if row is None or row.used < uses.used:
            yield Damage(
                "fsck.charge", f"grant {grant} was used {uses.used} times by the log, not as charged"
            )
        elif abs(row.first - int(uses.first.timestamp() * 1_000_000)) > _AT_ONCE:
            yield Damage("fsck.charge", f"grant {grant} is charged with another first use than the log tells")
    if connection.execute(select(_epochs.c.epoch)).first() is not None:
        return  # after a loss, uses are counted that are in no entry here
    for grant, row in rows.items():
        if row.used > (told[grant].used if grant in told else 0):
            yield Damage("fsck.charge", f"grant {grant} is charged more often than the log tells")


def _check_releases(connection: Connection, told: _Told) -> Iterator[Damage]:
    missing = dict(told.opened)
    for row in connection.execute(select(_releases)).mappings():
        opened = missing.pop(row["id"], None)
        if opened is None:
            yield Damage("fsck.release", f"no entry tells of the release {row['id']}")
            continue
        wrong = [name for name, value in _decided(opened).items() if row[name] not in (value, None, "")]
        wrong += ["charged_at"] if abs(row["charged_at"] - opened.microseconds) > _ROUNDED else []
        if row["state"] != "streaming":
            wrong += _wrong_end(row, told.ended.get(row["id"]))
        if wrong:
            yield Damage("fsck.release", f"release {row['id']}: {', '.join(wrong)} is not what the log says")
    for release in missing:
        yield Damage("fsck.release", f"the release {release} is in the log and missing here")


def _decided(event: Event) -> dict[str, Any]:
    """The columns of a release that its decision tells."""
    said = {
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
    # The digests of earlier versions were dropped: an empty one is as it should be.
    said["request_hash"] = event.commitments.get("request", "")
    return {name: value for name, value in said.items() if value is not None}


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
