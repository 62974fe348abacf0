"""Storage words of SharingLedger (service keys, seats, assets, departments, grants) and of Conditions (conditions and their
bindings to grants).

Reading a slot takes a third of a millisecond, a view four (py-evm). The bits are those of ``contracts/src/types``, and a
test compares them with the views; the slots are those of the compiler's storage layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from eth_abi.abi import decode
from eth_hash.auto import keccak

from contracts.artifacts import load
from contracts.codes import AssetStatus, ConditionStatus, DepartmentStatus, SeatFlag
from ledger.chain.client import Address, ChainClient
from ledger.chain.code_words import word_of
from ledger.chain.deployment import FIRST_EDITION, Deployment

_STORAGE = load("SharingLedger").storage
SEATS, STANDINGS, ASSETS, GRANTS = (
    _STORAGE[f"_{name}"] for name in ("seats", "standings", "assets", "grants")
)
SERVICE_KEYS, REPLACED_BY = _STORAGE["_serviceKeys"], _STORAGE["_replacedBy"]
"""Slots of the mappings in ``LedgerState``."""
FIRST_SERVICE_KEYS = 12
"""The slot of the service keys in the first edition; the words are the same."""
BINDINGS, CONDITIONS = 0, 1
"""Slots of the mappings in ``Conditions``; its words are those of ``types/BindingWord.sol`` and ``ConditionWord.sol``."""
CONDITIONS_MAX = 4

ASSET_STATUS = {number.value: word_of(number) for number in AssetStatus}
STANDING = {number.value: word_of(number) for number in DepartmentStatus}

_TIME = (1 << 40) - 1
_ASSET_VIEW = keccak(b"asset(uint64)")[:4]


@dataclass(frozen=True, slots=True)
class KeyState:
    """A service key on chain. ``roles`` are bits, 0 for an unknown key. ``standing`` is that of its department. Times are
    unix seconds; ``not_after`` is inclusive."""

    roles: int
    not_before: int
    not_after: int
    removed: bool
    standing: str

    def in_force(self, now: datetime) -> bool:
        """Whether the key may call at ``now``."""
        in_time = self.not_before <= now.timestamp() <= self.not_after
        return bool(self.roles) and not self.removed and in_time and self.standing == "active"


@dataclass(frozen=True, slots=True)
class SeatState:
    """The seat of an officer or attest key. ``department`` is 0 for an address without a seat. ``gone`` means removed or
    rotated out. Times are unix seconds; ``not_after`` is inclusive."""

    department: int
    roles: int
    not_before: int
    not_after: int
    gone: bool

    def in_office(self, now: datetime) -> bool:
        """Whether the seat may sign at ``now``."""
        return (
            bool(self.department) and not self.gone and self.not_before <= now.timestamp() <= self.not_after
        )


@dataclass(frozen=True, slots=True)
class AssetState:
    """An asset on chain. ``status`` is also ``suspended`` for a derived asset with a stopped ancestor."""

    holder: int
    processor: int
    operator: int
    version: int
    status: str


class Slots:
    """Reads slots and caches them, so an instance is used for one block. Thread-safe.

    The slots are read after ``block``; by default after the newest.
    """

    def __init__(self, client: ChainClient, deployment: Deployment, block: int | None = None) -> None:
        self._client = client
        self._block = block
        self._ledger = deployment.addresses["SharingLedger"]
        self._service_keys = FIRST_SERVICE_KEYS if deployment.edition == FIRST_EDITION else SERVICE_KEYS
        self._conditions = deployment.addresses.get("Conditions")
        self._words: dict[tuple[Address, int], int] = {}

    def __len__(self) -> int:
        return len(self._words)

    def service_key(self, department: int, key: bytes) -> KeyState:
        """A department's key (32 bytes)."""
        of_department = keccak(department.to_bytes(32) + self._service_keys.to_bytes(32))
        word = self._word(keccak(key + of_department))
        return KeyState(
            word & 0xFF,
            word >> 8 & _TIME,
            word >> 48 & _TIME,
            bool(word >> 88 & 1),
            self.standing(department),
        )

    def seat(self, holder: Address) -> SeatState:
        """The seat of an address."""
        word = self.mapped(SEATS, bytes.fromhex(holder[2:]).rjust(32, b"\0"))
        return SeatState(
            word & 0xFFFFFF,
            word >> 24 & 0xFFFF,
            word >> 40 & _TIME,
            word >> 80 & _TIME,
            bool(word >> 120 & (SeatFlag.REMOVED | SeatFlag.ROTATED)),
        )

    def standing(self, department: int) -> str:
        """The standing of a department: unknown, active or suspended."""
        word = self.mapped(STANDINGS, (department >> 6).to_bytes(32))
        standing = word >> ((department & 63) << 2) & 0xF
        return STANDING.get(standing, "unknown")

    def asset(self, number: int) -> AssetState:
        """An asset by its number on chain; ``unknown`` when nothing is registered under it."""
        word = self.mapped(ASSETS, number.to_bytes(32))
        status = word >> 160 & 0xFF
        text = ASSET_STATUS.get(status, "unknown")
        derived = bool(word >> 168 & 0xFF)
        if text == "active" and derived and not self._derived_alive(number):
            text = "suspended"
        holder, processor, operator = (word >> shift & 0xFFFFFF for shift in (0, 24, 48))
        return AssetState(holder, processor, operator, word >> 128 & 0xFFFFFFFF, text)

    def version(self, asset: int) -> int:
        """The version of an asset; 0 when nothing is registered under its number."""
        return self.mapped(ASSETS, asset.to_bytes(32)) >> 128 & 0xFFFFFFFF

    def condition_ended(self, grant: bytes) -> bool:
        """Whether a condition of the grant (id of 32 bytes) has ended; false in an installation without Conditions."""
        at = self._conditions
        if at is None:
            return False
        word = self.mapped(BINDINGS, grant, at)
        bound = (word >> 64 * place & (1 << 64) - 1 for place in range(CONDITIONS_MAX))
        return any(
            self.mapped(CONDITIONS, number.to_bytes(32), at) & 0xFF == ConditionStatus.ENDED
            for number in bound
            if number
        )

    def mapped(self, slot: int, key: bytes, contract: Address | None = None) -> int:
        """The word of a mapping: keccak(key || slot), Solidity's layout of storage; the ledger's by default."""
        return self._word(keccak(key + slot.to_bytes(32)), contract)

    def _derived_alive(self, number: int) -> bool:
        """Whether a derived asset and its whole lineage are active. The view ``asset`` computes this; it is the last word
        of its result."""
        answer = self._client.call(self._ledger, _ASSET_VIEW + number.to_bytes(32))
        return bool(decode(["uint256"], answer[-32:])[0])

    def _word(self, place: bytes, contract: Address | None = None) -> int:
        at = contract or self._ledger, int.from_bytes(place)
        word = self._words.get(at)
        if word is None:
            word = self._words[at] = int.from_bytes(self._client.storage(*at, self._block))
        return word
