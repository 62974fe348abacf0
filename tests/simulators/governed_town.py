"""A town whose every act is handed in over HTTP: people named in words, and one act of every message type."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_hash.auto import keccak

from access_policy.templates import agreement, unconditional
from api.demo.cast import PASSPHRASE
from api.demo.process import ServiceProcess
from api.installation import initialise
from api.sdk.drafts import document_hash, metadata_document
from api.sdk.trust import Trust
from api.settings import Settings
from ledger.chain.contracts import Deployment, act_digest
from ledger.chain.messages import struct_hash
from ledger.chain.signers import address_of, sign_digest
from ledger.ids import asset_id, asset_iri, department_iri
from ledger.source_opening import seal

FOREVER, UNLIMITED = 2**40 - 1, 2**32 - 1
NO_HASH = "0x" + "00" * 32
ADMIN, STEWARD, FINANCE, CDO, OVERSIGHT, EMERGENCY, BUREAU, ATTEST = 1, 2, 4, 8, 16, 32, 64, 256
AIR, RIVER, OFFERED, WASTE, OLD = (asset_id(7, n) for n in range(1, 6))
PURPOSE = "dpv:PublicPolicyMaking"
POOL = 1 << 40 | 7
GRADES, SHARING = ("general", "important", "core"), ("unconditional", "conditional", "none")
OTHER_LOG, NEXT_LOG = "0x" + "01" * 32, "0x" + "02" * 32

Act = dict[str, Any]


def secret(name: str) -> bytes:
    """A key that belongs to a name."""
    return hashlib.sha256(f"key of {name}".encode()).digest()


@dataclass
class GovernedTown:
    """An installation whose council is one mayor; ``made`` keeps the acts by name, ``had`` names those recorded."""

    home: Path
    service: ServiceProcess
    trust: Trust
    deployment: Deployment
    made: dict[str, Act] = field(default_factory=dict)
    had: set[str] = field(default_factory=set)
    salts: Any = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def found(cls, home: Path) -> GovernedTown:
        council, guardian = address_of(secret("mayor")), address_of(secret("guardian"))
        options: dict[str, Any] = {"threshold": 1, "guardian": guardian, "admission_delay": 0, "mode": "demo"}
        initialise(Settings(home=home), PASSPHRASE, council=[council], **options)
        (home / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
        deployment = Deployment.from_json(json.loads((home / "civic.json").read_text())["deployment"])
        return cls(home, ServiceProcess(home), Trust.read(home / "trust.json"), deployment)

    def make(self, name: str) -> Act:
        """The act of this name, made once."""
        if name not in self.made:
            self.made[name] = LIFE[name](self)
        return self.made[name]

    def act(self, kind: str, message: Mapping[str, Any], *names: str, **more: Any) -> Act:
        """An act signed by these people, in this order."""
        full = {"deadline": int(time.time()) + 3_600, **message}
        digest = act_digest(self.deployment, kind, full)
        signed = ["0x" + sign_digest(secret(name), digest).hex() for name in names]
        return {"type": kind, "message": full, "signatures": signed, **more}

    def digest_of(self, act: Act) -> str:
        return "0x" + act_digest(self.deployment, act["type"], act["message"]).hex()

    def id_of(self, name: str) -> str:
        act = self.make(name)
        return "0x" + struct_hash(act["type"], act["message"]).hex()

    # -- acts with documents

    def admission(self, number: int, *names: str, **seats: int) -> Act:
        people = [
            {"holder": address_of(secret(f"{number}:{word}")), "roles": roles}
            for word, roles in seats.items()
        ]
        profile = {"name": {"en": f"Department {number}", "zh": f"部门 {number}"}, "kind": "department"}
        key = {"key": "0x" + service_key(number), "hpke": "0x" + "22" * 32, "roles": 1}
        term = {"notBefore": 0, "notAfter": FOREVER}
        message = {
            "department": number,
            "recovery": address_of(secret(f"{number}:recovery")),
            "profile": document_hash(profile),
            "seats": [person | term for person in people],
            "serviceKeys": [key | term],
        }
        signers = names or ("mayor", *(f"{number}:{word}" for word in seats))
        return self.act("Admission", message, *signers, documents=[profile])

    def entry(self, asset: int, title: str, grade: str = "general", sharing: str = "conditional") -> Act:
        digest = hashlib.sha256(f"{asset} {title}".encode()).hexdigest()
        return metadata_document(
            title={"en": title},
            description={"en": "for a test"},
            schema={"fields": [{"name": "pm25", "type": "number", "class": "plain"}]},
            source={"format": "csv", "sha256": digest, "bytes": 10},
            sharing=sharing,
            grade=grade,
            department=asset >> 40,
        )

    def registration(
        self, asset: int, title: str, grade: str = "general", sharing: str = "conditional", **more: Any
    ) -> Act:
        entry, opening = seal(self.entry(asset, title, grade, sharing))
        message = {
            "asset": asset,
            "class": 1 + GRADES.index(grade),
            "sharing": 1 + SHARING.index(sharing),
            "metadata": document_hash(entry),
        }
        kind = "DeriveAsset" if more else "RegisterAsset"
        return self.act(kind, message | more, f"{asset >> 40}:steward", documents=[entry, opening])

    def terms(
        self, asset: int, grantee: int, uses: int = 100, by: int = 7, **changes: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The signed slot, and its agreement."""
        expiry = changes.pop("expiry", int(time.time()) + 90 * 86_400)
        ends, assigner = datetime.fromtimestamp(expiry, UTC), department_iri(by)
        document = (
            agreement(
                assigner,
                department_iri(grantee),
                asset_iri(asset),
                columns=("pm25",),
                purposes=(PURPOSE,),
                expiry=ends,
                max_uses=uses,
            )
            if grantee
            else unconditional(assigner, asset_iri(asset), columns=("pm25",), expiry=ends)
        )
        slot = {
            "asset": asset,
            "grantee": grantee,
            "right": 2,
            "notBefore": 0,
            "expiry": expiry,
            "maxUses": uses if grantee else UNLIMITED,
            "depth": 0,
            "deadline": int(time.time()) + 3_600,
            "termsHash": document_hash(document),
            "parent": NO_HASH,
            "salt": next(self.salts),
        }
        return slot | changes, document

    def grant(self, asset: int, grantee: int, *names: str, arguments: Any = None, **changes: Any) -> Act:
        slot, document = self.terms(asset, grantee, **changes)
        more = {} if arguments is None else {"arguments": arguments}
        return self.act("Terms", slot, *(names or ("7:steward",)), documents=[document], **more)

    def batch(self, *grantees: int) -> Act:
        made = [self.terms(AIR, grantee) for grantee in grantees]
        grants = {"grants": [slot for slot, _ in made]}
        return self.act("GrantBatch", grants, "7:steward", documents=[document for _, document in made])

    def child(self, name: str, **changes: Any) -> Act:
        parent = self.make(name)["message"]
        more = {"parent": self.id_of(name), "depth": 1, "expiry": parent["expiry"], "by": 9} | changes
        return self.grant(AIR, 1, "9:steward", uses=10, arguments={"chain": [parent]}, **more)

    def reason(self, **members: Any) -> dict[str, Any]:
        return {"reason": document_hash({"reason": "a test"}), "salt": next(self.salts), **members}

    def rotation(self, kind: str, old: str, new: str, *names: str, **members: Any) -> Act:
        message = {"from": address_of(secret(old)), "to": address_of(secret(new)), **members}
        return self.act(kind, message, *names)

    # -- the pool

    def line(self) -> dict[str, Any]:
        return {"component": "0x" + keccak(b"storage").hex(), "debtor": 9, "creditor": 7, "amount": 5}

    def line_hash(self) -> str:
        line = self.line()
        values = [bytes.fromhex(line["component"][2:]), line["debtor"], line["creditor"], line["amount"]]
        return "0x" + _leaf(["bytes32", "uint24", "uint24", "int128"], values).hex()

    def nets(self) -> list[dict[str, int]]:
        return [{"department": 7, "amount": 5}, {"department": 9, "amount": -5}]

    def statement(self) -> Act:
        leaves = [_leaf(["uint24", "int128"], [net["department"], net["amount"]]) for net in self.nets()]
        message = {
            "pool": POOL,
            "period": 202611,
            "version": 1,
            "supersedes": NO_HASH,
            "lineRoot": self.line_hash(),
            "netRoot": "0x" + keccak(min(leaves) + max(leaves)).hex(),
            "debits": 5,
            "members": 2,
            "window": 86_400,
            "ruleHash": "0x" + "11" * 32,
            "inputRoot": "0x" + "12" * 32,
        }
        return self.act("CommitStatement", message, "1:finance")

    def dispute(self) -> Act:
        message = {"statement": self.id_of("statement"), "line": self.line_hash(), "reason": "0x" + "13" * 32}
        said = {"statement": self.make("statement")["message"], "line": self.line(), "proof": []}
        return self.act("Dispute", message, "9:finance", arguments=said)

    def dispute_closed(self) -> Act:
        message = {"dispute": self.id_of("dispute"), "reason": "0x" + "14" * 32}
        said = {
            "dispute": self.make("dispute")["message"],
            "statement": self.make("statement")["message"],
            "line": self.line(),
        }
        return self.act("CloseDispute", message, "9:finance", arguments=said)

    def finalised(self) -> Act:
        said = {"statement": self.make("statement")["message"], "nets": self.nets()}
        return self.act("Finalise", {"statement": self.id_of("statement")}, "1:finance", arguments=said)

    def council_of_two(self) -> Act:
        message = {
            "members": [address_of(secret("mayor")), address_of(secret("deputy"))],
            "threshold": 2,
            "guardian": address_of(secret("guardian")),
            "epoch": 2,
        }
        act = self.act("ReplaceCouncil", message, "mayor", "deputy")
        old, new = act["signatures"]
        return act | {"signatures": {"signatures": [old], "incoming": [old, new]}}

    def possession_of(self, name: str, *names: str) -> Act:
        """The second step of an admission that the council proposed."""
        proposed = self.make(name)
        signed = self.act("Admission", proposed["message"], *names, documents=proposed["documents"])
        return signed | {"signatures": {"possession": signed["signatures"]}}

    def proposed(self, number: int) -> Act:
        act = self.admission(number, "mayor", admin=ADMIN)
        return act | {"signatures": {"council": act["signatures"]}}


def service_key(department: int) -> str:
    return hashlib.sha256(f"service key of {department}".encode()).hexdigest()


def _leaf(types: list[str], values: list[Any]) -> bytes:
    return keccak(keccak(encode(types, values)))


def _seat(number: int, word: str, roles: int, member: str = "officer") -> dict[str, Any]:
    person = {"department": number, member: address_of(secret(f"{number}:{word}")), "roles": roles}
    return person | {"notBefore": 0, "notAfter": FOREVER}


LIFE: Mapping[str, Callable[[GovernedTown], Act]] = {
    "bureau": lambda t: t.admission(1, admin=ADMIN, bureau=BUREAU, oversight=OVERSIGHT, finance=FINANCE),
    "seven": lambda t: t.admission(
        7, admin=ADMIN, steward=STEWARD, cdo=CDO, oversight=OVERSIGHT, machine=ATTEST, finance=FINANCE
    ),
    "nine": lambda t: t.admission(
        9, admin=ADMIN, steward=STEWARD, emergency=EMERGENCY, finance=FINANCE, cdo=CDO
    ),
    "proposed": lambda t: t.proposed(12),
    "proposal cancelled": lambda t: t.act("CancelAdmission", {"admission": t.id_of("proposed")}, "mayor"),
    "proposed again": lambda t: t.proposed(13),
    "activated": lambda t: t.possession_of("proposed again", "13:admin"),
    "air": lambda t: t.registration(AIR, "Air"),
    "river": lambda t: t.registration(RIVER, "River", "important"),
    "offered": lambda t: t.registration(OFFERED, "Weather", sharing="unconditional"),
    "waste": lambda t: t.registration(WASTE, "Waste"),
    "old": lambda t: t.registration(OLD, "Old"),
    "grant": lambda t: t.grant(AIR, 9, depth=2),
    "delegated": lambda t: t.child("grant"),
    "offer": lambda t: t.grant(OFFERED, 0),
    "grant of two": lambda t: t.grant(RIVER, 9, "7:steward", "7:cdo"),
    "batch": lambda t: t.batch(1, 9),
    "use": lambda t: t.act(
        "Use", {"grant": t.id_of("grant"), "total": 3, "logHead": "0x" + "55" * 32}, "7:machine"
    ),
    "uses": lambda t: t.act(
        "UseBatch",
        {"uses": [{"grant": t.id_of("grant"), "total": 4}], "logHead": "0x" + "56" * 32},
        "7:machine",
    ),
    "use of the delegated": lambda t: t.act(
        "Use",
        {"grant": t.id_of("delegated"), "total": 1, "logHead": "0x" + "57" * 32},
        "7:machine",
        arguments={"chain": [t.make("delegated")["message"], t.make("grant")["message"]]},
    ),
    "derived": lambda t: t.registration(asset_id(9, 1), "Derived", parents=[AIR], under=[t.id_of("grant")]),
    "delegated revoked": lambda t: t.act(
        "Revoke",
        {"grant": t.id_of("delegated"), "reason": 1},
        "9:steward",
        arguments={"t": t.make("delegated")["message"]},
    ),
    "two to end": lambda t: t.batch(1, 9),
    "ended": lambda t: t.act(
        "RevokeBatch",
        {
            "grants": [
                "0x" + struct_hash("Terms", slot).hex() for slot in t.make("two to end")["message"]["grants"]
            ],
            "reason": 2,
        },
        "7:steward",
    ),
    "revoked": lambda t: t.act("Revoke", {"grant": t.id_of("grant of two"), "reason": 1}, "7:cdo"),
    "never": lambda t: t.act(
        "Cancel",
        {"grant": "0x" + struct_hash("Terms", (slot := t.terms(AIR, 9)[0])).hex()},
        "7:steward",
        arguments={"t": slot},
    ),
    "version": lambda t: (
        lambda sealed: t.act(
            "NewVersion",
            {"asset": WASTE, "version": 2, "metadata": document_hash(sealed[0])},
            "7:steward",
            documents=[*sealed],
        )
    )(seal(t.entry(WASTE, "Waste, corrected"))),
    "raised": lambda t: t.act(
        "Reclassify", {"asset": WASTE, "class": 2, "sharing": 2, "salt": next(t.salts)}, "7:cdo"
    ),
    "lowered": lambda t: t.act(
        "Reclassify",
        {"asset": WASTE, "class": 1, "sharing": 2, "salt": next(t.salts)},
        "7:steward",
        "7:cdo",
    ),
    "asset stopped": lambda t: t.act("SuspendAsset", t.reason(asset=RIVER), "1:bureau"),
    "asset lifted": lambda t: t.act("LiftAsset", t.reason(asset=RIVER), "1:bureau"),
    "retired": lambda t: t.act("RetireAsset", {"asset": OLD}, "7:steward"),
    "transfer": lambda t: t.act(
        "TransferRight",
        {"asset": OFFERED, "right": 3, "from": 7, "to": 9, "salt": next(t.salts)},
        "7:steward",
        "9:steward",
    ),
    "glass broken": lambda t: t.act(
        "BreakGlass",
        {
            "asset": RIVER,
            "grantee": 9,
            "reasonHash": "0x" + "66" * 32,
            "until": int(time.time()) + 7_200,
            "salt": next(t.salts),
        },
        "9:emergency",
    ),
    "ratified": lambda t: t.act("Ratify", {"grant": t.id_of("glass broken")}, "1:oversight"),
    "privilege": lambda t: t.act("RestorePrivilege", {"department": 9, "salt": next(t.salts)}, "mayor"),
    "department stopped": lambda t: t.act("SuspendDepartment", t.reason(department=13), "13:admin"),
    "department lifted": lambda t: t.act("LiftDepartment", t.reason(department=13), "mayor"),
    "officer": lambda t: t.act("AddOfficer", _seat(9, "clerk", FINANCE), "9:admin", "9:clerk"),
    "officer gone": lambda t: t.act("RemoveOfficer", {"officer": address_of(secret("9:clerk"))}, "9:admin"),
    "machine": lambda t: t.act("AddAttestKey", _seat(9, "machine", ATTEST, "key"), "9:admin", "9:machine"),
    "machine gone": lambda t: t.act("RemoveAttestKey", {"key": address_of(secret("9:machine"))}, "9:admin"),
    "key": lambda t: t.act(
        "AddServiceKey",
        {
            "department": 9,
            "key": "0x" + "77" * 32,
            "hpke": "0x" + "22" * 32,
            "roles": 1,
            "notBefore": 0,
            "notAfter": FOREVER,
        },
        "9:admin",
    ),
    "key gone": lambda t: t.act("RemoveServiceKey", {"department": 9, "key": "0x" + "77" * 32}, "9:admin"),
    "rotation": lambda t: t.rotation("RotateKey", "9:cdo", "9:cdo-2", "9:cdo", "9:cdo-2"),
    "recovery": lambda t: t.rotation(
        "Recover",
        "9:steward",
        "9:steward-2",
        *("9:recovery", "9:steward-2", "mayor"),
        department=9,
        salt=next(t.salts),
    ),
    "veto": lambda t: t.act(
        "VetoRecovery",
        {"recovery": t.id_of("recovery")},
        "9:steward",
        arguments={"from": address_of(secret("9:steward"))},
    ),
    "veto overridden": lambda t: t.act(
        "OverrideVeto",
        {"recovery": t.id_of("recovery")},
        "mayor",
        arguments={"from": address_of(secret("9:steward"))},
    ),
    "recovery key": lambda t: t.act(
        "SetRecoveryKey",
        {"department": 9, "recovery": address_of(secret("9:recovery-2")), "salt": next(t.salts)},
        "9:admin",
        "mayor",
    ),
    "log": lambda t: t.act("OpenLog", {"origin": OTHER_LOG, "operator": 7, "quorum": 0}, "mayor"),
    "head": lambda t: t.act(
        "TreeHead",
        {"origin": OTHER_LOG, "size": 4, "root": "0x" + "02" * 32},
        "7:machine",
        arguments={"proof": []},
    ),
    "epoch": lambda t: t.act(
        "NewEpoch",
        {
            "origin": OTHER_LOG,
            "lastSize": 4,
            "lastRoot": "0x" + "02" * 32,
            "newOrigin": NEXT_LOG,
            "operator": 7,
            "quorum": 0,
            "reason": "a test",
        },
        "mayor",
    ),
    "budget": lambda t: t.act(
        "SetBudget",
        {"pool": POOL, "department": 9, "deposited": 100, "withdrawn": 0, "voucher": "0x" + "15" * 32},
        "9:finance",
    ),
    "statement": GovernedTown.statement,
    "dispute": GovernedTown.dispute,
    "dispute closed": GovernedTown.dispute_closed,
    "final": GovernedTown.finalised,
    "pause": lambda t: t.act("Pause", {"duration": 60, "salt": next(t.salts)}, "guardian"),
    "pause over": lambda t: t.act("Unpause", {"salt": next(t.salts)}, "guardian"),
    "council": GovernedTown.council_of_two,
    "superseded": lambda t: t.act(
        "Supersede",
        {"successor": address_of(secret("successor")), "snapshotRoot": "0x" + "16" * 32},
        "mayor",
        "deputy",
    ),
}
"""Acts of every type by name, each valid once those before it are recorded."""

EARLY = frozenset({"final"})
"""Those that the contract takes only a day later: the dispute window of a statement is at least that long."""
