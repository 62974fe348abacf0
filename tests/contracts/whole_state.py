"""Every slot of every deployed contract compared with its events, in both directions: none differs, none is
missing."""

from __future__ import annotations

from functools import cache

from contracts_harness import Abi

from contracts.artifacts import load

from .anvil_chain import AnvilChain
from .invariants.rebuild import Rebuilt
from .invariants.rebuild_beside import RebuiltAnchor, RebuiltConditions, RebuiltPools
from .second_edition import RebuiltSecond, artifact

KINDS = {
    "SharingLedger": Rebuilt,
    "AuditAnchor": RebuiltAnchor,
    "CostPools": RebuiltPools,
    "Conditions": RebuiltConditions,
    "SecondLedger": RebuiltSecond,
}


@cache
def abi_of(name: str) -> Abi:
    """Of a contract of the artifacts."""
    return Abi(artifact()["abi"] if name == "SecondLedger" else load(name).abi)


def differences(chain: AnvilChain) -> dict[str, set[tuple[int, int | None, int | None]]]:
    """Contract -> (slot, stored, rebuilt) for every difference; contracts without events store nothing."""
    logs, dump = chain.logs(), chain.dump()
    found = {}
    for address, stored in dump.items():
        rebuilt: Rebuilt | RebuiltAnchor | RebuiltPools | RebuiltConditions | RebuiltSecond | None = None
        name = ""
        for log in logs.get(address, []):
            topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
            if rebuilt is None:
                name = next(name for name in KINDS if topics[0] in abi_of(name).events)
                rebuilt = KINDS[name]()
            event = abi_of(name).event(topics, bytes.fromhex(log["data"][2:]))
            assert event is not None
            rebuilt.apply([event], int(log["blockTimestamp"], 16))
        told = {slot: word for slot, word in rebuilt.words().items() if word} if rebuilt else {}
        if told != stored:
            slots = {slot for slot in told | stored if told.get(slot) != stored.get(slot)}
            found[name or address] = {(slot, stored.get(slot), told.get(slot)) for slot in slots}
    return found
