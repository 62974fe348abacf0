"""Accepts a signed act of an officer or the council: checks it, stores it durably, and lets the outbox send it.

The gateway adds nothing to an act: everything it sends was signed, and the contract verifies the signatures again.
The checks here give a clear problem before anything is stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine

from api.acts.allowance import must_have_room
from api.acts.delegation import check_delegation
from api.acts.outcomes import ActOutcomes
from api.acts.trial import ContractTrial
from api.documents.facts import ActWithDocuments, Catalogue, DocumentRefused, Finding
from api.documents.rule import must_fit
from api.documents.stored_catalogue import PublicCatalogue, StoredCatalogue
from api.runtime.commits import Commits
from api.runtime.errors import RefusedError
from api.runtime.next_versions import must_wait
from api.runtime.settings import Settings
from api.runtime.withholding import Withholding
from languages.moments import in_both_zones
from languages.texts import in_both
from ledger.acts.act import sha256_hex
from ledger.acts.documents import ENTRY_ACTS, documents_again
from ledger.audit.log.append import NewEntry
from ledger.audit.log.writer import JobResult
from ledger.chain.deployment import Deployment
from ledger.chain.messages import record_id
from ledger.clock import Timekeeper
from ledger.grants.use_recorder import UseRecorder
from ledger.outbox import (
    Relayer,
    SignedAct,
    accept,
    check,
    find,
    on_its_way,
    steps_of,
)
from ledger.outbox.store import document as stored
from ledger.outbox.store import store_document
from ledger.projection.queries import on_record

DOCUMENTS_KEPT = "documents-kept"
"""The state of an act that is recorded on chain and was not sent by this service, once its documents are stored
again."""


@dataclass(frozen=True, slots=True)
class Acts:
    """Checks and accepts acts. ``reading`` is the database without a write lock, ``data`` the directory of the
    datasets' files, ``admission_delay`` the seconds between an admission's proposal and its activation."""

    settings: Settings
    data: Path
    reading: Engine
    clock: Timekeeper
    deployment: Deployment
    admission_delay: int
    trial: ContractTrial
    recorder: UseRecorder
    withholding: Withholding
    commits: Commits
    relayer: Relayer
    outcomes: ActOutcomes

    def submit(self, document: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """Accept an act; returns its id for `ActOutcomes.of`, and the warnings about it.

        The same signed message twice is one act. RefusedError ``act.refused`` (or ``act.frozen``) with the
        contract's error if it would revert; nothing is stored then. An admission with both sets of signatures is
        two acts if the council's delay is not over: the proposal is sent at once, the activation when it is ready.
        """
        act = SignedAct.from_json(document)
        with self.reading.connect() as connection:
            act = self._counted(connection, act)
            steps = steps_of(connection, self.deployment, act, self.admission_delay)
            known = [find(connection, step.id(self.deployment)) for step in steps]
            new = [
                step
                for step, record in zip(steps, known, strict=True)
                if record is None or record.state in ("failed", "expired")
            ]
            # A failed act may be handed in again with other signatures and documents: it is checked like a new act.
            warnings = [found for step in new for found in self._must_be_acceptable(connection, step)]
            others_first = on_its_way(connection)
            for step in new:
                must_have_room(connection, self.settings, self.deployment, step, self.clock.utc())
        if new:
            self.withholding.must_be_newest()
            self.withholding.must_reach_chain()
            # An act that depends on one still being sent would be refused by a chain that has not seen that one.
            if not others_first:
                self.trial.must_be_taken(new[0])
            self.commits.commit(lambda connection: self._taken(connection, new))
            self.relayer.notify()
        return steps[-1].id(self.deployment), [one.to_json() for one in warnings]

    def keep_documents(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """Store lost documents of a recorded act, as after a restore, and report it; None if none is missing. The
        hash identifies a document, so anybody may hand it in at any time."""
        act = SignedAct.from_json(document)
        identity = act.id(self.deployment)
        with self.reading.connect() as connection:
            missing = documents_again(
                act.type,
                act.message,
                act.documents,
                partial(on_record, connection),
                partial(stored, connection),
            )
            record = find(connection, identity) if missing else None
        if not missing:
            return None

        def kept(writing: Connection) -> JobResult[None]:
            for body in missing:
                store_document(writing, body)
            return JobResult(None)

        self.commits.commit(kept)
        known = record is not None and record.state == "recorded"
        answer = (
            self.outcomes.state_of(record)
            if record and known
            else {"digest": identity, "state": DOCUMENTS_KEPT}
        )
        return answer | {"documents": ["0x" + sha256_hex(body) for body in missing]}

    def _taken(self, connection: Connection, acts: Sequence[SignedAct]) -> JobResult[None]:
        """Accept in the writer's transaction. The department's limits, a catalogue entry and pinned versions are
        checked again, because another act or the deletion of a file may have come in between."""
        now = self.clock.utc()
        entries: list[NewEntry] = []
        for act in acts:
            must_have_room(connection, self.settings, self.deployment, act, now)
            if act.type in ENTRY_ACTS or any(b'"version"' in body for body in act.documents):
                _documents_fit(act, StoredCatalogue(connection, int(now.timestamp()), self.data))
            counted = self._counted(connection, act)
            awaits = must_wait(connection, self.data, act)
            entries += accept(connection, self.deployment, counted, now, awaits_file=awaits).entries
        return JobResult(None, entries)

    def _counted(self, connection: Connection, act: SignedAct) -> SignedAct:
        """A delegation from a counted grant gets the present total of that grant, signed by this service's attest
        key, so that the child's uses are deducted from all uses made. Every other act is returned unchanged."""
        if act.type != "Terms" or "chain" not in act.arguments or act.deadline is None:
            return act
        delegation = record_id(act.type, act.message)
        last = self.recorder.last_use(connection, act.message["parent"], delegation, act.deadline)
        return act if last is None else act.with_last_use(*last)

    def _must_be_acceptable(self, connection: Connection, act: SignedAct) -> list[Finding]:
        """The warnings; RefusedError if documents, deadline, signatures or authority of a new act are invalid."""
        now = self.clock.utc()
        _documents_fit(act, PublicCatalogue(connection, int(now.timestamp()), self.data))
        refused = check(connection, self.deployment, act, now, earliest=self.clock.earliest())
        if refused is not None:
            raise RefusedError(
                refused.code, refused.detail, {"member": refused.member} if refused.member else {}
            )
        warnings = _documents_fit(act, StoredCatalogue(connection, int(now.timestamp()), self.data))
        check_delegation(connection, act)
        earliest = int(now.timestamp()) + self.admission_delay
        if act.function.name == "proposeAdmission" and act.deadline is not None and act.deadline <= earliest:
            raise RefusedError(
                "act.deadline",
                in_both(
                    "the admission is ready at {ready} at the earliest, and the message may be used until {until}",
                    ready=in_both_zones(datetime.fromtimestamp(earliest, UTC)),
                    until=in_both_zones(datetime.fromtimestamp(act.deadline, UTC)),
                ),
                {"member": "deadline", "pointer": "/message/deadline"},
            )
        return warnings


def _documents_fit(act: SignedAct, catalogue: Catalogue) -> list[Finding]:
    """The warnings; RefusedError if a document contradicts the message, another document or the catalogue."""
    bodies = [orjson.loads(body) for body in act.documents]
    try:
        return must_fit(ActWithDocuments(act.type, act.message, bodies, act.arguments, catalogue))
    except DocumentRefused as refused:
        members = {"pointer": refused.pointer, "member": refused.member}
        raise RefusedError(
            refused.code, refused.message, {name: value for name, value in members.items() if value}
        ) from refused
