"""The signed acts that a bundle carries beside the entries that name them: ``acts.ndjson``.

The first line is the deployment under which they were signed, each later line one act, in the order of the entries. An
entry names its act by the EIP-712 digest (``facts.act``), so the tree proves type and message. The signatures must be
signatures over that digest, and the officer whom the entry names must be among their keys. An act that was taken and that
no event names yet stands at the entry which took it (``facts.taken_act``); that one names the call as well, so the tree
proves every byte. The file as a whole, with the call data that nobody signs, is bound by a note of the log in the manifest
(``acts``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from languages.texts import in_both
from ledger.audit.formats.checkpoint import Checkpoint
from ledger.audit.formats.note import b64
from ledger.audit.verify.strict import read_once, take
from ledger.audit.verify.verdict import tampered
from ledger.counts import counted
from ledger.ids import ACTIVATION

ACTS = "acts.ndjson"
FORMAT = "civic-log-acts/1"
MAX_ACT = 1 << 22
"""Bytes of a line: a batch of a thousand grants has half a megabyte."""

NO_ACTS = frozenset({"Used", "UseSkipped", "RevokeSkipped", "Deducted", "LogOpened", "EpochOpened"})
"""Events that no officer is asked to sign again: counted elsewhere, or about the log itself."""

TAKEN, REFUSED, DENIES = "log:act:taken", "log:act:refused", "denies."
"""Entries that an act was taken which denies something (each ``denies.N`` is a kind, a colon and a target), and that the
chain did not take it."""

_SUBJECTS = frozenset({"OfficerAdded", "OfficerRemoved"})
"""Events whose ``officer`` is whom the act is about, not who signed."""

_DEPLOYMENT: dict[str, type | tuple[type, ...]] = {"addresses": dict, "chain_id": int, "salt": str}
_ACT: dict[str, type | tuple[type, ...]] = {
    "act": str, "arguments": dict, "entry": int, "message": dict, "signatures": dict, "type": str,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BundledAct:
    """One act of the file: its id (the digest, with ``:activate`` behind it for the second step of an admission) and the
    index of an entry that names it."""

    act: str
    entry: int
    type: str
    message: Mapping[str, Any]
    signatures: Mapping[str, Any]
    arguments: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The form in which an act is handed in."""
        return {
            "type": self.type,
            "message": self.message,
            "signatures": self.signatures,
            "arguments": self.arguments,
        }

    def line(self) -> bytes:
        """The line of the file."""
        return act_line(self.to_json() | {"act": self.act, "entry": self.entry})


def acts_text(last: Checkpoint, digest: bytes) -> bytes:
    """What a log signs about the acts file (SHA-256) of a bundle under its last head."""
    return f"{FORMAT}\n{last.origin}\n{last.size}\n{b64(last.root)}\n{digest.hex()}\n".encode()


def act_line(value: Mapping[str, Any]) -> bytes:
    """Sorted members, no spaces, UTF-8: the one spelling of a line, with its end."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def call_hash(data: bytes) -> str:
    """How an entry names the call that carries a taken act: 0x and the Keccak-256 of its data in hex."""
    from eth_hash.auto import keccak

    return "0x" + keccak(data).hex()


@dataclass(slots=True)
class _Named:
    """``taken``: by the index of an entry that took the act, the officer and the call that it names."""

    entries: list[int] = field(default_factory=list)
    officers: set[str] = field(default_factory=set)
    governs: bool = False
    taken: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class NamedActs:
    """The acts that the entries of a log name."""

    _named: dict[str, _Named] = field(default_factory=dict)

    def take(self, index: int, event: Mapping[str, Any]) -> None:
        """Look at an entry."""
        facts = event.get("facts")
        taken = event.get("type") == TAKEN
        act = facts.get("taken_act" if taken else "act") if isinstance(facts, dict) else None
        if not isinstance(facts, dict) or not isinstance(act, str):
            return
        named = self._named.setdefault(act, _Named())
        if taken:
            named.taken[index] = str(event.get("officer")).lower(), str(facts.get("call"))
            named.governs = True
            return
        named.entries.append(index)
        name = str(facts.get("event"))
        named.governs = named.governs or name not in NO_ACTS
        officer = facts.get("arg.by", facts.get("arg.officer"))
        if not isinstance(officer, str) or len(officer) != 42 or name in _SUBJECTS:
            return
        if officer.strip("0x"):
            named.officers.add(officer.lower())

    def fault(self, act: BundledAct, deployment: Any) -> tuple[str, str] | None:
        """Why the act is not the one that its entry names, as code and sentence; None when it is. ``deployment`` is that
        of the file, None where this Python cannot compute digests."""
        named = self._named.get(act.act, _Named())
        officer, call = named.taken.get(act.entry, (None, None))
        if call is None and act.entry not in named.entries:
            return "acts.foreign", f"no entry {act.entry} names the act {act.act[:80]}"
        if deployment is None:
            return None
        found = _unsigned(act, named.officers if officer is None else {officer}, deployment)
        if found or call is None or not _can_encode():
            return found
        return _not_taken(act, call, deployment)

    def takes(self, act: BundledAct) -> bool:
        """Whether the act's entry is one that took it, and so names its call."""
        return act.entry in self._named.get(act.act, _Named()).taken

    def missing(self, found: Iterable[str]) -> tuple[int, int]:
        """How many acts of officers are named and not among these, and how many are named."""
        governing = {act for act, named in self._named.items() if named.governs}
        return len(governing - set(found)), len(governing)


@dataclass(slots=True)
class ActsFile:
    """Reads the file line by line, and hashes it on its way."""

    lines: Iterable[bytes]
    deployment: Mapping[str, Any] = field(default_factory=dict)
    _hash: Any = field(default_factory=sha256)

    def acts(self) -> Iterator[BundledAct]:
        """The acts in their order; a finding for a line that is not spelled as it would be written."""
        for number, line in enumerate(self.lines):
            self._hash.update(line + b"\n")
            value = _read_line(line, number)
            if not number:
                self.deployment = take(value, _DEPLOYMENT, ACTS, "the deployment")
                continue
            yield BundledAct(**take(value, _ACT, ACTS, f"line {number + 1}"))

    @property
    def digest(self) -> bytes:
        """SHA-256 of what was read."""
        found: bytes = self._hash.digest()
        return found


def check_acts(lines: Iterable[bytes], named: NamedActs, signed: bytes, last: Checkpoint) -> list[str]:
    """The remarks about a bundle's acts; a finding where the file is not the one that the log signed (``signed`` is the
    text of its note), or an act is not the one that an entry names."""
    file, found, entry, taken = ActsFile(lines), set[str](), -1, 0
    deployment: Any = None
    for act in file.acts():
        if not found:
            deployment = deployment_of(file.deployment, last)
        if act.act in found or act.entry <= entry:
            raise tampered("acts.repeated", "an act stands there twice, or not in its place", ACTS, act.entry)
        if (fault := named.fault(act, deployment)) is not None:
            raise tampered(fault[0], fault[1], ACTS, act.entry)
        found.add(act.act)
        entry = act.entry
        taken += named.takes(act)
    if acts_text(last, file.digest) != signed:
        raise tampered("acts.changed", "the acts are not those that the log signed", ACTS)
    return [*missing_acts(named, found), *_unchecked(len(found), taken, deployment)]


def missing_acts(named: NamedActs, found: Iterable[str]) -> list[str]:
    """The remark that acts are named whose signed messages are not there."""
    missing, every = named.missing(found)
    if not missing:
        return []
    return [f"the signed messages of {missing} of {every} acts that entries name are not in the bundle"]


def _unchecked(found: int, taken: int, deployment: Any) -> list[str]:
    if found and deployment is None:
        return [
            in_both(
                "the digests and signatures of {acts} acts were not checked: that needs the whole of civic",
                acts=found,
            )
        ]
    if taken and deployment is not None and not _can_encode():
        return [
            f"the calls of {counted(taken, 'taken act')} were not checked: that needs the extra verify-chain"
        ]
    return []


@cache
def _can_encode() -> bool:
    """Whether this Python has what it takes to make the data of a call."""
    try:
        import ledger.chain.contracts  # noqa: F401
    except ImportError:
        return False
    return True


def deployment_of(document: Mapping[str, Any], last: Checkpoint) -> Any:
    """The deployment that the file states, which must be that of the log; None where digests cannot be computed."""
    try:
        from ledger.chain import signers  # noqa: F401
        from ledger.chain.deployment import Deployment
    except ImportError:
        return None
    chain_id, anchor = last.origin.split("/")[-3:-1]
    try:
        deployment = Deployment.from_json({**document, "block": 0})
        same = str(deployment.chain_id) == chain_id and deployment.addresses["AuditAnchor"].lower() == anchor
    except (KeyError, TypeError, ValueError, AttributeError):
        same = False
    if not same:
        raise tampered("acts.foreign", "the acts are of another deployment than the log", ACTS)
    return deployment


def _unsigned(act: BundledAct, officers: set[str], deployment: Any) -> tuple[str, str] | None:
    from ledger.chain.deployment import act_digest
    from ledger.chain.messages import MessageError
    from ledger.chain.signers import SignatureError, recover

    try:
        digest = act_digest(deployment, act.type, act.message)
    except (MessageError, LookupError, RecursionError, UnicodeError) as malformed:
        return "acts.changed", f"the act of entry {act.entry} is not of its type: {str(malformed)[:200]}"
    if "0x" + digest.hex() != act.act.removesuffix(ACTIVATION):
        return "acts.changed", f"the act is not the one that entry {act.entry} names"
    try:
        signers = {
            recover(digest, bytes.fromhex(one.removeprefix("0x"))).lower()
            for given in act.signatures.values()
            for one in given
        }
    except (SignatureError, ValueError, TypeError, AttributeError) as malformed:
        return "acts.signature", f"a signature of the act of entry {act.entry} does not hold: {malformed}"
    if not signers or not officers <= signers:
        return "acts.signature", f"the officer whom entry {act.entry} names did not sign this act"
    return None


def _not_taken(act: BundledAct, call: str, deployment: Any) -> tuple[str, str] | None:
    from ledger.chain.contracts import calldata
    from ledger.chain.messages import MessageError

    try:
        signatures = {
            slot: [bytes.fromhex(one.removeprefix("0x")) for one in given]
            for slot, given in act.signatures.items()
        }
        data = calldata(deployment, act.type, act.message, signatures, act.arguments).data
    except (MessageError, LookupError, TypeError, ValueError, RecursionError) as malformed:
        return "acts.changed", f"the act of entry {act.entry} fits no call: {str(malformed)[:200]}"
    if call_hash(data) != call:
        return "acts.changed", f"the act is not carried by the call that entry {act.entry} names"
    return None


def _read_line(line: bytes, number: int) -> Any:
    try:
        value = read_once(line)
        again = act_line(value) if isinstance(value, dict) else b""
    except (ValueError, RecursionError) as error:
        raise tampered("bundle.malformed", f"line {number + 1} is not JSON: {error}", ACTS) from error
    if again != line + b"\n":
        raise tampered("bundle.malformed", f"line {number + 1} is not in canonical form", ACTS)
    return value
