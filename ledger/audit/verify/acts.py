"""The signed acts of a bundle that its entries name: ``acts.ndjson``.

The first line is the deployment under which the acts were signed. Each later line is one act, in the order of the
entries. An entry names its act by the EIP-712 digest (``facts.act``), so the tree proves type and message. The
signatures must be over that digest, and one of their keys must be that of the officer in the entry. For an accepted act
that no event names yet, the entry of its acceptance (``facts.taken_act``) names it; this entry also names the call, so
the tree proves every byte. A note of the log in the manifest (``acts``) binds the whole file, including call data
without a signature.
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
"""The most bytes of a line. A batch of a thousand grants has half a megabyte."""

NO_ACTS = frozenset({"Used", "UseSkipped", "RevokeSkipped", "Deducted", "LogOpened", "EpochOpened"})
"""Events of acts that officers need not sign again after a loss: uses are restored from the log, the others concern the log."""

TAKEN, REFUSED, DENIES = "log:act:taken", "log:act:refused", "denies."
"""The types of the entries that record an accepted denying act and its refusal by the chain, and the prefix of the facts
``denies.N`` (kind, colon, target) that name what the act denies."""

_SUBJECTS = frozenset({"OfficerAdded", "OfficerRemoved"})
"""Events whose ``officer`` is the subject of the act, not its signer."""

_DEPLOYMENT: dict[str, type | tuple[type, ...]] = {"addresses": dict, "chain_id": int, "salt": str}
_ACT: dict[str, type | tuple[type, ...]] = {
    "act": str, "arguments": dict, "entry": int, "message": dict, "signatures": dict, "type": str,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BundledAct:
    """One act of the file. ``act`` is its id: the digest, with the suffix ``:activate`` for the second step of an
    admission. ``entry`` is the index of an entry that names it."""

    act: str
    entry: int
    type: str
    message: Mapping[str, Any]
    signatures: Mapping[str, Any]
    arguments: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The form in which an act is submitted."""
        return {
            "type": self.type,
            "message": self.message,
            "signatures": self.signatures,
            "arguments": self.arguments,
        }

    def line(self) -> bytes:
        """The line of the file, with its line end."""
        return act_line(self.to_json() | {"act": self.act, "entry": self.entry})


def acts_text(last: Checkpoint, digest: bytes) -> bytes:
    """The text that a log signs about the acts file of a bundle: its SHA-256 under the last head."""
    return f"{FORMAT}\n{last.origin}\n{last.size}\n{b64(last.root)}\n{digest.hex()}\n".encode()


def act_line(value: Mapping[str, Any]) -> bytes:
    """The only valid form of a line: JSON with sorted members, no spaces, UTF-8, and a line end."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def call_hash(data: bytes) -> str:
    """The name of a call in an entry: 0x and the Keccak-256 of its data in hex."""
    from eth_hash.auto import keccak

    return "0x" + keccak(data).hex()


@dataclass(slots=True)
class _Named:
    """What the entries state about one act. ``taken`` maps the index of an accepting entry to its officer and call."""

    entries: list[int] = field(default_factory=list)
    officers: set[str] = field(default_factory=set)
    governs: bool = False
    taken: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class NamedActs:
    """The acts that the entries of a log name."""

    _named: dict[str, _Named] = field(default_factory=dict)

    def take(self, index: int, event: Mapping[str, Any]) -> None:
        """Read one entry."""
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
        """Check that the act is the one that its entry names. Returns None, or the fault as code and sentence.

        ``deployment`` is that of the file; None when the packages for computing digests are not installed.
        """
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
        """Whether the act's entry records its acceptance and therefore names its call."""
        return act.entry in self._named.get(act.act, _Named()).taken

    def missing(self, found: Iterable[str]) -> tuple[int, int]:
        """The number of officers' acts that entries name and that are not in ``found``, and the number of all named."""
        governing = {act for act, named in self._named.items() if named.governs}
        return len(governing - set(found)), len(governing)


@dataclass(slots=True)
class ActsFile:
    """Reads the file line by line and computes its digest."""

    lines: Iterable[bytes]
    deployment: Mapping[str, Any] = field(default_factory=dict)
    _hash: Any = field(default_factory=sha256)

    def acts(self) -> Iterator[BundledAct]:
        """The acts in order. Raises `Tampered` for a line that is not in the form of `act_line`."""
        for number, line in enumerate(self.lines):
            self._hash.update(line + b"\n")
            value = _read_line(line, number)
            if not number:
                self.deployment = take(value, _DEPLOYMENT, ACTS, "the deployment")
                continue
            yield BundledAct(**take(value, _ACT, ACTS, f"line {number + 1}"))

    @property
    def digest(self) -> bytes:
        """SHA-256 of the lines read so far."""
        found: bytes = self._hash.digest()
        return found


def check_acts(lines: Iterable[bytes], named: NamedActs, signed: bytes, last: Checkpoint) -> list[str]:
    """Check a bundle's acts; returns remarks for the verdict.

    ``signed`` is the text of the log's note about the file. Raises `Tampered` when the note is of another file, or an act
    is not the one that its entry names.
    """
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
    """The remark that signed messages of named acts are missing; empty when none is."""
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
    """Whether the packages for encoding calls are installed."""
    try:
        import ledger.chain.contracts  # noqa: F401
    except ImportError:
        return False
    return True


def deployment_of(document: Mapping[str, Any], last: Checkpoint) -> Any:
    """The deployment that the file states; None when the packages for computing digests are not installed.

    Raises `Tampered` when it is not the deployment of the log.
    """
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
