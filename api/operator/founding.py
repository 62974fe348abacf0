"""A city is founded: what the council and the officers signed is handed in before anybody is served.

The acts go the same way as those that come over HTTP: checked, kept in the database, carried to the chain. An admission is
proposed at once; the service activates it when the council's delay is over, also after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from api.operator.gateway import Gateway
from api.operator.wiring import open_gateway
from api.runtime.settings import Settings
from ledger.acts.authority import SignerRules
from ledger.acts.projected import ProjectedRecords
from ledger.acts.signing import places_by_slot
from ledger.chain.messages import normalise

WAIT_S = 3.0
"""So long each act is waited for; what takes longer the service carries on with."""


def hand_in_first_acts(
    settings: Settings, acts: Sequence[tuple[Mapping[str, Any], Sequence[str]]]
) -> list[dict[str, Any]]:
    """What became of each act, given as an act file and the addresses that signed it; RefusedError for the first that is
    refused, and those after it are not handed in."""
    states = []
    with open_gateway(settings, chores=False, anchoring=False) as gateway:
        for act, signers in acts:
            identity, _ = gateway.acts.acts.submit({**act, "signatures": _in_slots(gateway, act, signers)})
            states.append(gateway.acts.outcomes.of(identity, WAIT_S))
    return states


def _in_slots(
    gateway: Gateway, act: Mapping[str, Any], signers: Sequence[str]
) -> list[str] | dict[str, list[str]]:
    """The signatures in the order and the lists that the contract takes them in."""
    message = normalise(act["type"], act["message"])
    with gateway.database.reading.connect() as connection:
        rules = SignerRules(ProjectedRecords(connection), int(gateway.clock.utc().timestamp()))
        found = places_by_slot(rules, act["type"], message, act["arguments"], signers)
    given = act["signatures"]
    if isinstance(found, list):
        return [given[n] for n in found]
    return {slot: [given[n] for n in places] for slot, places in found.items()}
