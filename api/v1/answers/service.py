"""What the service says of itself, its log and its chain."""

from __future__ import annotations

from typing import Annotated, Literal

from api.http.spellings import Address, Hash, Key, Moment, one_of
from api.v1.answers.form import Absent, Answer
from ledger.worker import State

Seconds = int | float


class Trust(Answer):
    """What callers and auditors pin."""

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
    """``ok``, or the code of the doubt: what the machine's clock ``says``, and which time is ``known``."""

    state: str
    says: Moment | Absent = None
    known: Moment | Absent = None


class Failure(Answer):
    """The last failure of a worker, which stays after it has passed."""

    code: str
    time: Moment


class WorkerState(Answer):
    """How a worker goes; ``problem`` is a code."""

    state: State
    succeeded: Moment | None
    problem: str | None
    last_error: Failure | None


class PeriodicState(WorkerState):
    """The same of one that works at intervals."""

    every_s: Seconds


class RetentionRule(Answer):
    """How long entries of some types are kept, in days; null: for good."""

    types: str
    openings_days: int | None
    leaves_days: int | None


class Retention(PeriodicState):
    """What is erased when."""

    rules: list[RetentionRule]
    files_days: int | None


class StampedHead(Answer):
    """A size of the log and when it was known."""

    size: int
    time: Moment


class Timestamps(PeriodicState):
    """The timestamps of heads (RFC 3161)."""

    newest: StampedHead | None


class Upkeep(Answer):
    """What the service does for its log by itself."""

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
    """A key of the log, from which size on, and how its predecessor handed over."""

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
    """The log, its newest head, and a head that a caller has shown and that it does not reach."""

    origin: str
    size: int
    checkpoint: str
    keys: list[LogKey]
    anchored: Anchored | None
    newer_seen: str | None
    upkeep: Upkeep
    witnesses: list[LogWitness]


class Nodes(Answer):
    """How many nodes are asked, must agree, and agree."""

    configured: int
    needed: int
    agree: int


class Chain(Answer):
    """The chain as it was last seen; ``block_time`` null and ``reached`` false where it does not answer."""

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
    """To whom the council hands over, and when (unix seconds)."""

    id: Hash | None
    successor: Address
    freeze_at: int
    hand_over_at: int


class Council(Answer):
    """Who signs as the council; without members where the chain was not read that far."""

    epoch: int | Absent = None
    members: list[Address] | Absent = None
    threshold: int | Absent = None
    guardian: Address | Absent = None
    hand_over: HandOver | Absent | None = None


class Uses(Answer):
    """Uses that the chain does not have on record yet."""

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
    """Chain, log, contracts and work of the service. ``work`` has the code of what fails of each, ``held`` the lost acts
    whose effect is denied."""

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
