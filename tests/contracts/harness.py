"""A real chain (eth-tester on py-evm, Prague), the built contracts, and anybody's signature on any message.

``conftest.py`` registers this module as ``contracts_harness``, because the tests folder has no packages:
``from contracts_harness import City, Key, Reverted``.

Two traps of eth-tester are dealt with here. A transaction with explicit gas does not raise when it reverts: ``send``
calls first, which gives the error and costs no block. It takes the time of a block from the machine, when the block before it is
mined: here each block is one second after the last, ``now`` is the time that the next transaction will see, and
``travel`` moves it. Everything is the same on every run, gas included.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import coincurve
import rlp
from eth_abi import decode, encode
from eth_hash.auto import keccak
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.exceptions import TransactionFailed
from eth_utils import to_canonical_address, to_checksum_address

from contracts.artifacts import eip712_domain, eip712_types, load
from tests.simulators.successor import successor_code

ADMIN, STEWARD, FINANCE, CDO, OVERSIGHT, EMERGENCY, BUREAU = (1 << i for i in range(7))
ATTEST, WITNESS, GATEWAY = 1 << 8, 1 << 9, 1 << 10
READER, AUDITOR, CITY_AUDITOR = 1, 2, 4
HOLD, USE, OPERATE = 1, 2, 3
GENERAL, IMPORTANT, CORE = 1, 2, 3
UNCONDITIONAL, CONDITIONAL, NOT_SHARED = 1, 2, 3
UNLIMITED, FOREVER = 2**32 - 1, 2**40 - 1
HOUR, DAY = 3600, 86_400
ZERO = bytes(32)
NOBODY = "0x" + "00" * 20

ROLES = {
    "admin": ADMIN,
    "steward": STEWARD,
    "finance": FINANCE,
    "cdo": CDO,
    "oversight": OVERSIGHT,
    "emergency": EMERGENCY,
    "bureau": BUREAU,
    "attest": ATTEST,
    "witness": WITNESS,
    "gateway": GATEWAY,
}

GAS_LIMIT = 29_000_000
START = 1_767_225_600
"""The genesis of every chain, 2026-01-01 UTC, so that signatures, and the gas of calldata, are the same each
time."""


class Reverted(Exception):
    """The transaction reverted with this error of the ABI (``Unknown`` if the data name none)."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{name}{arguments}")
        self.name = name
        self.arguments = arguments


@contextmanager
def refused(error: str) -> Iterator[None]:
    """The block must revert with this error of the ABI."""
    try:
        yield
    except Reverted as reverted:
        if reverted.name != error:
            raise AssertionError(f"refused with {reverted}, not with {error}") from reverted
    else:
        raise AssertionError(f"not refused; {error} was to come")


# ---- Keys and messages -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A secp256k1 key, derived from its label."""

    label: str

    @cached_property
    def private(self) -> coincurve.PrivateKey:
        return coincurve.PrivateKey(hashlib.sha256(self.label.encode()).digest())

    @cached_property
    def address(self) -> str:
        point = self.private.public_key.format(compressed=False)[1:]
        return to_checksum_address(keccak(point)[-20:])

    def sign(self, digest: bytes) -> bytes:
        """65 bytes r || s || v over a digest."""
        signature = self.private.sign_recoverable(digest, hasher=None)
        return signature[:64] + bytes([27 + signature[64]])


def atom(kind: str, value: Any) -> bytes:
    """One member by EIP-712's encodeData: 32 bytes."""
    if kind.endswith("[]"):
        return keccak(b"".join(atom(kind[:-2], item) for item in value))
    if kind in eip712_types():
        return struct_hash(kind, value)
    if kind == "string":
        return keccak(value.encode())
    if kind == "bytes":
        return keccak(value)
    if kind == "bytes32":
        return bytes(value)
    if kind == "address":
        return bytes(12) + to_canonical_address(value)
    return int(value).to_bytes(32, "big")


@cache
def type_hash(name: str) -> bytes:
    """The hash of a type's string, followed by its referenced types in alphabetical order."""
    types = eip712_types()
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in types and one not in reached:
            reached.add(one)
            waiting.extend(member["type"].removesuffix("[]") for member in types[one])
    text = "".join(
        f"{one}({','.join(m['type'] + ' ' + m['name'] for m in types[one])})"
        for one in [name, *sorted(reached - {name})]
    )
    return keccak(text.encode())


def struct_hash(name: str, message: Mapping[str, Any]) -> bytes:
    """EIP-712 hashStruct."""
    members = eip712_types()[name]
    return keccak(type_hash(name) + b"".join(atom(m["type"], message[m["name"]]) for m in members))


def separator(contract: str, chain_id: int, address: str, salt: bytes) -> bytes:
    """The domain separator of a contract of that name."""
    domain = {**eip712_domain(contract), "chainId": chain_id, "verifyingContract": address, "salt": salt}
    return struct_hash("EIP712Domain", domain)


# ---- The chain -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """A decoded log: ``args`` by name."""

    name: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Receipt:
    """The result of a transaction."""

    gas_used: int
    events: list[Event]
    block_number: int

    def only(self, name: str) -> dict[str, Any]:
        """The arguments of the one event of that name."""
        found = [event.args for event in self.events if event.name == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} events {name} in {[e.name for e in self.events]}")
        return found[0]


def _type(parameter: Mapping[str, Any]) -> str:
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return "(" + ",".join(_type(c) for c in parameter["components"]) + ")" + kind.removeprefix("tuple")


def _encodable(parameter: Mapping[str, Any], value: Any) -> Any:
    """Structs may be given as dictionaries by member name."""
    kind = parameter["type"]
    if kind.endswith("[]"):
        inner = {**parameter, "type": kind[:-2]}
        return [_encodable(inner, item) for item in value]
    if kind == "tuple":
        items = [value[c["name"]] for c in parameter["components"]] if isinstance(value, Mapping) else value
        return tuple(_encodable(c, item) for c, item in zip(parameter["components"], items, strict=True))
    return value


def _named(parameters: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> dict[str, Any]:
    return {p["name"]: _readable(p, value) for p, value in zip(parameters, values, strict=True)}


def _readable(parameter: Mapping[str, Any], value: Any) -> Any:
    kind = parameter["type"]
    if kind.endswith("[]"):
        return [_readable({**parameter, "type": kind[:-2]}, item) for item in value]
    if kind == "tuple":
        return _named(parameter["components"], value)
    return to_checksum_address(value) if kind == "address" else value


class Abi:
    """Encodes calls; decodes answers, logs and errors."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.constructor = next((e["inputs"] for e in entries if e["type"] == "constructor"), [])
        self.functions = {e["name"]: e for e in entries if e["type"] == "function"}
        self.events = {keccak(self._signature(e)): e for e in entries if e["type"] == "event"}
        self.errors = {keccak(self._signature(e))[:4]: e for e in entries if e["type"] == "error"}

    @staticmethod
    def _signature(entry: Mapping[str, Any]) -> bytes:
        return f"{entry['name']}({','.join(_type(i) for i in entry['inputs'])})".encode()

    def selector(self, function: str) -> bytes:
        return keccak(self._signature(self.functions[function]))[:4]

    def data(self, function: str, arguments: Sequence[Any]) -> bytes:
        inputs = self.functions[function]["inputs"]
        return self.selector(function) + self.parameters(inputs, arguments)

    def parameters(self, inputs: Sequence[Mapping[str, Any]], arguments: Sequence[Any]) -> bytes:
        values = [_encodable(i, a) for i, a in zip(inputs, arguments, strict=True)]
        return encode([_type(i) for i in inputs], values)

    def answer(self, function: str, data: bytes) -> Any:
        outputs = self.functions[function]["outputs"]
        values = decode([_type(o) for o in outputs], data)
        readable = [_readable(o, value) for o, value in zip(outputs, values, strict=True)]
        return readable[0] if len(readable) == 1 else tuple(readable)

    def event(self, topics: Sequence[bytes], data: bytes) -> Event | None:
        entry = self.events.get(topics[0])
        if entry is None:
            return None
        indexed = [i for i in entry["inputs"] if i["indexed"]]
        plain = [i for i in entry["inputs"] if not i["indexed"]]
        values = _named(indexed, [decode([_type(i)], t)[0] for i, t in zip(indexed, topics[1:], strict=True)])
        values |= _named(plain, decode([_type(i) for i in plain], data))
        return Event(entry["name"], values)

    def error(self, data: bytes) -> Reverted:
        entry = self.errors.get(data[:4])
        if entry is None:
            return Reverted("Unknown", (data,))
        values = decode([_type(i) for i in entry["inputs"]], data[4:])
        return Reverted(
            entry["name"], tuple(_readable(i, v) for i, v in zip(entry["inputs"], values, strict=True))
        )


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)


@dataclass
class Contract:
    """A deployed contract and its EIP-712 domain."""

    name: str
    address: str
    abi: Abi
    separator: bytes

    def digest(self, message: str, value: Mapping[str, Any]) -> bytes:
        """The signed digest: keccak256(0x1901 || domain separator || struct hash)."""
        return keccak(b"\x19\x01" + self.separator + struct_hash(message, value))


_LEDGER = Abi(load("SharingLedger").abi)


class Chain:
    """An EthereumTester with one relayer that only pays for transactions."""

    def __init__(self) -> None:
        parameters = PyEVMBackend.generate_genesis_params(
            overrides={"gas_limit": 60_000_000, "timestamp": START}
        )
        self.tester = EthereumTester(PyEVMBackend(genesis_parameters=parameters))
        self.relayer = self.tester.get_accounts()[0]
        self.chain_id = int(self.tester.backend.chain.chain_id)
        self.now = START + 1
        """The time that the next transaction will see."""

    def travel(self, seconds: int) -> None:
        """Advance the time."""
        self.now += seconds

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """Undo all changes of the block at its end."""
        snapshot, now = self.tester.take_snapshot(), self.now
        try:
            yield
        finally:
            self.tester.revert_to_snapshot(snapshot)
            self.now = now

    def deploy(self, name: str, arguments: Sequence[Any], salt: bytes, code: bytes | None = None) -> Contract:
        """A contract of the artifacts, or other creation code with the same ABI (a mutant)."""
        artifact = load(name)
        abi = Abi(artifact.abi)
        address = self.create(abi, (code or artifact.bytecode) + abi.parameters(abi.constructor, arguments))
        return Contract(name, address, abi, separator(name, self.chain_id, address, salt))

    def create(self, abi: Abi, data: bytes) -> str:
        """A contract from its creation code and arguments: its address."""
        request = {"data": "0x" + data.hex()}
        self._call(abi, request)
        return to_checksum_address(self._transact(request)["contract_address"])

    def deploy_ledger(
        self, arguments: Sequence[Any], salt: bytes, codes: Mapping[str, bytes] | None = None
    ) -> Contract:
        """Deploy the parts, which name the ledger's future address, and then the sharing ledger."""
        codes = codes or load("SharingLedger").creation_codes()
        parts = list(load("SharingLedger").parts)
        home, behind = self.address_after(len(parts)), "0x" + "00" * 20
        for part in parts:
            behind = self.part(codes[part], salt, home, behind)
        return self.deploy("SharingLedger", [*arguments, salt, behind], salt, codes["SharingLedger"])

    def send(self, contract: Contract, function: str, *arguments: Any) -> Receipt:
        """Send a transaction; ``Reverted``, and no block, if it would fail."""
        request = {"to": contract.address, "data": "0x" + contract.abi.data(function, arguments).hex()}
        self._call(contract.abi, request)
        receipt = self._transact(request)
        events = []
        for log in receipt["logs"]:
            event = contract.abi.event([_bytes(t) for t in log["topics"]], _bytes(log["data"]))
            if event is None:
                raise AssertionError(f"a log that no ABI entry explains: {log}")
            events.append(event)
        return Receipt(receipt["gas_used"], events, receipt["block_number"])

    def call(self, contract: Contract, function: str, *arguments: Any) -> Any:
        """Call a view in the block of the next transaction."""
        request = {"to": contract.address, "data": "0x" + contract.abi.data(function, arguments).hex()}
        return contract.abi.answer(function, self._call(contract.abi, request))

    def part(self, code: bytes, salt: bytes, home: str, behind: str) -> str:
        """A part of the ledger at ``home``, which forwards to the part ``behind`` it."""
        return self.create(_LEDGER, code + encode(["bytes32", "address", "address"], [salt, home, behind]))

    def address_after(self, transactions: int) -> str:
        """The address of the contract that the relayer creates after this many transactions."""
        sender = to_canonical_address(self.relayer)
        return to_checksum_address(keccak(rlp.encode([sender, self.nonce() + transactions]))[-20:])

    def nonce(self) -> int:
        """The nonce of the relayer's next transaction."""
        return int(self.tester.backend.chain.get_vm().state.get_nonce(to_canonical_address(self.relayer)))

    def code_size(self, address: str) -> int:
        return len(_bytes(self.tester.get_code(address)))

    def storage(self, contract: Contract, slot: int) -> bytes:
        """The stored word of a slot."""
        backend = self.tester.backend
        value = backend.chain.get_vm().state.get_storage(to_canonical_address(contract.address), slot)
        return int(value).to_bytes(32, "big")

    def settle(self) -> None:
        """Mine an empty block: a rewind to it is cheap, because eth-tester executes the block that it rewinds
        to again."""
        self._stamp()
        self.tester.mine_block()
        self.now += 1

    def _transact(self, request: dict[str, Any]) -> Any:
        self._stamp()
        hashed = self.tester.send_transaction({**self._base, **request})
        self.now += 1
        receipt = self.tester.get_transaction_receipt(hashed)
        if not receipt["status"]:
            raise AssertionError("the transaction failed, and the same call did not")
        return receipt

    @property
    def _base(self) -> dict[str, Any]:
        return {"from": self.relayer, "gas": GAS_LIMIT, "gas_price": 10**9 + 7, "value": 0}

    def _stamp(self) -> None:
        chain = self.tester.backend.chain
        chain.header = chain.header.copy(timestamp=self.now)

    def _call(self, abi: Abi, request: dict[str, Any]) -> bytes:
        self._stamp()
        try:
            return _bytes(self.tester.call({**self._base, **request}, "pending"))
        except TransactionFailed as failure:
            raise abi.error(_revert_data(failure)) from None


def _revert_data(failure: TransactionFailed) -> bytes:
    """eth-tester returns the revert data as the text of a bytes literal."""
    (argument,) = failure.args
    if isinstance(argument, bytes):
        return argument
    if isinstance(argument, str) and argument[:2] in ("b'", 'b"'):
        import ast

        return bytes(ast.literal_eval(argument))
    return (
        _bytes(argument)
        if isinstance(argument, str) and argument.startswith("0x")
        else str(argument).encode()
    )


# ---- A city ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Department:
    """A department in which every role has a separate key."""

    number: int
    keys: dict[str, Key] = field(default_factory=dict)

    def __getattr__(self, role: str) -> Key:
        try:
            return self.keys[role]
        except KeyError:
            raise AttributeError(role) from None


SALT = hashlib.sha256(b"deployment salt").digest()


class City:
    """A deployed ledger with a council of three (two sign), a guardian, and departments that hold every role."""

    def __init__(
        self,
        chain: Chain,
        *,
        admission_delay: int = 0,
        salt: bytes = SALT,
        codes: Mapping[str, bytes] | None = None,
    ) -> None:
        self.chain = chain
        self.salt = salt
        self.epoch = 1
        """The epoch of the council; a replacement increments it."""
        self.admission_delay = admission_delay
        self.members = [Key(f"council {i}") for i in range(3)]
        self.guardian = Key("guardian")
        addresses = [member.address for member in self.members]
        self.ledger = chain.deploy_ledger([addresses, 2, self.guardian.address, admission_delay], salt, codes)
        self.departments: dict[int, Department] = {}
        self._salts = itertools.count(1)

    # -- Messages --

    @property
    def now(self) -> int:
        return self.chain.now

    def fresh_salt(self) -> int:
        """A new number each time, as wide as a real salt."""
        return int.from_bytes(hashlib.sha256(str(next(self._salts)).encode()).digest()[:8], "big")

    def message(self, kind: str, **members: Any) -> dict[str, Any]:
        """A message with a deadline in an hour and a new salt, if its type has them."""
        names = {member["name"] for member in eip712_types()[kind]}
        defaults = {
            "deadline": self.now + HOUR,
            "salt": self.fresh_salt() if "salt" in names else None,
            "epoch": self.epoch,
        }
        complete = {**{k: v for k, v in defaults.items() if k in names}, **members}
        if set(complete) != names:
            raise AssertionError(f"{kind} needs {sorted(names)}, got {sorted(complete)}")
        return complete

    def sign(
        self, kind: str, message: Mapping[str, Any], *keys: Key, contract: Contract | None = None
    ) -> list[bytes]:
        digest = (contract or self.ledger).digest(kind, message)
        return [key.sign(digest) for key in keys]

    def council(self, kind: str, message: Mapping[str, Any]) -> list[bytes]:
        """A quorum's signatures."""
        return self.sign(kind, message, *self.members[:2])

    def send(self, function: str, *arguments: Any) -> Receipt:
        return self.chain.send(self.ledger, function, *arguments)

    def call(self, function: str, *arguments: Any) -> Any:
        return self.chain.call(self.ledger, function, *arguments)

    # -- Acts that most tests begin with --

    def admit(
        self, number: int, roles: Sequence[str] = tuple(ROLES), service_keys: Sequence[dict[str, Any]] = ()
    ) -> Department:
        """A department with one key for each role."""
        department = Department(number, {role: Key(f"{number} {role}") for role in (*roles, "recovery")})
        seats = [
            {
                "holder": department.keys[role].address,
                "roles": ROLES[role],
                "notBefore": 0,
                "notAfter": FOREVER,
            }
            for role in roles
        ]
        message = self.message(
            "Admission",
            department=number,
            recovery=department.recovery.address,
            profile=keccak(b"profile %d" % number),
            seats=seats,
            serviceKeys=list(service_keys),
            deadline=self.now + self.admission_delay + HOUR,
        )
        possession = self.sign("Admission", message, *(department.keys[role] for role in roles))
        if self.admission_delay:
            self.send("proposeAdmission", message, self.council("Admission", message))
            self.chain.travel(self.admission_delay)
            self.send("activate", message, possession)
        else:
            self.send("admit", message, self.council("Admission", message), possession)
        self.departments[number] = department
        return department

    def asset_id(self, department: int, sequence: int) -> int:
        return department << 40 | sequence

    def register(self, asset: int, class_: int = GENERAL, sharing: int = CONDITIONAL) -> int:
        """An asset of the department in its id, signed by its steward."""
        message = self.message(
            "RegisterAsset",
            **{"asset": asset, "class": class_, "sharing": sharing, "metadata": keccak(b"metadata")},
        )
        steward = self.departments[asset >> 40].steward
        self.send("registerAsset", message, *self.sign("RegisterAsset", message, steward))
        return asset

    def terms(self, asset: int, grantee: int, **members: Any) -> dict[str, Any]:
        """Terms of a day's use from now on."""
        defaults = {
            "asset": asset,
            "grantee": grantee,
            "right": USE,
            "notBefore": self.now,
            "expiry": self.now + DAY,
            "maxUses": 100,
            "depth": 0,
            "termsHash": hashlib.sha256(b"the agreement").digest(),
            "parent": ZERO,
        }
        return self.message("Terms", **{**defaults, **members})

    def quorum(
        self, kind: str, message: Mapping[str, Any], department: int, class_: int = GENERAL
    ) -> list[bytes]:
        """STEWARD and CDO of one department and BUREAU of another, as many as the class requires."""
        one = self.departments[department]
        other = self.departments[2 if department == 1 else 1]
        return self.sign(kind, message, *[one.steward, one.cdo, other.bureau][:class_])

    def grant(self, terms: Mapping[str, Any], class_: int = GENERAL) -> bytes:
        """Grants by the department in the asset's id; returns the grant id."""
        self.send("grant", terms, self.quorum("Terms", terms, terms["asset"] >> 40, class_))
        return struct_hash("Terms", terms)

    def delegate(
        self, terms: Mapping[str, Any], chain: Sequence[Mapping[str, Any]], class_: int = GENERAL
    ) -> bytes:
        """Delegates by the grantee of the parent, which is the first of the chain."""
        signatures = self.quorum("Terms", terms, chain[0]["grantee"], class_)
        if chain[0]["maxUses"] == UNLIMITED:
            self.send("delegate", terms, list(chain), signatures)
        else:
            parent = terms["parent"]
            total = self.call("grantOf", parent)["uses"]
            last = self.message("Use", grant=parent, total=total, logHead=struct_hash("Terms", terms))
            attest = self.departments[terms["asset"] >> 40].attest
            self.send(
                "delegateCounted", terms, list(chain), last, signatures, *self.sign("Use", last, attest)
            )
        return struct_hash("Terms", terms)

    def revoke(self, grant: bytes, signer: Key, reason: int = 0) -> Receipt:
        message = self.message("Revoke", grant=grant, reason=reason)
        return self.send("revoke", message, *self.sign("Revoke", message, signer))

    def sole(self, function: str, kind: str, key: Key, **members: Any) -> Receipt:
        """An act that one signature (``bytes``) authorises."""
        message = self.message(kind, **members)
        return self.send(function, message, *self.sign(kind, message, key))

    def joint(self, function: str, kind: str, *keys: Key, **members: Any) -> Receipt:
        """An act that several signatures (``bytes[]``) authorise, or one officer in the council's place."""
        message = self.message(kind, **members)
        return self.send(function, message, self.sign(kind, message, *keys))

    def seat(
        self, authority: Sequence[Key], department: int, newcomer: Key, roles: int, **members: Any
    ) -> Receipt:
        """Adds an officer or attest key, with its own signature."""
        machine = roles >= ATTEST
        kind, name = ("AddAttestKey", "key") if machine else ("AddOfficer", "officer")
        message = self.message(
            kind,
            **{
                "department": department,
                name: newcomer.address,
                "roles": roles,
                "notBefore": 0,
                "notAfter": FOREVER,
                **members,
            },
        )
        function = "addAttestKey" if machine else "addOfficer"
        return self.send(
            function, message, self.sign(kind, message, *authority), *self.sign(kind, message, newcomer)
        )

    def pair(self, department: int) -> list[Key]:
        """The signers that together seat a STEWARD: the department's ADMIN and its STEWARD."""
        keys = self.departments[department]
        return [keys.admin, keys.steward]

    def suspend(self, asset: int, key: Key, by: int = 1) -> Receipt:
        """Stop an asset: ``by`` 1 its holder, 2 the data bureau."""
        return self.sole("suspendAsset", "SuspendAsset", key, asset=asset, by=by, reason=ZERO)

    def successor(self) -> str:
        """A contract that names the ledger as its predecessor, and does nothing else."""
        return self.chain.create(self.ledger.abi, successor_code(self.ledger.address))

    def hand_over(self, successor: str, *, freeze: int = HOUR, then: int = HOUR, **members: Any) -> bytes:
        """Announce a hand-over by the council: the freeze in ``freeze`` seconds, the hand-over ``then``
        seconds later; return its id."""
        at = self.now + freeze
        times = {"freezeAt": at, "handOverAt": at + then}
        message = self.message("HandOver", **{"successor": successor, **times, **members})
        self.send("announceHandOver", message, self.council("HandOver", message))
        return struct_hash("HandOver", message)

    def use(self, grant: bytes, total: int, key: Key) -> Receipt:
        message = self.message("Use", grant=grant, total=total, logHead=keccak(b"log head"))
        return self.send("use", message, *self.sign("Use", message, key))


def example_city(chain: Chain) -> City:
    """Departments 1, 2 and 3 hold every role; 1 has assets of each class: 1.1 general, 1.2 important, 1.3 core."""
    city = City(chain)
    for number in (1, 2, 3):
        city.admit(number)
    for class_ in (GENERAL, IMPORTANT, CORE):
        city.register(city.asset_id(1, class_), class_)
    chain.settle()
    return city
