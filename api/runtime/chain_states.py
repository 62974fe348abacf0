"""Service keys, seats, grants and assets on the chain. Every release is decided by them, not by the projection,
which a person with write access to the database can change.

Slots are read once for each block, because they do not change between blocks; all calls within a block share the
result. An accepted act that is not mined (a revocation in the outbox) is checked separately, for every call. A
version's metadata are in an event and never change, so they are read once.

A node may be late by many seconds. A caller holds no database connection meanwhile: otherwise as many calls as
there are connections would stop all others.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from ledger.chain.client import BlockRef, ChainClient
from ledger.chain.deployment import Deployment
from ledger.chain.errors import ChainUnreachable, ChainWentBack
from ledger.chain.events import EventDecoder
from ledger.chain.grants import GrantState, grant_states
from ledger.chain.reached import Reached
from ledger.chain.slots import AssetState, KeyState, SeatState, Slots
from ledger.clock import Timekeeper
from ledger.projection.queries import Asset, asset_versions

_KEPT = 10_000
_HEAD_S = 0.2
"""The maximum age in seconds of the head by which keys and assets are decided; grants are decided by the present
head. Changes that the projection has followed by then count as well."""

_PATIENCE_S = 1.0
"""How long a node that did not answer is not asked again if a key is known, in seconds."""

Chain = Sequence[Mapping[str, Any]]
"""The Terms of a delegated grant, its parent's, ... up to the root; empty for a direct one."""


class ChainStates:
    """A cache that is valid for one block. Thread-safe. If the newest block is older than one that was read
    (``reached``), the node is behind: `ChainWentBack`, as if it did not answer."""

    def __init__(
        self, client: ChainClient, deployment: Deployment, time: Timekeeper, reached: Reached | None = None
    ) -> None:
        self._client = client
        self._deployment = deployment
        self._time = time
        self._reached = reached or Reached(deployment.block)
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._block = ""
        self._seen_at = self._failed_at = float("-inf")
        self._known: dict[str, GrantState] = {}
        self._slots = Slots(client, deployment)
        self._deep = (-1, self._slots)
        self._keys: dict[tuple[int, bytes], KeyState] = {}

    def newest(self) -> BlockRef:
        """The newest block; `ChainWentBack` while it is older than one that was read, and the chain's errors if it
        cannot be read."""
        return self._reached.head_of(self._client, patient=True)

    def of(self, grants: Mapping[str, Chain]) -> dict[str, GrantState]:
        """The state of each grant after the newest block; may raise the chain's errors."""
        known, slots = self._now()
        if any(_missing(known, grant, chain) for grant, chain in grants.items()):
            with self._reading:  # After a block all calls ask at once: one reads, the others use its result.
                missing = [grant for grant, chain in grants.items() if _missing(known, grant, chain)]
                chains = {grant: grants[grant] for grant in missing if grants[grant]}
                known.update(grant_states(self._client, self._deployment, missing, chains, slots=slots))
        return {grant: known[grant] for grant in grants}

    def key(self, department: int, key: bytes) -> KeyState:
        """A service key (32 bytes) after the newest block. While the chain is unreachable or behind, the result is
        what this process last read there; `ChainUnreachable` or `ChainWentBack` for a key that it never read."""
        wanted = department, key
        known = self._keys.get(wanted)
        if known is not None and self._time.elapsed() - self._failed_at < _PATIENCE_S:
            return known
        try:
            found = self._now(_HEAD_S)[1].service_key(department, key)
        except (ChainUnreachable, ChainWentBack):
            self._failed_at = self._time.elapsed()
            if known is None:
                raise
            return known
        if len(self._keys) > _KEPT:
            self._keys.clear()
        self._keys[wanted] = found
        return found

    def asset(self, number: int, at_least: int = 0) -> AssetState:
        """An asset after the newest block; may raise the chain's errors.

        If its version is below ``at_least``, which the projection has already read, it is read again under the
        newest head.
        """
        found = self._now(_HEAD_S)[1].asset(number)
        return found if found.version >= at_least else self._now()[1].asset(number)

    def version_at_depth(self, number: int, depth: int) -> int:
        """The version of an asset after the block that ``depth`` others follow; may raise the chain's errors."""
        block = self._reached.head_of(self._client, patient=True).number - depth
        with self._lock:
            if block != self._deep[0]:
                self._deep = block, Slots(self._client, self._deployment, block)
            slots = self._deep[1]
        return slots.version(number)

    def seat(self, holder: str) -> SeatState:
        """The seat of an address after the newest block; may raise the chain's errors."""
        return self._now(_HEAD_S)[1].seat(holder)

    def _now(self, age: float = 0.0) -> tuple[dict[str, GrantState], Slots]:
        """The cached state of the newest block, from a head of at most this age in seconds."""
        if self._time.elapsed() - self._seen_at < age:
            return self._known, self._slots
        moment = self._time.elapsed()
        newest = self._reached.head_of(self._client, patient=True)
        self._time.note(newest.timestamp)
        head = newest.hash
        with self._lock:
            if head != self._block or len(self._known) > _KEPT or len(self._slots) > _KEPT:
                self._block, self._known = head, {}
                self._slots = Slots(self._client, self._deployment)
            self._seen_at = moment
            return self._known, self._slots


class ChainVersions:
    """The versions of assets with their metadata hashes on the chain. Thread-safe.

    The projection is only a hint: otherwise a person who changes the hash there and adds a document of their own
    would decide what is read.
    """

    def __init__(self, client: ChainClient, deployment: Deployment) -> None:
        self._client = client
        self._ledger = deployment.addresses["SharingLedger"]
        self._decoder = EventDecoder(deployment.addresses)
        self._signed: set[tuple[int, int, str]] = set()

    def signed(self, reading: Engine, asset: Asset) -> bool:
        """Whether this version of the asset was signed with this metadata hash; may raise the chain's errors. The
        projection (``reading``) says in which blocks to look."""
        wanted = asset.number, asset.version, asset.metadata_hash
        if wanted in self._signed:
            return True
        with reading.connect() as connection:
            blocks = _blocks(connection, asset)
        if not any(wanted in self._versions(number) for number in blocks):
            return False
        if len(self._signed) > _KEPT:
            self._signed.clear()
        self._signed.add(wanted)
        return True

    def _versions(self, block: int) -> set[tuple[int, int, str]]:
        logs = self._client.logs(block, block, [self._ledger])
        return {
            (event.args["asset"], event.args.get("version", 1), event.args["metadata"])
            for event in (self._decoder.decode(log, 0) for log in logs)
            if event.name in _VERSIONS
        }


_VERSIONS = ("AssetRegistered", "AssetVersioned")


def _blocks(connection: Connection, asset: Asset) -> list[int]:
    """The blocks that may record this version: the one that the projection names first, then the newest first."""
    found = asset_versions(connection, asset.id)
    own = [one.block for one in found if one.number == asset.version]
    return list(dict.fromkeys([*own, *sorted((one.block for one in found), reverse=True)]))


def _missing(known: Mapping[str, GrantState], grant: str, chain: Chain) -> bool:
    """Whether a grant must be read: it was not read yet, or was read without the given chain of ancestors."""
    state = known.get(grant)
    return state is None or (state.ancestors is None and bool(chain))
