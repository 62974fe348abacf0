"""Answers about the service, its log and its chain."""

from __future__ import annotations

from typing import Annotated, Literal

from api.http.spellings import Address, Hash, Key, Moment, one_of
from api.v1.answers.form import Absent, Answer
from ledger.worker import State

Seconds = int | float


class Trust(Answer):
    """The facts that callers and auditors pin."""

    version: int
    origin: str
    log_key: str
    gateway_key: Key
    chain_id: int
    salt: Hash
    contracts: dict[str, str]
    witnesses: list[str]
    quorum: int


class Clock(Answer):
    """``ok``, or the code of the doubt about the machine's clock; the clock ``says`` one time, and another is
    ``known`` from log and chain."""

    state: str
    says: Moment | Absent = None
    known: Moment | Absent = None


class Failure(Answer):
    """The last failure of a worker; it stays after the worker has recovered."""

    code: str
    time: Moment


class WorkerState(Answer):
    """The state of a worker; ``problem`` is a code."""

    state: State
    succeeded: Moment | None
    problem: str | None
    last_error: Failure | None


class PeriodicState(WorkerState):
    """The state of a worker that runs at intervals."""

    every_s: Seconds


class RetentionRule(Answer):
    """The retention time of entries of some types, in days; null: unlimited."""

    types: str
    openings_days: int | None
    leaves_days: int | None


class Retention(PeriodicState):
    """The retention rules and the state of the worker that erases."""

    rules: list[RetentionRule]
    files_days: int | None


class StampedHead(Answer):
    """A size of the log and the time at which it was known."""

    size: int
    time: Moment


class Timestamps(PeriodicState):
    """The timestamps of heads (RFC 3161)."""

    newest: StampedHead | None


class Upkeep(Answer):
    """The periodic tasks for the log."""

    retention: Retention
    timestamps: Timestamps | None
    cosignatures: PeriodicState | None


class LogWitness(Answer):
    """A witness of the log; ``cosigned`` is the newest head that it cosigned."""

    name: str
    key: str
    asked: Moment | None
    cosigned: StampedHead | None
    problem: str | None


class LogKey(Answer):
    """A key of the log, the first size that it signs, and the hand-over by its predecessor."""

    vkey: str
    from_size: int
    handover: str


class Anchored(Answer):
    """The newest head of the log on the chain."""

    size: int
    root: Hash
    block: int
    time: Moment


class Log(Answer):
    """The log, its newest head, and a newer head that a caller has sent."""

    origin: str
    size: int
    checkpoint: str
    keys: list[LogKey]
    anchored: Anchored | None
    newer_seen: str | None
    upkeep: Upkeep
    witnesses: list[LogWitness]


class Nodes(Answer):
    """The numbers of nodes that are asked, that must agree, and that agree."""

    configured: int
    needed: int
    agree: int


class Chain(Answer):
    """The chain as it was last seen; ``block_time`` is null and ``reached`` false if it does not answer."""

    id: int
    reached: bool
    block: int
    block_time: int | None
    followed: int
    level_at: Moment | None
    nodes: Nodes | None
    confirmations: int
    embedded: bool
    contracts: dict[str, Address]
    edition: int
    admission_delay: int


class HandOver(Answer):
    """The successor of the council, and the time of the hand-over (unix seconds)."""

    id: Hash | None
    successor: Address
    freeze_at: int
    hand_over_at: int


class Council(Answer):
    """The signers of the council; without members if the chain has not been followed that far."""

    epoch: int | Absent = None
    members: list[Address] | Absent = None
    threshold: int | Absent = None
    guardian: Address | Absent = None
    hand_over: HandOver | Absent | None = None


class Uses(Answer):
    """Uses that are not recorded on the chain yet."""

    grants: int
    uses: int
    since: Moment | None
    late: int


class LostAct(Answer):
    """An act that is in the log and not on the chain."""

    state: Annotated[str, one_of(("held", "signed-again", "gone"))]
    event: str
    kind: str | Absent = None
    target: str | Absent = None
    department: int
    entry: str
    index: int
    act: Hash | Absent = None


class Status(Answer):
    """Chain, log, contracts and workers of the service. ``work`` has the code of each failing worker,
    ``held`` the lost acts whose denials the service still applies."""

    service: Literal["civicledger"]
    version: str
    mode: str
    time: Moment
    clock: Clock
    work: dict[str, str | None]
    workers: dict[str, WorkerState]
    chain: Chain
    log: Log
    council: Council
    uses: Uses
    held: list[LostAct]
    gateway_key: Key


class Consistency(Answer):
    """RFC 6962: the log of size ``new`` begins with that of size ``old``; each hash in base64."""

    old: int
    new: int
    proof: list[str]


class Inclusion(Answer):
    """RFC 6962: the entry is in the log of this size."""

    index: int
    size: int
    proof: list[str]


class Cosigned(Answer):
    """Heads with the signatures of witnesses, the newest last."""

    checkpoints: list[str]


class Alive(Answer):
    """The process answers."""

    alive: Literal[True]


class Fault(Answer):
    """A part of the service and the code of its fault."""

    part: str
    code: str


class Ready(Answer):
    """Calls are decided and logged. ``warnings`` are faults that do not prevent it."""

    ready: Literal[True]
    warnings: list[Fault]
