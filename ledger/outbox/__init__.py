"""The durable outbox: it stores each accepted signed act once and sends it to the chain."""

from ledger.acts.act import ActError, ActPending, ActUnknown, SignedAct
from ledger.acts.refusal import ActRefused
from ledger.outbox.admissions import admission_delay, admission_of, proposal_of, steps_of
from ledger.outbox.check import check, simulate_act
from ledger.outbox.denials import PendingRevocations, pending_callers, pending_revocations
from ledger.outbox.notifier import ActNotifier
from ledger.outbox.relayer import Relayer
from ledger.outbox.store import Accepted, ActRecord, accept, document, find, on_its_way, store_document

__all__ = [
    "Accepted",
    "ActError",
    "ActNotifier",
    "ActPending",
    "ActRecord",
    "ActRefused",
    "ActUnknown",
    "PendingRevocations",
    "Relayer",
    "SignedAct",
    "accept",
    "admission_delay",
    "admission_of",
    "check",
    "document",
    "find",
    "on_its_way",
    "pending_callers",
    "pending_revocations",
    "proposal_of",
    "simulate_act",
    "steps_of",
    "store_document",
]
