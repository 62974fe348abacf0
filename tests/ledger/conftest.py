"""A small city on real contracts: people with keys, an embedded chain, a database, and the parts that connect
them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine
from sqlmodel import SQLModel

import ledger.store.tables.audit
import ledger.store.tables.calls
import ledger.store.tables.outbox
import ledger.store.tables.projection
import ledger.store.tables.requests  # noqa: F401
from ledger.audit.formats.checkpoint import Origin
from ledger.audit.formats.note import Signer
from ledger.audit.log.log import AuditLog
from ledger.audit.log.writer import GroupCommit, JobResult
from ledger.catalogue.metadata import parse_metadata
from ledger.chain.client import ChainClient, Receipt
from ledger.chain.contracts import calldata, deploy
from ledger.chain.deployment import Deployment, act_digest
from ledger.chain.embedded import EmbeddedChain, SimulatedClock, random_chain_id
from ledger.chain.messages import fields, struct_hash
from ledger.chain.signers import address_of, sign_digest
from ledger.chain.transactions import sign_transaction
from ledger.ids import asset_id
from ledger.outbox import Accepted, ActNotifier, Relayer, SignedAct, accept, check
from ledger.projection.follower import Follower
from ledger.store.engine import open_engine


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgresql"))])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Every test that asks for this runs on both engines."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_url"))


FOREVER = 2**40 - 1
UNLIMITED = 2**32 - 1
NO_PARENT = "0x" + "00" * 32
ADMIN, STEWARD, FINANCE, CDO, OVERSIGHT, EMERGENCY, BUREAU, ATTEST = 1, 2, 4, 8, 16, 32, 64, 256


def secret(name: str) -> bytes:
    """A key that belongs to a name."""
    return hashlib.sha256(f"key of {name}".encode()).digest()


def metadata(title: str = "Air quality", **changes: Any) -> dict[str, Any]:
    """A metadata document."""
    return {
        "title": {"en": title},
        "description": {"en": "for a test"},
        "schema": {"fields": [{"name": "pm25", "type": "number", "class": "plain"}]},
        "source": {"format": "csv", "sha256": "ab" * 32, "bytes": 10},
        "sharing": "conditional",
        "grade": "general",
        "contact": {"department": 7},
    } | changes


@dataclass
class City:
    """One installation: `chain`, `deployment`, `engine`, and acts by people named in words."""

    chain: ChainClient
    relayer_key: bytes
    deployment: Deployment
    engine: Engine
    log: AuditLog
    writer: GroupCommit
    clock: SimulatedClock | None = None
    council: tuple[str, ...] = ("mayor",)
    home: Path = Path()
    _salts: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # -- life

    def close(self) -> None:
        """Close everything, like a stopped service."""
        self.writer.close()
        self.engine.dispose()
        if isinstance(self.chain, EmbeddedChain):
            self.chain.close()

    def opened_at(self, home: Path) -> City:
        """The same city in a copy of its home, opened on an embedded chain that mines only when it is told to
        wait."""
        assert self.clock is not None
        clock = SimulatedClock(self.clock.now() + 10)
        chain = EmbeddedChain.open(home / "chain.sqlite", clock=clock)
        engine = open_engine(f"sqlite:///{home / 'ledger.db'}")
        log, writer = open_parts(engine, self.deployment)
        return City(chain, self.relayer_key, self.deployment, engine, log, writer, clock, self.council, home)

    # -- time and keys

    def now(self) -> int:
        """The chain's time, unix seconds."""
        return int(self.clock.now()) if self.clock else self.chain.head().timestamp

    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def sign(self, type_name: str, message: Mapping[str, Any], *names: str) -> list[str]:
        digest = act_digest(self.deployment, type_name, message)
        return ["0x" + sign_digest(secret(name), digest).hex() for name in names]

    # -- acts as JSON

    def act(self, type_name: str, message: Mapping[str, Any], *names: str, **more: Any) -> dict[str, Any]:
        """An act signed by these people, in this order."""
        full = {"deadline": self.now() + 3_600, **whole(type_name, message, names)}
        return {
            "type": type_name,
            "message": full,
            "signatures": self.sign(type_name, full, *names),
            **more,
        }

    def admission(self, number: int, **seats: int) -> dict[str, Any]:
        """A department admitted by the council, with people named ``<number>:<word>`` and their roles."""
        names = [f"{number}:{word}" for word in seats]
        people = [
            {"holder": address_of(secret(name)), "roles": roles, "notBefore": 0, "notAfter": FOREVER}
            for name, roles in zip(names, seats.values(), strict=True)
        ]
        key = {
            "key": "0x" + service_key(number).hex(),
            "hpke": "0x" + "22" * 32,
            "roles": 1,
            "notBefore": 0,
            "notAfter": FOREVER,
        }
        message = {
            "department": number,
            "recovery": address_of(secret(f"{number}:recovery")),
            "profile": hash_of(PROFILE),
            "seats": people,
            "serviceKeys": [key],
        }
        return self.act("Admission", message, *self.council, *names, documents=[PROFILE])

    def registration(self, department: int, sequence: int, **changes: Any) -> dict[str, Any]:
        """An asset registered by its department's steward."""
        document = metadata(**changes)
        hashed = parse_metadata(document)
        grades, sharing = ("general", "important", "core"), ("unconditional", "conditional", "none")
        message = {
            "asset": asset_id(department, sequence),
            "class": 1 + grades.index(document["grade"]),
            "sharing": 1 + sharing.index(document["sharing"]),
            "metadata": hashed.chain_hash,
        }
        return self.act("RegisterAsset", message, f"{department}:steward", documents=[document])

    def terms(self, asset: int, grantee: int, **changes: Any) -> dict[str, Any]:
        """Terms of a grant, with a separate agreement."""
        agreement = {"@type": "Agreement", "uid": f"urn:test:{next(self._salts)}"}
        return (
            {
                "asset": asset,
                "grantee": grantee,
                "right": 2,
                "notBefore": 0,
                "expiry": self.now() + 90 * 86_400,
                "maxUses": 100,
                "depth": 0,
                "deadline": self.now() + 3_600,
                "termsHash": hash_of(agreement),
                "parent": NO_PARENT,
                "salt": next(self._salts),
            }
            | changes
            | {"agreement": agreement}
        )

    def grant(self, asset: int, grantee: int, *names: str, **changes: Any) -> dict[str, Any]:
        """A grant by the steward of the asset's department, or by the people named."""
        more = {name: changes.pop(name) for name in ("arguments", "request") if name in changes}
        used = changes.pop("used", 0)
        message = self.terms(asset, grantee, **changes)
        agreement = message.pop("agreement")
        act = self.act(
            "Terms", message, *(names or (f"{asset >> 40}:steward",)), documents=[agreement], **more
        )
        above = act.get("arguments", {}).get("chain")
        return self.counted(act, used) if above and above[0]["maxUses"] != UNLIMITED else act

    def counted(self, delegation: dict[str, Any], used: int = 0) -> dict[str, Any]:
        """The delegation with the last total of its counted parent, like the service adds it."""
        last = self.act(
            "Use",
            {
                "grant": delegation["message"]["parent"],
                "total": used,
                "logHead": grant_id(delegation),
            },
            "7:machine",
        )
        return delegation | {
            "arguments": delegation["arguments"] | {"lastUse": last["message"]},
            "signatures": {"signatures": delegation["signatures"], "useSignature": last["signatures"]},
        }

    def revocation(self, grant: str, *names: str) -> dict[str, Any]:
        return self.act("Revoke", {"grant": grant, "reason": 1}, *names)

    def life(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Acts of many types, each valid once those before it have happened, under a name."""
        important, offered = AIR + 1, AIR + 2
        parent = self.grant(AIR, 9, depth=2, maxUses=50)
        yield "parent", parent
        yield (
            "child",
            self.grant(
                AIR,
                1,
                "9:steward",
                parent=grant_id(parent),
                depth=1,
                maxUses=20,
                expiry=parent["message"]["expiry"],
                arguments={"chain": [parent["message"]]},
            ),
        )
        ended = self.grant(AIR, 1)
        yield "ended", ended
        yield "revocation", self.revocation(grant_id(ended), "7:cdo")
        unsent = self.grant(AIR, 9)
        terms = {"t": unsent["message"]}
        yield "unsent", self.act("Cancel", {"grant": grant_id(unsent)}, "7:steward", arguments=terms)
        yield "important", self.registration(7, 13, grade="important")
        yield "grant of two", self.grant(important, 9, "7:steward", "7:cdo")
        yield "offered", self.registration(7, 14, sharing="unconditional")
        yield "offer", self.grant(offered, 0, maxUses=UNLIMITED)
        batch = [self.terms(AIR, 9), self.terms(AIR, 1)]
        agreements = [terms.pop("agreement") for terms in batch]
        yield "batch", self.act("GrantBatch", {"grants": batch}, "7:steward", documents=agreements)
        ids = ["0x" + struct_hash("Terms", terms).hex() for terms in batch]
        yield "revocations", self.act("RevokeBatch", {"grants": ids, "reason": 2}, "7:steward")
        newer = metadata("Air quality, corrected")
        version = {"asset": AIR, "version": 2, "metadata": parse_metadata(newer).chain_hash}
        yield "version", self.act("NewVersion", version, "7:steward", documents=[newer])
        grades = {"asset": AIR, "class": 2, "sharing": 2, "salt": 1}
        yield "grade", self.act("Reclassify", grades, "7:cdo")
        reason = {"reason": "0x" + "00" * 32, "salt": 1}
        yield "bar", self.act("SuspendAsset", {"asset": important, **reason}, "1:bureau")
        yield "unbar", self.act("LiftAsset", {"asset": important, **reason}, "1:bureau")
        emergency = {
            "asset": important,
            "grantee": 9,
            "reasonHash": hash_of(REASON),
            "until": self.now() + 7_200,
            "salt": 1,
        }
        broken = self.act("BreakGlass", emergency, "9:emergency", documents=[REASON])
        yield "emergency", broken
        opened = "0x" + struct_hash("BreakGlass", broken["message"]).hex()
        yield "ratified", self.act("Ratify", {"grant": opened}, "1:oversight")
        yield from self._later_life(parent, reason, offered)

    def _later_life(
        self, parent: Mapping[str, Any], reason: Mapping[str, Any], offered: int
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        right = {"asset": offered, "right": 3, "from": 7, "to": 9, "salt": 1}
        yield "transfer", self.act("TransferRight", right, "7:steward", "9:steward")
        use = {"grant": grant_id(parent), "total": 3, "logHead": "0x" + "55" * 32}
        yield "use", self.act("Use", use, "7:machine")
        for count in (1, 2):
            condition = {"condition": 7 << 40 | count, "kind": count, "commitment": "0x" + "77" * 32}
            yield f"condition {count}", self.act("OpenCondition", condition, "7:machine")
            bound = {"grant": grant_id(parent), "condition": 7 << 40 | count}
            yield f"bound {count}", self.act("BindCondition", bound, "7:cdo")
        over = {"condition": 7 << 40 | 2, "reason": 1}
        yield "condition over", self.act("CloseCondition", over, "7:machine")
        department = {"department": 1, **reason}
        yield "suspended", self.act("SuspendDepartment", department, "1:admin")
        yield "lifted", self.act("LiftDepartment", department, *self.council)
        old, new = (address_of(secret(name)) for name in ("7:steward", "7:steward-2"))
        yield "rotation", self.act("RotateKey", {"from": old, "to": new}, "7:steward", "7:steward-2")
        clerk = {
            "department": 9,
            "officer": address_of(secret("9:clerk")),
            "roles": FINANCE,
            "notBefore": 0,
            "notAfter": FOREVER,
        }
        yield "clerk", self.act("AddOfficer", clerk, "9:admin", "9:clerk")
        yield "no clerk", self.act("RemoveOfficer", {"officer": clerk["officer"]}, "9:admin")
        machine = clerk | {"key": address_of(secret("9:machine")), "roles": ATTEST}
        del machine["officer"]
        yield "machine", self.act("AddAttestKey", machine, "9:admin", "9:machine")
        yield "no machine", self.act("RemoveAttestKey", {"key": machine["key"]}, "9:admin")
        key = {"department": 9, "key": "0x" + service_key(9).hex()}
        yield "no key", self.act("RemoveServiceKey", key, "9:admin")
        another = {**key, "key": "0x" + "77" * 32, "hpke": "0x" + "22" * 32, "roles": 1}
        another |= {"notBefore": 0, "notAfter": FOREVER}
        yield "key", self.act("AddServiceKey", another, "9:admin")
        yield "pause", self.act("Pause", {"duration": 60, "salt": 1}, "guardian")
        yield "no pause", self.act("Unpause", {"salt": 1}, "guardian")
        yield "retired", self.act("RetireAsset", {"asset": offered}, "7:steward-2", "7:cdo")

    # -- directly to the chain, without the outbox

    def send(self, document: Mapping[str, Any], sender: bytes | None = None) -> Receipt:
        """Send an act to the contract with the relayer's key."""
        return self.chain.wait(self.hand_over(document, sender), timeout=20)

    def hand_over(self, document: Mapping[str, Any], sender: bytes | None = None) -> str:
        """As `send`, without waiting."""
        act = SignedAct.from_json(document)
        call = calldata(self.deployment, act.type, act.message, act.signatures, act.arguments)
        key = sender or self.relayer_key
        raw = sign_transaction(
            key,
            self.chain.chain_id,
            self.chain.nonce(address_of(key)),
            call.to,
            call.data,
            3_000_000,
            self.chain.fees(),
        )
        return self.chain.send(raw)

    def must(self, document: Mapping[str, Any]) -> Receipt:
        """Send an act to the contract, which must accept it."""
        receipt = self.send(document)
        assert receipt.succeeded, receipt.revert_data
        return receipt

    # -- through the outbox

    def accept(self, document: Mapping[str, Any]) -> Accepted:
        """Check and accept an act, like the gateway."""
        act = SignedAct.from_json(document)

        def job(connection: Any) -> JobResult[Accepted]:
            refused = check(connection, self.deployment, act, self.moment())
            assert refused is None, refused
            accepted = accept(connection, self.deployment, act, self.moment())
            return JobResult(accepted, accepted.entries)

        return self.writer.submit(job).result().value

    def relayer(self, notifier: ActNotifier | None = None, **options: Any) -> Relayer:
        return Relayer(
            self.writer,
            self.engine,
            self.chain,
            self.deployment,
            self.relayer_key,
            notifier=notifier,
            **options,
        )

    def follower(self, **options: Any) -> Follower:
        return Follower(self.writer, self.engine, self.chain, self.deployment, **options)

    def follow(self) -> None:
        """Follow the chain up to its head."""
        follower = self.follower()
        while follower.step():
            pass

    def found(self) -> None:
        """Departments 7 and 9, the bureau 1, and asset 7.12, directly on the chain."""
        self.must(self.admission(1, admin=ADMIN, bureau=BUREAU, oversight=OVERSIGHT))
        self.must(
            self.admission(7, admin=ADMIN, steward=STEWARD, cdo=CDO, oversight=OVERSIGHT, machine=ATTEST)
        )
        self.must(self.admission(9, admin=ADMIN, steward=STEWARD, emergency=EMERGENCY))
        self.must(self.registration(7, 12))


AIR = asset_id(7, 12)


def whole(type_name: str, message: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A message with the default members: the first council's epoch, and the department that stops an
    asset."""
    known = {one.name for one in fields(type_name)}
    said: dict[str, Any] = {"epoch": 1} if "epoch" in known and type_name != "ReplaceCouncil" else {}
    if type_name in ("SuspendAsset", "LiftAsset"):
        said["by"] = 2 if names[0].endswith(":bureau") else 1
    return said | dict(message)


def canonical(document: Mapping[str, Any]) -> bytes:
    import rfc8785

    return rfc8785.dumps(dict(document))


PROFILE = {"name": {"en": "A department", "zh": "部门"}, "kind": "department"}
REASON = {"reason": "a test"}


def hash_of(document: Mapping[str, Any]) -> str:
    """The hash of a document in a message."""
    return "0x" + hashlib.sha256(canonical(document)).hexdigest()


def grant_id(document: Mapping[str, Any]) -> str:
    """The id of the grant that an act creates."""
    return "0x" + struct_hash("Terms", document["message"]).hex()


def service_key(department: int) -> bytes:
    """The Ed25519 public key of a department's machine."""
    return hashlib.sha256(f"service key of {department}".encode()).digest()


@dataclass
class CityTools:
    """The helpers of this file, for tests that cannot import it."""

    AIR: int = AIR
    secret: Callable[[str], bytes] = secret
    metadata: Callable[..., dict[str, Any]] = metadata
    metadata_hash: str = parse_metadata(metadata("Air quality, corrected")).chain_hash
    grant_id: Callable[[Mapping[str, Any]], str] = grant_id
    service_key: Callable[[int], bytes] = service_key
    canonical: Callable[[Mapping[str, Any]], bytes] = canonical


@pytest.fixture(scope="session")
def tools() -> CityTools:
    return CityTools()


CityMaker = Callable[..., City]


def open_parts(engine: Engine, deployment: Deployment) -> tuple[AuditLog, GroupCommit]:
    """The audit log and its writer over a database."""
    SQLModel.metadata.create_all(engine)
    origin = Origin(deployment.chain_id, deployment.addresses["AuditAnchor"].lower(), 1)
    log = AuditLog.open(engine, Signer(str(origin), Ed25519PrivateKey.from_private_bytes(secret("log"))))
    return log, GroupCommit(engine, log)


@pytest.fixture
def make_city(tmp_path: Path) -> Iterator[CityMaker]:
    """Makes cities: over the embedded chain with a simulated clock, or over the chain given."""
    with ExitStack() as stack:
        numbers = itertools.count(1)

        def make(
            chain: ChainClient | None = None,
            relayer_key: bytes | None = None,
            council: Sequence[str] = ("mayor",),
            threshold: int = 1,
            found: bool = True,
            database_url: str | None = None,
            admission_delay: int = 0,
            clock: SimulatedClock | None = None,
        ) -> City:
            key = relayer_key or secret("relayer")
            home = tmp_path / f"city{next(numbers)}"
            home.mkdir()
            if chain is None:
                clock = clock or SimulatedClock()
                chain = stack.enter_context(
                    EmbeddedChain.create(
                        home / "chain.sqlite", random_chain_id(), address_of(key), clock=clock
                    )
                )
            deployment = deploy(
                chain,
                key,
                council=[address_of(secret(name)) for name in council],
                threshold=threshold,
                guardian=address_of(secret("guardian")),
                admission_delay=admission_delay,
                salt="0x" + "5a" * 32,
            )
            engine = open_engine(database_url or f"sqlite:///{home / 'ledger.db'}")
            stack.callback(engine.dispose)
            log, writer = open_parts(engine, deployment)
            stack.enter_context(writer)
            city = City(chain, key, deployment, engine, log, writer, clock, tuple(council), home)
            if found:
                city.found()
            return city

        yield make


@pytest.fixture
def city(make_city: CityMaker) -> City:
    """A founded city whose events have not been followed yet."""
    return make_city()
