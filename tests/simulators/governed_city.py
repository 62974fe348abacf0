"""A city whose acts are all submitted over HTTP: people named in words, and one act of every message type."""

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

from access_policy.terms.templates import agreement, unconditional
from api.demo.participants import PASSPHRASE
from api.demo.process import ServiceProcess
from api.operator.installation import initialise
from api.protocol.keystore import open_secp256k1
from api.protocol.trust import Trust
from api.runtime.settings import Settings
from api.sdk.drafts import document_hash, metadata_document
from contracts.codes import MAY_DERIVE
from ledger.audit.formats.source_opening import seal
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.embedded import EmbeddedChain
from ledger.chain.messages import fields, struct_hash
from ledger.chain.signers import address_of, sign_digest
from ledger.ids import asset_id, asset_iri, department_iri
from tests.simulators.successor import deployed, successor_code

FOREVER, UNLIMITED = 2**40 - 1, 2**32 - 1
NOTHING = "0x" + "00" * 32
ADMIN, STEWARD, FINANCE, CDO, OVERSIGHT, EMERGENCY, BUREAU, ATTEST = 1, 2, 4, 8, 16, 32, 64, 256
GATEWAY = 1024
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
class GovernedCity:
    """An installation whose council has one member, the mayor; ``made`` holds the acts by name, ``had`` the
    names of the recorded ones."""

    home: Path
    service: ServiceProcess
    trust: Trust
    deployment: Deployment
    successor: str
    """A contract that names the ledger as its predecessor, and does nothing else."""
    made: dict[str, Act] = field(default_factory=dict)
    had: set[str] = field(default_factory=set)
    signed: dict[str, str] = field(default_factory=dict)
    """The signer of each signature."""
    salts: Any = field(default_factory=lambda: itertools.count(1))

    @classmethod
    def found(cls, home: Path, admission_delay: int = 0) -> GovernedCity:
        council, guardian = address_of(secret("mayor")), address_of(secret("guardian"))
        options: dict[str, Any] = {"threshold": 1, "guardian": guardian, "mode": "demo"}
        initialise(
            Settings(home=home), PASSPHRASE, council=[council], admission_delay=admission_delay, **options
        )
        (home / "keys" / "demo-passphrase").write_text(PASSPHRASE + "\n")
        deployment = Deployment.from_json(json.loads((home / "civic.json").read_text())["deployment"])
        successor = _successor_to(home, deployment)
        return cls(home, ServiceProcess(home), Trust.read(home / "trust.json"), deployment, successor)

    def make(self, name: str) -> Act:
        """The act of this name, created once."""
        if name not in self.made:
            self.made[name] = LIFE[name](self)
        return self.made[name]

    def act(self, kind: str, message: Mapping[str, Any], *names: str, **more: Any) -> Act:
        """An act signed by these people, in this order."""
        full = {"deadline": int(time.time()) + 3_600, **message}
        if kind != "ReplaceCouncil" and any(one.name == "epoch" for one in fields(kind)):
            full.setdefault("epoch", 1)
        digest = act_digest(self.deployment, kind, full)
        signed = ["0x" + sign_digest(self.secret(name), digest).hex() for name in names]
        self.signed |= zip(signed, names, strict=True)
        return {"type": kind, "message": full, "signatures": signed, **more}

    def signers_of(self, act: Act) -> list[str]:
        """The signers of an act, in the order of its signatures."""
        slots = act["signatures"]
        given = [one for slot in slots.values() for one in slot] if isinstance(slots, dict) else slots
        return list(dict.fromkeys(self.signed[one] for one in given))

    def secret(self, name: str) -> bytes:
        """A key that belongs to a name; ``1:gateway`` is the service's own attest key."""
        if name != "1:gateway":
            return secret(name)
        return open_secp256k1(self.home / "keys" / "attest.json", PASSPHRASE)

    def digest_of(self, act: Act) -> str:
        return "0x" + act_digest(self.deployment, act["type"], act["message"]).hex()

    def id_of(self, name: str) -> str:
        act = self.make(name)
        return "0x" + struct_hash(act["type"], act["message"]).hex()

    # -- acts with documents

    def admission(self, number: int, *names: str, **seats: int) -> Act:
        people = [
            {"holder": address_of(self.secret(f"{number}:{word}")), "roles": roles}
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
        derive = changes.pop("derive", False)
        ends, assigner = datetime.fromtimestamp(expiry, UTC), department_iri(by)
        document = (
            agreement(
                assigner,
                department_iri(grantee),
                asset_iri(asset),
                columns=("pm25",),
                actions=("read", "derive") if derive else ("read",),
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
            "parent": NOTHING,
            "salt": next(self.salts),
        }
        slot |= changes
        return slot | {"depth": slot["depth"] | (MAY_DERIVE if derive else 0)}, document

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

    def counted(self, delegation: Act, parent: str, total: int) -> Act:
        """A delegation that contains the last total of its counted parent."""
        identifier = "0x" + struct_hash("Terms", delegation["message"]).hex()
        last = self.act("Use", {"grant": parent, "total": total, "logHead": identifier}, "7:machine")
        return delegation | {
            "arguments": delegation["arguments"] | {"lastUse": last["message"]},
            "signatures": {"signatures": delegation["signatures"], "useSignature": last["signatures"]},
        }

    def reasoned(self, kind: str, message: Mapping[str, Any], *names: str, **more: Any) -> Act:
        """An act that names the document with its reason."""
        paper = self.paper("reason")
        return self.act(kind, {"reason": document_hash(paper), **message}, *names, documents=[paper], **more)

    def paper(self, what: str) -> dict[str, Any]:
        """A separate document, because one that was submitted before is not missing."""
        return {what: f"of a test, {next(self.salts)}"}

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

    def statement(self) -> Act:
        message = {
            "pool": POOL,
            "period": 202611,
            "version": 1,
            "supersedes": NOTHING,
            "lineRoot": self.line_hash(),
            "lines": 1,
            "debits": 5,
            "members": 2,
            "window": 86_400,
            "ruleHash": "0x" + "11" * 32,
            "inputRoot": "0x" + "12" * 32,
        }
        return self.act("CommitStatement", message, "1:finance")

    def objection(self) -> Act:
        said = {"statement": self.make("statement")["message"]}
        return self.reasoned("Objection", {"statement": self.id_of("statement")}, "9:finance", arguments=said)

    def shown(self) -> Act:
        said = {"statement": self.make("statement")["message"], "lines": [self.line()]}
        return self.act("ShowLines", {"statement": self.id_of("statement")}, "1:finance", arguments=said)

    def dispute(self) -> Act:
        message = {"statement": self.id_of("statement"), "line": self.line_hash()}
        said = {"statement": self.make("statement")["message"], "line": self.line(), "proof": []}
        return self.reasoned("Dispute", message, "9:finance", arguments=said)

    def dispute_closed(self) -> Act:
        message = {"dispute": self.id_of("dispute")}
        said = {
            "dispute": self.make("dispute")["message"],
            "statement": self.make("statement")["message"],
            "line": self.line(),
        }
        return self.reasoned("CloseDispute", message, "9:finance", arguments=said)

    def finalised(self) -> Act:
        said = {"statement": self.make("statement")["message"], "lines": [self.line()]}
        message = {"statement": self.id_of("statement")}
        return self.act("Finalise", message, "1:finance", "1:oversight", arguments=said)

    def glass_broken(self) -> Act:
        paper = self.paper("reason")
        message = {"asset": RIVER, "grantee": 9, "reasonHash": document_hash(paper)}
        message |= {"until": int(time.time()) + 7_200, "salt": next(self.salts)}
        return self.act("BreakGlass", message, "9:emergency", documents=[paper])

    def budget(self) -> Act:
        paper = self.paper("voucher")
        message = {"pool": POOL, "department": 9, "deposited": 100, "withdrawn": 0}
        message |= {"voucher": document_hash(paper)}
        return self.act("SetBudget", message, "9:finance", documents=[paper])

    def condition(self, sequence: int) -> Act:
        message = {
            "condition": asset_id(7, sequence),
            "kind": 2,
            "commitment": document_hash({"case": sequence, "salt": "of a test"}),
        }
        return self.act("OpenCondition", message, "7:steward")

    def condition_closed(self) -> Act:
        """With a Revoke that was signed before."""
        revoke = self.act("Revoke", {"grant": self.id_of("newer"), "reason": 2}, "7:steward")
        signature = revoke["signatures"][0][2:]
        split = {"r": "0x" + signature[:64], "s": "0x" + signature[64:128], "v": int(signature[128:], 16)}
        return self.act(
            "CloseCondition",
            {"condition": asset_id(7, 2), "reason": 2},
            "7:steward",
            arguments={"revoke": revoke["message"] | split},
        )

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


def _successor_to(home: Path, deployment: Deployment) -> str:
    """Deployed on the home's chain while no service runs."""
    relayer = open_secp256k1(home / "keys" / "relayer.json", PASSPHRASE)
    with EmbeddedChain.open(home / "chain.sqlite") as chain:
        return deployed(chain, relayer, successor_code(deployment.addresses["SharingLedger"]))


def service_key(department: int) -> str:
    return hashlib.sha256(f"service key of {department}".encode()).hexdigest()


def _leaf(types: list[str], values: list[Any]) -> bytes:
    return keccak(keccak(encode(types, values)))


def _seat(number: int, word: str, roles: int, member: str = "officer") -> dict[str, Any]:
    person = {"department": number, member: address_of(secret(f"{number}:{word}")), "roles": roles}
    return person | {"notBefore": 0, "notAfter": FOREVER}


LIFE: Mapping[str, Callable[[GovernedCity], Act]] = {
    "bureau": lambda t: t.admission(
        1, admin=ADMIN, bureau=BUREAU, oversight=OVERSIGHT, finance=FINANCE, gateway=ATTEST | GATEWAY
    ),
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
    "grant": lambda t: t.grant(AIR, 9, depth=2, derive=True),
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
        "Use", {"grant": t.id_of("delegated"), "total": 1, "logHead": "0x" + "57" * 32}, "7:machine"
    ),
    "delegated with its total": lambda t: t.counted(t.child("grant"), t.id_of("grant"), 4),
    "uses corrected": lambda t: t.act(
        "CorrectUses",
        {"grant": t.id_of("grant"), "total": 2, "salt": next(t.salts)},
        "7:steward",
        "9:steward",
    ),
    "derived": lambda t: t.registration(asset_id(9, 1), "Derived", parents=[AIR], under=[t.id_of("grant")]),
    "newer": lambda t: t.grant(AIR, 9, depth=2, derive=True),
    "parent renewed": lambda t: t.act(
        "RenewParent", {"asset": asset_id(9, 1), "parent": AIR, "under": t.id_of("newer")}, "9:steward"
    ),
    "replaced": lambda t: t.act(
        "ReplaceGrant", {"grant": t.id_of("grant"), "by": t.id_of("newer")}, "7:steward"
    ),
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
    "asset stopped": lambda t: t.reasoned(
        "SuspendAsset", {"asset": RIVER, "by": 2, "salt": next(t.salts)}, "1:bureau"
    ),
    "asset lifted": lambda t: t.reasoned(
        "LiftAsset", {"asset": RIVER, "by": 2, "salt": next(t.salts)}, "1:bureau"
    ),
    "retired": lambda t: t.act("RetireAsset", {"asset": OLD}, "7:steward", "7:cdo"),
    "transfer": lambda t: t.act(
        "TransferRight",
        {"asset": OFFERED, "right": 3, "from": 7, "to": 9, "salt": next(t.salts)},
        "7:steward",
        "9:steward",
    ),
    "glass broken": GovernedCity.glass_broken,
    "ratified": lambda t: t.act("Ratify", {"grant": t.id_of("glass broken")}, "1:oversight"),
    "privilege": lambda t: t.act(
        "RestorePrivilege", {"department": 9, "grants": [], "salt": next(t.salts)}, "mayor"
    ),
    "department stopped": lambda t: t.reasoned(
        "SuspendDepartment", {"department": 13, "salt": next(t.salts)}, "13:admin"
    ),
    "department lifted": lambda t: t.reasoned(
        "LiftDepartment", {"department": 13, "salt": next(t.salts)}, "mayor"
    ),
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
    "recovery called off": lambda t: t.act(
        "CancelRecovery",
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
        arguments={"proof": []},
    ),
    "budget": GovernedCity.budget,
    "statement": GovernedCity.statement,
    "objection": GovernedCity.objection,
    "lines shown": GovernedCity.shown,
    "dispute": GovernedCity.dispute,
    "dispute closed": GovernedCity.dispute_closed,
    "final": GovernedCity.finalised,
    "condition": lambda t: t.condition(1),
    "other condition": lambda t: t.condition(2),
    "bound": lambda t: t.act(
        "BindCondition", {"grant": t.id_of("newer"), "condition": asset_id(7, 1)}, "7:steward"
    ),
    "condition over": lambda t: t.act(
        "CloseCondition", {"condition": asset_id(7, 1), "reason": 1}, "7:machine"
    ),
    "other condition over": GovernedCity.condition_closed,
    "pause": lambda t: t.act("Pause", {"duration": 60, "salt": next(t.salts)}, "guardian"),
    "pause over": lambda t: t.act("Unpause", {"salt": next(t.salts)}, "guardian"),
    "council": GovernedCity.council_of_two,
    "hand-over": lambda t: t.act(
        "HandOver",
        {
            "successor": t.successor,
            "freezeAt": int(time.time()) + 3_600,
            "handOverAt": int(time.time()) + 9_000,
        }
        | {"epoch": 2},
        "mayor",
        "deputy",
    ),
    "hand-over called off": lambda t: t.act(
        "CallOffHandOver", {"handOver": t.id_of("hand-over"), "epoch": 2}, "mayor", "deputy"
    ),
}
"""Acts of every type by name, each valid once those before it are recorded."""

EARLY = frozenset({"final"})
"""The acts that the contract accepts only a day later, because the dispute window of a statement is at least
that long."""
